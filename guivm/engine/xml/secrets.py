"""Where a definition's text holds a secret itself, so that it can be hidden wherever the text is shown. Pure.

Most of libvirt's elements only refer to a secret (``<auth>``, ``<encryption>``: a UUID). These hold one:

* ``passwd`` of a display, and the ``<cookie>`` of a disk behind HTTP (shown with VIR_DOMAIN_XML_SECURE only);
* arguments and environment passed to QEMU, of which libvirt knows nothing: ``-object secret,data=…``, ``password=…``
  (qemu(1)), and variables named like a password, a token or a key;
* credentials for systemd in the guest, as SMBIOS strings or firmware files (systemd.system-credentials(7),
  systemd-creds(1)).

Launch secrets of SEV (``<session>``) are encrypted already. Kernel command lines have no such convention: they are
shown as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_INSIDE = r"(?:[^<>\"']|\"[^\"]*\"|'[^']*')*"  # of a tag, behind its name
_PASSWORD = re.compile(r"\bpasswd\s*=\s*(?:\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)')")
_COOKIE = re.compile(rf"<cookie\b{_INSIDE}>(?P<a>[^<]*)</cookie\s*>")
_FOREIGN = re.compile(rf"<[\w.-]+:(?P<kind>arg|env)\b(?P<inside>{_INSIDE})>")
_ENTRY = re.compile(rf"<entry\b(?P<inside>{_INSIDE})>(?P<text>[^<]*)</entry\s*>")
_VALUE = re.compile(r"\bvalue\s*=\s*(?:\"(?P<a>[^\"]*)\"|'(?P<b>[^']*)')")
_TELLING = re.compile(r"\bname\s*=\s*[\"'][^\"']*(?:PASS|SECRET|TOKEN|KEY|CREDENTIAL)", re.IGNORECASE)
_KEYS = r"(?:data|passw(?:or)?d|passphrase)"
_ARGUMENT = re.compile(rf"(?<![\w.-]){_KEYS}=(?P<a>(?:,,|[^,])*)")
_JSON = re.compile(rf"(?:&quot;|\"){_KEYS}(?:&quot;|\")\s*:\s*(?P<quote>&quot;|\")(?P<a>.*?)(?P=quote)")
_CREDENTIAL = re.compile(r"io\.systemd\.credential(?:\.binary)?:[^=,]*=(?P<a>(?:,,|[^,])*)")
_CREDENTIAL_FILE = re.compile(r"io\.systemd\.credentials/[^,]*,\s*string=(?P<a>(?:,,|[^,])*)")
_NO_SECRETS = frozenset({"", "on", "off", "yes", "no", "true", "false"})


def secret_places(text: str) -> list[tuple[int, int]]:
    """Beginning and end of each secret in a document's text, or a line of it; in order, none within another."""
    found = sorted(place for place in _places(text) if text[place[0] : place[1]] not in _NO_SECRETS)
    apart: list[tuple[int, int]] = []
    for place in found:
        if not apart or place[0] >= apart[-1][1]:
            apart.append(place)
    return apart


def replace_secrets(text: str, stand_in: Callable[[str], str]) -> str:
    """Put what ``stand_in`` answers for each secret, as it is written in the text, in its place."""
    parts: list[str] = []
    end = 0
    for start, stop in secret_places(text):
        parts += [text[end:start], stand_in(text[start:stop])]
        end = stop
    return "".join((*parts, text[end:]))


def _places(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_PASSWORD, _COOKIE):
        for found in pattern.finditer(text):
            yield _span(found)
    for found in _FOREIGN.finditer(text):
        value = _VALUE.search(text, found.start("inside"), found.end("inside"))
        if value is None:
            continue
        start, stop = _span(value)
        if found["kind"] == "env":
            if _TELLING.search(text, found.start("inside"), found.end("inside")):
                yield start, stop
            continue
        for pattern in (_ARGUMENT, _JSON, _CREDENTIAL, _CREDENTIAL_FILE):
            yield from (_span(inner) for inner in pattern.finditer(text, start, stop))
    for found in _ENTRY.finditer(text):
        if "io.systemd.credentials/" in found["inside"]:
            yield found.span("text")
        else:
            yield from (_span(inner) for inner in _CREDENTIAL.finditer(text, *found.span("text")))


def _span(found: re.Match[str]) -> tuple[int, int]:
    group = "b" if "b" in found.re.groupindex and found["a"] is None else "a"
    return found.span(group)
