"""Hostile text comes out plain, short and on one line."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from guivm.errors import GuivmError
from guivm.text import clean_block, clean_line


@given(st.text(max_size=600), st.integers(min_value=1, max_value=80))
def test_line_is_plain_and_capped(text: str, limit: int) -> None:
    line = clean_line(text, limit)
    assert len(line) <= limit
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in line)
    assert line == line.strip()


@given(st.text(max_size=600))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)
    assert clean_block(clean_block(text)) == clean_block(text)


def test_bidi_override_and_escape_are_dropped() -> None:
    assert clean_line("evil\u202egpj.exe\x1b[31m") == "evilgpj.exe[31m"


def test_block_keeps_lines() -> None:
    assert clean_block("one\r\ntwo\n\tthree\x00") == "one\ntwo\n\tthree"


def test_errors_are_clean() -> None:
    error = GuivmError("bad\nname \u202e", advice="do\tthis", details="a\nb\x07")
    assert (error.summary, error.advice, error.details) == ("bad name", "do this", "a\nb")
    assert str(error) == "bad name do this"
