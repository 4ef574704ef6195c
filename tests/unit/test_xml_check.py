"""The no-edit round trip, and the check that shows it: nothing of a document is lost or changed."""

from __future__ import annotations

import io
from pathlib import Path

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from guivm.engine.xml import check
from guivm.engine.xml.check import CheckResult, check_bytes, check_text, run_check
from guivm.engine.xml.document import MAX_CHARACTERS, XmlError, decode_xml, parse_xml, to_text

CORPUS = sorted((Path(__file__).parent.parent / "data" / "xml").glob("*.xml"))

# --- arbitrary documents ----------------------------------------------------------------------------------

_KNOWN = (
    "name",
    "memory",
    "devices",
    "disk",
    "source",
    "driver",
    "vcpu",
    "features",
    "hyperv",
    "metadata",
    "ip",
    "apic",
)
_FOREIGN = ("any", "q:commandline", "q:arg", "g:settings", "g:portForward", "x:any", "é")
_NAMESPACES = (
    ' xmlns:q="http://libvirt.org/schemas/domain/qemu/1.0"'
    " xmlns:g='https://guivm.org/xmlns/domain/1' xmlns:x='urn:example:x'"
)
_XML_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<>&'\"-?]\ufffe\uffff")
_WORDS = st.text(_XML_CHARACTERS, max_size=8)
_SPACE = st.sampled_from(("", " ", "\n", "\r\n", "\t", "\n\n    "))
_TEXT = st.one_of(
    _SPACE,
    _WORDS,
    st.sampled_from(("&amp;", "&lt;", "&#13;", "&#10;", "&#x1F600;", "]", "'\"", "\u2028", "4", "yes", "on")),
    _WORDS.map(lambda words: f"<![CDATA[{words}<!DOCTYPE & <a>]]>"),
    _WORDS.map(lambda words: f"<!-- {words}<!ENTITY -->"),
    _WORDS.map(lambda words: f"<?pi {words.strip()}<!DOCTYPE?>"),
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(("type", "name", "file", "unit", "mode", "state", "id", "x:any", "unknown", "xml:space")),
    st.one_of(_WORDS, st.sampled_from(("&amp;&lt;", "&#9;&#10;", "&quot;'", "0x1f", "on", "no", "1"))),
    max_size=3,
).map(lambda attributes: "".join(f'\n {name}="{value}"' for name, value in attributes.items()))


def _element(tag: str, declarations: str, attributes: str, space: str, content: list[str]) -> str:
    start = f"<{tag}{declarations}{attributes}{space}"
    return f"{start}>{''.join(content)}</{tag}{space}>" if content else f"{start}/>"


_TAGS = st.sampled_from((*_KNOWN, *_FOREIGN))
_DECLARATIONS = st.sampled_from(
    ("", "", "", ' xmlns=""', ' xmlns="urn:example:default"', ' xmlns:q="urn:example:other"')
)
_ELEMENTS = st.recursive(
    _TEXT,
    lambda inner: st.builds(_element, _TAGS, _DECLARATIONS, _ATTRIBUTES, _SPACE, st.lists(inner, max_size=5)),
    max_leaves=30,
)
_OUTSIDE = st.lists(st.sampled_from(("\n", " ", "<!-- <!DOCTYPE a> -->", "<?pi text?>")), max_size=3).map("".join)
_ROOTS = st.sampled_from(("domain", "network", "pool", "volume", "domainsnapshot", "anything"))
_DOCUMENTS = st.builds(
    lambda start, before, root, attributes, content, after: (
        f"{start}{before}{_element(root, _NAMESPACES, attributes, '', content)}{after}"
    ),
    st.sampled_from(("", "<?xml version='1.0'?>", '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>')),
    _OUTSIDE,
    _ROOTS,
    _ATTRIBUTES,
    st.lists(_ELEMENTS, max_size=6),
    _OUTSIDE,
)


def _canonical(text: str) -> bytes:
    return etree.tostring(parse_xml(text).getroottree(), method="c14n", with_comments=True)


@given(_DOCUMENTS)
def test_nothing_of_any_document_is_changed(text: str) -> None:
    assert _canonical(to_text(parse_xml(text))) == _canonical(text)
    result = check_text(text)
    assert result.differences == ()
    assert result.kind
    again = check_bytes(text.replace("ISO-8859-1", "UTF-8").encode())
    assert again == result


@given(st.text(max_size=200))
def test_any_text_is_checked_or_refused_in_words(text: str) -> None:
    result = check_text(text)
    assert result.passed or result.problem


@given(st.binary(max_size=200))
def test_any_bytes_are_checked_or_refused_in_words(data: bytes) -> None:
    result = check_bytes(data)
    assert result.passed or result.problem


# --- real documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_a_file_of_the_corpus_is_not_changed(path: Path) -> None:
    result = check_bytes(path.read_bytes())
    assert (result.differences, result.problem) == ((), "")
    assert result.kind == path.stem.split("-")[0].replace("snapshot", "domainsnapshot")


