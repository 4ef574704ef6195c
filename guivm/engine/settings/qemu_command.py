"""The command line by which libvirt would start a definition. Worker only; nothing is started, made or stored."""

from __future__ import annotations

import re
import shlex

from guivm.engine.context import HandlerContext
from guivm.engine.libvirt_errors import code_of, text_of
from guivm.engine.requests import ReadQemuCommand
from guivm.engine.xml.domain import DomainXml
from guivm.errors import UnsupportedError
from guivm.text import clean_block

_LIMIT = 256 * 1024
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# What libvirt encrypted with a key of the moment, in both forms that QEMU takes.
_SECRET_JSON = re.compile(r'("data" *: *")[^"]*(")')
_SECRET_PLAIN = re.compile(r"(?<=,)(data=)[^,]*")
_HIDDEN = "(hidden)"


def read_qemu_command(context: HandlerContext, request: ReadQemuCommand) -> str:
    """Handler of ReadQemuCommand. Raises XmlError, UnsupportedError.

    Network cards are left out: to say what it would tell QEMU of them libvirt makes a tap device for each, for user
    mode as well (qemuConnectDomainXMLToNative in src/qemu/qemu_driver.c), and a plain user may not.
    """
    import libvirt

    domain = DomainXml.parse(request.xml)
    for graphics in domain.devices.graphics:
        graphics.password = None
    cards = list(domain.devices.interfaces)
    for card in cards:
        domain.devices.interfaces.remove(card)
    try:
        line = str(context.connection.domainXMLToNative("qemu-argv", domain.to_text(), 0))
    except libvirt.libvirtError as error:
        if code_of(error) != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        words = "This host starts no QEMU, so there is no command line."
        raise UnsupportedError(words, details=text_of(error)) from error
    return command_text(line, network_cards=len(cards))


def command_text(line: str, *, network_cards: int = 0) -> str:
    """One line for a shell as several, an option each; nothing of a secret is left.

    ``network_cards``: how many are not in it, which is said.
    """
    lines: list[list[str]] = []
    for word in shlex.split(line):
        # Each variable, the program, and each option with what belongs to it.
        if _is_option(word) or not lines or not _is_option(lines[-1][0]):
            lines.append([word])
        else:
            lines[-1].append(word)
    text = " \\\n".join(_line(words) for words in lines)
    if network_cards:
        text += f"\n# Not shown: {network_cards} network card" + ("s" if network_cards > 1 else "")
        text += ", which libvirt opens at the start and hands over."
    return clean_block(text, _LIMIT)


def _line(words: list[str]) -> str:
    option = _is_option(words[0])
    return ("  " if option else "") + " ".join(_quoted(word, may_assign=not option) for word in words)


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1


def _quoted(word: str, *, may_assign: bool) -> str:
    """The word without a secret, quoted where a shell needs it."""
    if word.startswith("secret,") or '"qom-type":"secret"' in word.replace(" ", ""):
        word = _SECRET_PLAIN.sub(rf"\g<1>{_HIDDEN}", _SECRET_JSON.sub(rf"\g<1>{_HIDDEN}\g<2>", word))
    name = _ASSIGNMENT.match(word) if may_assign else None
    if name is not None:  # quoted as a whole it were no assignment
        return name[0] + shlex.quote(word[name.end() :])
    return shlex.quote(word)
