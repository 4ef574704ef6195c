"""QEMU's command line as people read it."""

from __future__ import annotations

import shlex

from guivm.engine.settings.qemu_command import command_text

_LINE = (
    "LC_ALL=C HOME='/var/lib/it'\\''s here' /usr/bin/qemu-system-x86_64 -name 'guest=a b,debug-threads=on' -S "
    """-object '{"qom-type":"secret","id":"key0","data":"c2VjcmV0","keyid":"masterKey0","iv":"aXY="}' """
    "-object secret,id=key1,data=c2VjcmV0,keyid=masterKey0 "
    """-blockdev '{"driver":"file","filename":"/data=1,/it'\\''s.qcow2"}' -no-shutdown"""
)


def test_each_option_has_a_line_and_a_shell_reads_the_same_words() -> None:
    text = command_text(_LINE)
    lines = text.splitlines()
    assert lines[:5] == [
        "LC_ALL=C \\",
        "HOME='/var/lib/it'\"'\"'s here' \\",
        "/usr/bin/qemu-system-x86_64 \\",
        "  -name 'guest=a b,debug-threads=on' \\",
        "  -S \\",
    ]
    assert lines[-1] == "  -no-shutdown"
    words = [word for word in shlex.split(text.replace("\\\n", " "), comments=True) if "secret" not in word]
    assert words == [word for word in shlex.split(_LINE) if "secret" not in word]


def test_no_secret_is_left() -> None:
    text = command_text(_LINE)
    assert "c2VjcmV0" not in text
    assert '"data":"(hidden)"' in text
    assert "data=(hidden),keyid=masterKey0" in text
    assert "/data=1,/it" in text


def test_network_cards_that_are_not_in_it_are_told_as_a_comment() -> None:
    assert command_text("qemu -S").splitlines() == ["qemu \\", "  -S"]
    assert command_text("qemu -S", network_cards=2).splitlines()[-1].startswith("# Not shown: 2 network cards,")
    assert shlex.split(command_text("qemu -S", network_cards=1).replace("\\\n", ""), comments=True) == ["qemu", "-S"]
