"""The hardened way from libvirt's text to a tree and back.

Nothing outside the text is ever read: no DTD, no entities, no network, no huge trees, a cap on size.
"""

from __future__ import annotations

from typing import TypeAlias

from lxml import etree

from guivm.errors import GuivmError

Element: TypeAlias = etree._Element

MAX_CHARACTERS = 8 * 1024 * 1024
"""libvirt's own limit for a domain XML string over RPC is 4 MiB (``VIR_NET_MESSAGE_STRING_MAX``)."""


class XmlError(GuivmError):
    """XML that is malformed, unsafe, or not of the kind expected."""


def parse_xml(text: str, root_tag: str) -> Element:
    """Return the root element of ``text``.

    Raises XmlError when it is too long, malformed, declares a document type, or its root is not ``root_tag``.
    """
    if len(text) > MAX_CHARACTERS:
        raise XmlError("The XML is too long.", details=f"{len(text)} characters")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=False,
        remove_pis=False,
        strip_cdata=False,
    )
    # libxml2 would expand entities of an internal DTD inside attribute values; so it never sees one. Escaped text
    # cannot hold these characters, and libvirt writes no CDATA sections and no comments.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise XmlError("The XML declares a document type, which is refused.")
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise XmlError("The XML is malformed.", details=str(error)) from error
    if root.tag != root_tag:
        raise XmlError(f"The XML is not a <{root_tag}>.", details=f"<{root.tag}>")
    return root


def to_text(root: Element) -> str:
    """The whole document of ``root`` as text, top-level comments included, without an XML declaration."""
    return etree.tostring(root.getroottree(), encoding="unicode")


def new_element(tag: str) -> Element:
    return etree.Element(tag)


def element_children(parent: Element, tag: str | None = None) -> list[Element]:
    """Child elements (no comments, no processing instructions), of one tag or all."""
    return [child for child in parent if _is_element(child) and (tag is None or child.tag == tag)]


def _is_element(node: object) -> bool:
    """False for comments and processing instructions: their tag is a function, whatever the stubs say."""
    return isinstance(getattr(node, "tag", None), str)


def first_child(parent: Element, tag: str) -> Element | None:
    return next((child for child in parent if child.tag == tag), None)


def append_child(parent: Element, tag: str, after: Element | None = None) -> Element:
    """Add an empty ``<tag>`` to ``parent`` with the indentation of its surroundings.

    It goes behind ``after``, or to the end. Only white space is written besides the new element.
    """
    child = etree.Element(tag)
    depth = sum(1 for _ in parent.iterancestors())
    if len(parent) == 0:
        if not (parent.text or "").strip():
            parent.text = "\n" + "  " * (depth + 1)
            child.tail = "\n" + "  " * depth
        parent.append(child)
        return child
    previous = after if after is not None else parent[-1]
    if not (previous.tail or "").strip():
        child.tail = previous.tail
        previous.tail = parent.text if not (parent.text or "").strip() else None
    previous.addnext(child)
    return child


def remove_child(child: Element) -> None:
    """Take ``child`` out of its parent; text behind it stays, white space is tidied."""
    parent = child.getparent()
    if parent is None:
        return
    tail = child.tail
    previous = child.getprevious()
    parent.remove(child)
    if tail is None:
        return
    if tail.strip():
        if previous is None:
            parent.text = (parent.text or "") + tail
        else:
            previous.tail = (previous.tail or "") + tail
    elif previous is not None and not (previous.tail or "").strip():
        previous.tail = tail
    elif len(parent) == 0 and not (parent.text or "").strip():
        parent.text = None
