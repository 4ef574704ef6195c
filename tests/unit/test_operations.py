from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guivm.engine import operations, words
from guivm.engine import requests as rq
from guivm.engine.reader import NOTES_LIMIT
from guivm.engine.types import HostId, VmKey
from guivm.errors import OperationError, UnsupportedError

HOST = HostId("test:///operations")
KEY = VmKey(HOST, "6695eb01-f6a4-8304-79aa-97f2502e193f")


_BASES = (rq.Request, rq.VmRequest, rq.HostRequest, rq.NetworkRequest)
REQUESTS: list[type[rq.Request[object]]] = [
    kind for kind in vars(rq).values() if isinstance(kind, type) and issubclass(kind, rq.Request) and kind not in _BASES
]


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: str(kind.__name__))
def test_every_request_has_a_handler_and_words(kind: type[rq.Request[object]]) -> None:
    request = object.__new__(kind)
    assert callable(operations.handler_for(request))
    title, failed = words.title(request, "Debian"), words.failed(request, "Debian")
    assert "Debian" in title or kind is rq.CreateSampleGuest
    assert title != kind.__name__
    assert failed.endswith(".")
    assert not failed.startswith(kind.__name__)


def test_there_are_as_many_requests_as_we_think() -> None:
    assert len(REQUESTS) >= 26


def test_an_unknown_request_is_refused_in_words() -> None:
    class Strange(rq.VmRequest[None]):
        pass

    with pytest.raises(UnsupportedError, match="Strange"):
        operations.handler_for(Strange(KEY))


def test_the_words_name_whom_they_are_about() -> None:
    assert words.subject(rq.Start(KEY), "Debian", "This computer") == "Debian"
    assert words.subject(rq.ReadCapabilities(HOST), "", "This computer") == "This computer"
    assert words.title(rq.Start(KEY), "Debian") == "Starting “Debian”"
    assert words.failed(rq.Start(KEY), "Debian") == "“Debian” could not be started."


@pytest.mark.parametrize("name", ["a", "Debian 12", "Bücher & Co", "日本語", "x" * 80, ".hidden", "-v"])
def test_names_that_will_do(name: str) -> None:
    assert operations.checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", ".", "..", "a\nb", "a\tb", " a", "a ", "x" * 81, "a\u202eb", "a\u200bb", "a\x00b", "a  b"]
)
def test_names_that_will_not_do(name: str) -> None:
    with pytest.raises(OperationError) as caught:
        operations.checked_name(name)
    assert caught.value.advice


@given(st.text(max_size=100))
def test_a_name_that_passes_is_one_clean_line(name: str) -> None:
    try:
        checked = operations.checked_name(name)
    except OperationError:
        return
    assert checked == name
    assert 0 < len(name) <= 80
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in name)
    assert "/" not in name


def test_notes_have_a_limit() -> None:
    from pathlib import Path

    from guivm.engine.context import HandlerContext
    from guivm.engine.jobs import Job
    from guivm.engine.types import HostInfo, HostState

    job: Job[None] = Job(HOST, KEY, "Notes")
    context = HandlerContext(HostInfo(HOST, HOST, "Test", HostState.CONNECTED), None, job, Path(), Path())
    with pytest.raises(OperationError, match="64 KiB"):
        operations.set_notes(context, rq.SetNotes(KEY, "ä" * NOTES_LIMIT))
