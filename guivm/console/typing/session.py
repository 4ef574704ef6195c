"""Which keyboard layout the person uses, asked of the session and of the system. Nothing here writes anything."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from guivm.console.typing.errors import TypingError
from guivm.console.typing.layouts import US, Layout, layouts

_MAX_BYTES = 64 * 1024
_SECONDS = 2.0


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode(errors="replace")
    except OSError:
        return ""


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:_MAX_BYTES].decode(errors="replace") if done.returncode == 0 else ""


def _run_nothing(_command: Sequence[str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Session:
    """What is asked: ``read`` a file, ``run`` a program for its output; both answer "" when that fails."""

    environment: Mapping[str, str]
    read: Callable[[Path], str] = _read
    run: Callable[[Sequence[str]], str] = _run

    @classmethod
    def current(cls) -> Session:
        """This process's. Programs are waited for, up to two seconds each: not for the GUI thread."""
        return cls(os.environ)

    @classmethod
    def without_programs(cls) -> Session:
        """This process's, from small local files only."""
        return cls(os.environ, run=_run_nothing)


def default_layout(session: Session | None = None) -> Layout:
    """The layout in use as far as can be found out, with its description; :data:`US` when nothing says."""
    known = {layout.id: layout for layout in layouts()}
    for layout, variant in _candidates(session or Session.current()):
        try:
            found = known.get(Layout(layout, variant).id) or known.get(layout)
        except TypingError:
            continue
        if found is not None:
            return found
    return known.get(US.id, US)


def _candidates(session: Session) -> Iterator[tuple[str, str]]:
    """(layout, variant), the surest first."""
    environment = session.environment
    if environment.get("XKB_DEFAULT_LAYOUT"):  # what wlroots' compositors are configured with
        yield from _first(environment["XKB_DEFAULT_LAYOUT"], environment.get("XKB_DEFAULT_VARIANT", ""))
    if environment.get("WAYLAND_DISPLAY"):
        for key in ("mru-sources", "sources"):
            yield from from_gnome(session.run(("gsettings", "get", "org.gnome.desktop.input-sources", key)))
    elif environment.get("DISPLAY"):
        yield from from_setxkbmap(session.run(("setxkbmap", "-query")))
    config = Path(environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config")
    if "KDE" in environment.get("XDG_CURRENT_DESKTOP", "").split(":"):
        yield from from_kxkbrc(session.read(config / "kxkbrc"))
    yield from from_shell_file(session.read(Path("/etc/default/keyboard")))
    yield from from_xorg_file(session.read(Path("/etc/X11/xorg.conf.d/00-keyboard.conf")))
    yield from from_shell_file(session.read(Path("/etc/vconsole.conf")))
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if environment.get(name):
            yield from from_locale(environment[name])
            break


def _first(layout: str, variant: str) -> Iterator[tuple[str, str]]:
    """Of comma-separated lists."""
    name = layout.split(",")[0].strip()
    if name:
        yield name, variant.split(",")[0].strip()


def from_setxkbmap(output: str) -> Iterator[tuple[str, str]]:
    """``setxkbmap -query``: "layout:     de,us"."""
    values = dict(re.findall(r"^(\w+):[ \t]*(\S*)", output, re.MULTILINE))
    yield from _first(values.get("layout", ""), values.get("variant", ""))


def from_gnome(output: str) -> Iterator[tuple[str, str]]:
    """``gsettings``: "[('xkb', 'de+nodeadkeys'), ('ibus', 'anthy')]"."""
    for name in re.findall(r"\('xkb', '([^']*)'\)", output):
        layout, _, variant = name.partition("+")
        yield from _first(layout, variant)


def from_kxkbrc(text: str) -> Iterator[tuple[str, str]]:
    """KDE's keyboard settings; they count only where "Use" is true."""
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    if values.get("Use", "").strip() == "true":
        yield from _first(values.get("LayoutList", ""), values.get("VariantList", ""))


def from_shell_file(text: str) -> Iterator[tuple[str, str]]:
    """Debian's /etc/default/keyboard and systemd's /etc/vconsole.conf."""
    values = dict(re.findall(r"""^[ \t]*(XKB\w+)=["']?([^"'\s#]*)""", text, re.MULTILINE))
    yield from _first(values.get("XKBLAYOUT", ""), values.get("XKBVARIANT", ""))


def from_xorg_file(text: str) -> Iterator[tuple[str, str]]:
    """What ``localectl set-x11-keymap`` writes."""
    values = dict(re.findall(r'^[ \t]*Option[ \t]+"(Xkb\w+)"[ \t]+"([^"]*)"', text, re.MULTILINE))
    yield from _first(values.get("XkbLayout", ""), values.get("XkbVariant", ""))


# Where the layout is called neither like the country nor like the language.
_OF_LOCALE = {
    "en_US": "us", "en_AU": "us", "en_IN": "us", "en_GB": "gb", "en_IE": "ie", "en_CA": "us", "fr_CA": "ca",
    "de_CH": "ch", "fr_CH": "ch(fr)", "it_CH": "ch(fr)", "fr_BE": "be", "nl_BE": "be", "de_AT": "at",
    "pt_BR": "br", "es_ES": "es", "ja_JP": "jp", "ko_KR": "kr", "sv_SE": "se", "da_DK": "dk", "nb_NO": "no",
    "nn_NO": "no", "cs_CZ": "cz", "el_GR": "gr", "uk_UA": "ua", "zh_CN": "cn", "zh_TW": "tw", "he_IL": "il",
}  # fmt: skip


def from_locale(name: str) -> Iterator[tuple[str, str]]:
    """``LANG``: "de_CH.UTF-8"; by country, then by language, which is often called the same."""
    match = re.match(r"([a-z]{2,3})_([A-Z]{2})", name)
    if match is None:
        return
    layout, _, variant = _OF_LOCALE.get(match[0], "").rstrip(")").partition("(")
    if layout:
        yield layout, variant
    elif match[1].startswith("es"):
        yield "latam", ""
    else:
        yield match[2].lower(), ""
        yield match[1], ""
