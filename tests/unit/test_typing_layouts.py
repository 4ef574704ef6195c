"""The list of keyboard layouts, and which one the person uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from guivm.console.typing import US, Layout, Session, TypingError, default_layout, find_layout, layouts
from guivm.console.typing.session import (
    from_gnome,
    from_kxkbrc,
    from_locale,
    from_setxkbmap,
    from_shell_file,
    from_xorg_file,
)


def test_the_systems_list() -> None:
    found = {layout.id: layout.description for layout in layouts()}
    assert found["us"] == "English (US)"
    assert found["de"] == "German"
    assert found["ch(fr)"] == "French (Switzerland)"
    assert "custom" not in found
    assert len(found) > 300
    names = [layout.description.casefold() for layout in layouts()]
    assert names == sorted(names)


def write_list(root: Path, content: str) -> Path:
    (root / "rules").mkdir()
    (root / "rules" / "evdev.xml").write_text(content, encoding="utf-8")
    return root


def test_hostile_entries_are_passed_over(tmp_path: Path) -> None:
    item = "<layout><configItem><name>{}</name><description>{}</description></configItem></layout>"
    content = "".join(
        item.format(*pair) for pair in (("../../etc", "bad"), ("aa", "One\u202e two\n three"), ("bb", ""), ("", "none"))
    )
    root = write_list(tmp_path, f"<xkbConfigRegistry><layoutList>{content}</layoutList></xkbConfigRegistry>")
    assert [(layout.id, layout.description) for layout in layouts(root)] == [("bb", "bb"), ("aa", "One two three")]


@pytest.mark.parametrize("content", ["", "<a", "<xkbConfigRegistry/>", " " * ((8 << 20) + 1)])
def test_without_a_usable_list_there_is_us(tmp_path: Path, content: str) -> None:
    assert layouts(write_list(tmp_path, content)) == (US,)


def test_without_any_list_there_is_us(tmp_path: Path) -> None:
    assert layouts(tmp_path) == (US,)


@pytest.mark.parametrize("text", ["de", "de(nodeadkeys)", " us(dvorak) "])
def test_ids(text: str) -> None:
    assert Layout.parse(text).id == text.strip()
    assert find_layout(text).description


@pytest.mark.parametrize("text", ["", "de(", "de()", "../x", "a b", "de(a)(b)", "ä", "." * 3])
def test_bad_ids(text: str) -> None:
    with pytest.raises(TypingError):
        Layout.parse(text)


def test_unknown_layouts() -> None:
    with pytest.raises(TypingError, match="not known"):
        find_layout("xx(yy)")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (from_setxkbmap("rules:      evdev\nlayout:     de,us\nvariant:    nodeadkeys,\n"), [("de", "nodeadkeys")]),
        (from_setxkbmap("layout:     us\n"), [("us", "")]),
        (from_setxkbmap("Cannot open display\n"), []),
        (from_gnome("[('xkb', 'ch+fr'), ('ibus', 'anthy'), ('xkb', 'us')]\n"), [("ch", "fr"), ("us", "")]),
        (from_gnome("@a(ss) []\n"), []),
        (from_kxkbrc("[Layout]\nLayoutList=cz,us\nUse=true\nVariantList=qwerty,\n"), [("cz", "qwerty")]),
        (from_kxkbrc("[Layout]\nLayoutList=cz\nUse=false\n"), []),
        (from_shell_file('XKBMODEL="pc105"\nXKBLAYOUT="fr"\nXKBVARIANT="oss"\n'), [("fr", "oss")]),
        (from_shell_file("# XKBLAYOUT=de\nXKBLAYOUT=pl # Polish\n"), [("pl", "")]),
        (from_shell_file(""), []),
        (from_xorg_file('        Option "XkbLayout" "es,us"\n        Option "XkbVariant" "cat,"\n'), [("es", "cat")]),
        (from_locale("de_DE.UTF-8"), [("de", ""), ("de", "")]),
        (from_locale("fr_CH.UTF-8"), [("ch", "fr")]),
        (from_locale("en_GB"), [("gb", "")]),
        (from_locale("es_MX.UTF-8"), [("latam", "")]),
        (from_locale("C.UTF-8"), []),
    ],
)
def test_what_each_place_says(found: Sequence[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    assert list(found) == expected


def session(
    environment: dict[str, str], files: dict[str, str] | None = None, answers: dict[str, str] | None = None
) -> Session:
    return Session(
        environment,
        lambda path: (files or {}).get(str(path), ""),
        lambda command: (answers or {}).get(command[0], ""),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (session({}), "us"),
        (session({"LANG": "de_CH.UTF-8"}), "ch"),
        (session({"LANG": "de_CH.UTF-8", "LC_ALL": "C"}), "us"),
        (session({"LANG": "en_US.UTF-8"}, {"/etc/default/keyboard": "XKBLAYOUT=fr\n"}), "fr"),
        (session({"DISPLAY": ":0"}, {"/etc/default/keyboard": "XKBLAYOUT=fr\n"}, {"setxkbmap": "layout: de\n"}), "de"),
        (session({"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, {}, {"setxkbmap": "layout: us\n"}), "us"),
        (
            session(
                {"WAYLAND_DISPLAY": "w", "DISPLAY": ":0"},
                {},
                {"setxkbmap": "layout: us\n", "gsettings": "[('xkb', 'pl+dvorak')]"},
            ),
            "pl(dvorak)",
        ),
        (
            session(
                {"XDG_CURRENT_DESKTOP": "KDE", "XDG_CONFIG_HOME": "/c"},
                {"/c/kxkbrc": "Use=true\nLayoutList=gr\n"},
            ),
            "gr",
        ),
        # An unknown variant of a known layout is still that layout; nonsense is passed over.
        (session({}, {"/etc/default/keyboard": "XKBLAYOUT=de\nXKBVARIANT=mine\n"}), "de"),
        (session({"LANG": "ru_RU.UTF-8"}, {"/etc/default/keyboard": "XKBLAYOUT=../../x\n"}), "ru"),
        (session({"XKB_DEFAULT_LAYOUT": "se", "LANG": "ru_RU.UTF-8"}), "se"),
    ],
)
def test_default_layout(asked: Session, expected: str) -> None:
    found = default_layout(asked)
    assert found.id == expected
    assert found.description


def test_the_real_session_can_be_asked() -> None:
    assert default_layout() in layouts()
    assert default_layout(Session.without_programs()) in layouts()