def test_the_corpus_is_there() -> None:
    assert {path.stem.split("-")[0] for path in CORPUS} == {"domain", "network", "pool", "volume", "snapshot"}


def test_what_libvirt_writes_is_not_changed() -> None:
    connection = libvirt.open("test:///default")
    try:
        domain = connection.listAllDomains()[0]
        pool = connection.listAllStoragePools()[0]
        volume = "<volume><name>v</name><capacity>1000</capacity></volume>"
        snapshot = domain.snapshotCreateXML("<domainsnapshot><name>s</name></domainsnapshot>")
        texts = {
            "domain": domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE),
            "domainsnapshot": snapshot.getXMLDesc(),
            "network": connection.listAllNetworks()[0].XMLDesc(),
            "pool": pool.XMLDesc(),
            "volume": pool.createXML(volume).XMLDesc(),
            "interface": connection.listAllInterfaces()[0].XMLDesc(),
            "device": connection.listAllDevices()[0].XMLDesc(),
            "capabilities": connection.getCapabilities(),
        }
    finally:
        connection.close()
    for kind, text in texts.items():
        result = check_text(text)
        assert (result.kind, result.differences, result.problem) == (kind, (), "")
    assert check_text(texts["domain"]).values > 20
    assert check_text(texts["domainsnapshot"]).values > 20


# --- the check itself -------------------------------------------------------------------------------------


def test_a_change_would_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "to_text", lambda root: to_text(root).replace("<b/>", ""))
    result = check_text("<domain><a/>\n<b/><c x='1'/></domain>")
    lines = ("--- file", "+++ as guivm writes it", "@@ -3,4 +3,2 @@", " </a>", "-<b>", "-</b>", ' <c x="1">')
    assert result == CheckResult("domain", lines)
    assert not result.passed


def test_a_value_that_cannot_be_read_is_named_with_its_place() -> None:
    result = check_text("<domain><devices><disk><driver queues='many'/></disk></devices></domain>")
    assert result.differences == ()
    assert "devices.disks[0].queues" in result.problem
    assert not result.passed


def test_definitions_inside_a_snapshot_are_read() -> None:
    result = check_text("<domainsnapshot><domain><vcpu>many</vcpu></domain></domainsnapshot>")
    assert "vcpu.maximum" in result.problem


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_files_are_read_in_their_encoding(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding.removesuffix('-sig')}'?><domain><name>grün</name></domain>"
    assert parse_xml(decode_xml(text.encode(encoding)), "domain").findtext("name") == "grün"


@pytest.mark.parametrize(
    "data", [b"<domain>\xff</domain>", b"<?xml version='1.0' encoding='no-such'?><a/>", b"<?xml encoding='rot13'?><a/>"]
)
def test_a_file_in_no_encoding_is_refused(data: bytes) -> None:
    with pytest.raises(XmlError):
        decode_xml(data)
    assert check_bytes(data).problem


def test_the_outcome_of_each_file_is_printed(tmp_path: Path) -> None:
    good, bad, broken = tmp_path / "good.xml", tmp_path / "bad.xml", tmp_path / "broken.xml"
    good.write_text("<domain type='kvm'><name>a</name></domain>")
    bad.write_text("<domain><memory>lots</memory></domain>")
    broken.write_text("<domain>")
    out = io.StringIO()
    assert run_check([str(good)], out) == 0
    assert out.getvalue() == f"{good}: domain: unchanged, 2 settings read\n"
    out = io.StringIO()
    assert run_check([str(good), str(bad), str(broken), str(tmp_path / "none.xml"), str(tmp_path)], out) == 1
    lines = out.getvalue().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        *(str(good), str(bad), str(broken)),
        *(str(tmp_path / "none.xml"), str(tmp_path)),
    ]
    assert "memory_kib" in lines[1]
    assert "malformed" in lines[2]
    assert "No such file" in lines[3]


def test_differences_are_printed_without_control_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "to_text", lambda root: to_text(root).replace("one", "two"))
    file = tmp_path / "a.xml"
    file.write_text("<domain><name>one\u202e\u0085</name></domain>", encoding="utf-8")
    out = io.StringIO()
    assert run_check([str(file)], out) == 1
    assert "would be changed" in out.getvalue()
    assert "-<name>one\\u202e\\u0085</name>" in out.getvalue()
    assert "+<name>two\\u202e\\u0085</name>" in out.getvalue()


def test_a_file_too_long_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "long.xml"
    with file.open("wb") as out:
        out.truncate(1 << 40)
    assert check_bytes(b" " * (MAX_CHARACTERS + 1)).problem
    assert run_check([str(file)], io.StringIO()) == 1


def test_standard_input_can_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"<network><name>n</name></network>"))
    monkeypatch.setattr("sys.stdin", stream)
    out = io.StringIO()
    assert run_check(["-"], out) == 0
    assert out.getvalue() == "-: network: unchanged, 1 settings read\n"
