"""Differences for people: only what means something, no passwords, no control characters."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from guivm.engine.xml.diff import pretty, unified, visible

BEFORE = """<domain type='kvm'><name>vm</name>
   <devices><disk device="disk" type='file'><target dev='vda'/></disk><!-- note --></devices></domain>"""


def test_layout_quotes_and_the_order_of_attributes_mean_nothing() -> None:
    after = (
        '<domain type="kvm">\n  <name>vm</name><devices>\n<disk type="file"\n device="disk"><target dev="vda"/>\n'
        "</disk><!-- note --></devices>\n</domain>\n"
    )
    assert unified(BEFORE, after, "vm") == ""


def test_a_change_is_shown_with_its_surroundings() -> None:
    assert unified(BEFORE, BEFORE.replace("vda", "vdb"), "vm") == (
        "--- vm (before)\n"
        "+++ vm (after)\n"
        "@@ -2,7 +2,7 @@\n"
        "   <name>vm</name>\n"
        "   <devices>\n"
        '     <disk device="disk" type="file">\n'
        '-      <target dev="vda"/>\n'
        '+      <target dev="vdb"/>\n'
        "     </disk>\n"
        "     <!-- note -->\n"
        "   </devices>\n"
    )


def test_the_order_of_elements_and_text_mean_something() -> None:
    assert unified("<a><b/><c/></a>", "<a><c/><b/></a>", "x")
    assert unified("<a>b</a>", "<a>b c</a>", "x")


def test_passwords_are_hidden_and_a_change_of_one_is_seen() -> None:
    text = "<domain><devices><graphics type='vnc' passwd='{}'/></devices></domain>"
    shown = unified(text.format("s3cret"), text.format("0ther"), "vm")
    assert "s3cret" not in shown
    assert "0ther" not in shown
    assert '-    <graphics passwd="(hidden 1)" type="vnc"/>' in shown
    assert '+    <graphics passwd="(hidden 2)" type="vnc"/>' in shown
    cookies = "<source><cookies><cookie name='id'>{}</cookie></cookies></source>"
    assert "s3cret" not in unified(cookies.format("s3cret"), cookies.format("x"), "vm")


def test_control_characters_are_escaped_and_nothing_else() -> None:
    assert visible("grün κόσμε 😀 <&>") == "grün κόσμε 😀 <&>"
    assert visible("a\x1b[31m\u202e\t") == "a\\u001b[31m\\u202e\\u0009"
    assert unified("<a>b</a>", "<a>\u202eb</a>", "n\x1bame").startswith("--- n\\u001bame (before)\n")


def test_namespaces_are_shown_where_they_are_declared() -> None:
    text = '<a xmlns:q="urn:q"><q:b q:c="1" xml:space="preserve"/><d xmlns="urn:d"/></a>'
    assert pretty(text) == [
        '<a xmlns:q="urn:q">',
        '  <q:b xml:space="preserve" q:c="1"/>',
        '  <d xmlns="urn:d"/>',
        "</a>",
    ]


def test_what_is_no_xml_is_compared_as_it_stands() -> None:
    assert unified("<a", "<b", "x") == "--- x (before)\n+++ x (after)\n@@ -1 +1 @@\n-<a\n+<b\n"


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_compared(before: str, after: str) -> None:
    shown = unified(f"<a>{before}</a>", f"<a>{after}</a>", "x")
    assert not {"Cc", "Cf", "Zl", "Zp"} & {unicodedata.category(c) for c in shown.replace("\n", "")}
    assert (before == after) <= (shown == "")
