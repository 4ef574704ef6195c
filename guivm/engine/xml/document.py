"""The hardened way from libvirt's text to a tree and back.

Nothing outside the text is ever read: no DTD, no entities, no network, no huge trees, a cap on size.

Tags are written as libvirt's documentation writes them: ``driver``, or ``qemu:commandline`` with one of the prefixes of
``NAMESPACES``. What counts in a document is the namespace, whatever prefix it uses there.
"""

from __future__ import annotations

import codecs
import re
from typing import TypeAlias

from lxml import etree

from guivm.errors import GuivmError

Element: TypeAlias = etree._Element

MAX_CHARACTERS = 8 * 1024 * 1024
"""libvirt's own limit for a domain XML string over RPC is 4 MiB (``VIR_NET_MESSAGE_STRING_MAX``)."""

NAMESPACES: dict[str, str] = {
    "guivm": "https://guivm.org/xmlns/domain/1",
    "guivmrun": "https://guivm.org/xmlns/run/1",
    "libosinfo": "http://libosinfo.org/xmlns/libvirt/domain/1.0",
    "qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
}

# Where libvirt's schema wants children in an order; everywhere else they may stand in any (RELAX NG interleave).
_ORDERS: dict[str, tuple[str, ...]] = {
    "source": ("vendor", "product", "address"),  # <hostdev type='usb'>
    "smartcard": ("certificate", "database", "acpi", "address"),
}


class XmlError(GuivmError):
    """XML that is malformed, unsafe, or not of the kind expected."""


_DECLARED_ENCODING = re.compile(rb"<\?xml[^>]{0,80}?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")


def decode_xml(data: bytes) -> str:
    """The text of a file: by its byte order mark, else as its XML declaration says, else UTF-8. Raises XmlError."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        declared = _DECLARED_ENCODING.match(data)
        encoding = "utf-8" if declared is None else declared.group(1).decode("ascii")
    if data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise XmlError("The XML is not text in the encoding that it names.", details=str(error)) from error


def parse_xml(text: str, root_tag: str | None = None) -> Element:
    """Return the root element of ``text``.

    Raises XmlError when it is too long, malformed, declares a document type, or its root is not ``root_tag``
    (None: any root).
    """
    if len(text) > MAX_CHARACTERS:
        raise XmlError("The XML is too long.", details=f"{len(text)} characters")
    # libxml2 would expand entities of an internal DTD inside attribute values; so it never sees one.
    if _declares_document_type(text):
        raise XmlError("The XML declares a document type, which is refused.")
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
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        raise XmlError("The XML is malformed.", details=str(error)) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlError("The XML declares a document type, which is refused.")
    if root_tag is not None and root.tag != root_tag:
        raise XmlError(f"The XML is not a <{root_tag}>.", details=f"<{root.tag}>")
    return root


def _declares_document_type(text: str) -> bool:
    """True when a document type stands where XML allows one: before the root, between comments and instructions."""
    at = 1 if text.startswith("\ufeff") else 0
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if text.startswith("<!--", at):
            at, width = text.find("-->", at + 4), 3
        elif text.startswith("<?", at):
            at, width = text.find("?>", at + 2), 2
        else:
            return text.startswith("<!DOCTYPE", at)
        if at < 0:  # never closed: the parser will say so
            return False
        at += width


def to_text(root: Element) -> str:
    """The whole document of ``root`` as text, top-level comments included, without an XML declaration."""
    return etree.tostring(root.getroottree(), encoding="unicode")


def new_element(tag: str) -> Element:
    """An element that stands alone, its namespace declared on it under the usual prefix."""
    prefix, colon, _ = tag.partition(":")
    return etree.Element(qualified(tag), nsmap={prefix: NAMESPACES[prefix]} if colon else None)


def qualified(tag: str) -> str:
    """lxml's name of a tag: ``qemu:arg`` becomes ``{http://…}arg``. Raises KeyError for an unknown prefix."""
    prefix, colon, name = tag.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{name}" if colon else tag


def element_children(parent: Element, tag: str | None = None) -> list[Element]:
    """Child elements (no comments, no processing instructions), of one tag or all."""
    return list(parent.iterchildren("*" if tag is None else qualified(tag)))


def is_element(node: object) -> bool:
    """False for comments and processing instructions: their tag is a function, whatever the stubs say."""
    return isinstance(getattr(node, "tag", None), str)


def first_child(parent: Element, tag: str) -> Element | None:
    return next(parent.iterchildren(qualified(tag)), None)


def descend(element: Element | None, steps: tuple[str, ...]) -> Element | None:
    """The first element down a path of tags, or None."""
    for step in steps:
        if element is None:
            return None
        element = first_child(element, step)
    return element


def descend_making(element: Element, steps: tuple[str, ...]) -> Element:
    """The first element down a path of tags; what is missing is made."""
    for step in steps:
        found = first_child(element, step)
        element = found if found is not None else append_child(element, step)
    return element


def is_blank(element: Element) -> bool:
    """True when the element holds no attribute, child, comment or text."""
    return not element.attrib and len(element) == 0 and not (element.text or "").strip()


def own_text(element: Element) -> str:
    """The text directly inside ``element``; comments in between do not count."""
    return (element.text or "") + "".join(child.tail or "" for child in element if not is_element(child))


def set_own_text(element: Element, text: str | None) -> None:
    """Replace the text of ``element``; children and comments in it stay."""
    for child in element:
        if not is_element(child):
            child.tail = None
    element.text = text


def remove_attribute(element: Element, name: str) -> bool:
    """Take an attribute away; False when it is not there."""
    if name not in element.attrib:
        return False
    del element.attrib[name]
    return True


def append_child(parent: Element, tag: str, after: Element | None = None) -> Element:
    """Add an empty ``<tag>`` to ``parent`` with the indentation of its surroundings.

    It goes behind ``after``, or to the end, or where the schema wants it. Only white space is written besides the
    new element.
    """
    child = new_element(tag)
    depth = sum(1 for _ in parent.iterancestors())
    if len(parent) == 0:
        if not (parent.text or "").strip():
            parent.text = "\n" + "  " * (depth + 1)
            child.tail = "\n" + "  " * depth
        parent.append(child)
        return child
    following = _first_later(parent, tag) if after is None else None
    if following is not None:
        previous = following.getprevious()
        lead = parent.text if previous is None else previous.tail
        following.addprevious(child)
        child.tail = lead if not (lead or "").strip() else None
        return child
    previous = after if after is not None else parent[-1]
    if not (previous.tail or "").strip():
        child.tail = previous.tail
        previous.tail = parent.text if not (parent.text or "").strip() else None
        previous.addnext(child)
    else:
        parent.insert(parent.index(previous) + 1, child)
    return child


def _first_later(parent: Element, tag: str) -> Element | None:
    """The first child that must come behind a new ``tag``."""
    order = _ORDERS.get(str(parent.tag), ())
    if tag not in order:
        return None
    later = order[order.index(tag) + 1 :]
    return next((child for child in parent if child.tag in later), None)


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
