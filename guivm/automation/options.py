"""The options of ``automate``, ``type`` and ``key``; what these do is in :mod:`guivm.automation.command`. Light."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from guivm.automation.language import DEFAULT_RATE, DEFAULT_TIMEOUT_S, MAX_SECONDS, SUMMARY
from guivm.automation.words import is_name

_AUTOMATE_EPILOG = f"""\
{SUMMARY}
exit codes: 0 all done, 1 something expected did not come, 2 no valid script, 130 stopped. When it fails, the last
picture of the screen is saved beside the script as SCRIPT-failed.png. Keys and buttons are always released.
With --json each line of the output is one JSON object: start, end, failed or done.

examples:
  guivm automate web01 install.guivm --set user=guest --layout de
  guivm automate web01 install.guivm --check
  echo 'wait-still; key enter' | tr ';' '\\n' | guivm automate web01 -
"""

_TYPE_EPILOG = """\
examples:
  guivm type web01 root --enter
  guivm type web01 'grüße' --layout de
  guivm type web01 - < commands.txt
"""

_KEY_EPILOG = """\
A combination is names or characters joined by - or +: esc, tab, enter, space, backspace, delete, insert, home, end,
pageup, pagedown, left, right, up, down, f1 to f24, ctrl, shift, alt, altgr, super, menu, print, pause, capslock,
numlock, scrolllock, kp0 to kp9, kpenter, mute, volumeup, volumedown, power; codeN is a Linux key code.

examples:
  guivm key web01 ctrl-alt-del
  guivm key web01 super+r down down enter
"""

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add: AddVerb) -> None:
    """Give a parser our verbs. ``add``: makes the parser of a verb from its name and one line of help."""
    automate = add("automate", "run a script: type, click, wait for a picture or text, capture")
    automate.epilog = _AUTOMATE_EPILOG
    automate.add_argument("vm", metavar="VM")
    automate.add_argument("script", metavar="SCRIPT", help="a file; - reads from standard input")
    automate.add_argument("--check", action="store_true", help="only say whether the script is right; touches no VM")
    automate.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], type=_assignment, dest="variables",
        help="value of $NAME in the script; repeatable",
    )  # fmt: skip
    automate.add_argument(
        "--display", metavar="SOCKET", type=Path, help="the VNC server at this UNIX socket; VM is then only a name"
    )
    automate.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=DEFAULT_TIMEOUT_S,
        help=f"of waits that name none; default {DEFAULT_TIMEOUT_S:g}",
    )  # fmt: skip
    typing = add("type", "type text as keystrokes")
    typing.epilog = _TYPE_EPILOG
    typing.add_argument("vm", metavar="VM")
    typing.add_argument("text", metavar="TEXT", help="the text; - reads from standard input")
    typing.add_argument("--enter", action="store_true", help="press Enter after it")
    keys = add("key", "press combinations of keys, one after another")
    keys.epilog = _KEY_EPILOG
    keys.add_argument("vm", metavar="VM")
    keys.add_argument("combos", metavar="COMBO", nargs="+", help="such as ctrl-alt-del", type=_combo)
    for parser in (automate, typing, keys):
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.add_argument(
            "--layout",
            metavar="LAYOUT",
            help="of the guest's keyboard, such as us, de, fr(bepo); default this desktop's",
        )
        if parser is not keys:
            parser.add_argument(
                "--rate", metavar="N", type=_rate, default=DEFAULT_RATE,
                help=f"keystrokes a second; default {DEFAULT_RATE:g}",
            )  # fmt: skip


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not is_name(name):
        raise argparse.ArgumentTypeError(f"“{text}” is no NAME=VALUE")
    return name, value


def _seconds(text: str) -> float:
    return _number(text, MAX_SECONDS, "a time in seconds")


def _rate(text: str) -> float:
    return _number(text, 1000.0, "a rate in keystrokes a second")


def _number(text: str, highest: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= highest:
        raise argparse.ArgumentTypeError(f"“{text}” is not {what} (at most {highest:g})")
    return value


def _combo(text: str) -> tuple[str, ...]:
    from guivm.automation.keys import parse_combo

    try:
        return parse_combo(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
