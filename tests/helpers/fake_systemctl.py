"""A stand-in for ``systemctl --user``: enables and disables as systemd does, by links, and can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

_PROGRAM = r"""#!/bin/sh
# usage as of systemctl(1): --user --no-ask-password VERB
here=$(dirname -- "$0")
shift 2
echo "$*" >>"$here/calls"
if [ -e "$here/fails" ] && [ "$1" = "$(cat "$here/fails")" ]; then
    echo "Failed to $1 unit: spoiled" >&2
    exit 1
fi
units=$XDG_CONFIG_HOME/systemd/user
case $1 in
    show) [ -e "$here/silent" ] || echo Version=252 ;;
    enable)
        [ -e "$units/$2" ] || exit 1
        mkdir -p "$units/timers.target.wants"
        ln -sf "../$2" "$units/timers.target.wants/$2"
        ;;
esac
"""


class FakeSystemctl:
    """The program is in ``folder``, which is first on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        program = folder / "systemctl"
        program.write_text(_PROGRAM, encoding="ascii")
        program.chmod(0o700)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    @property
    def calls(self) -> list[str]:
        """What was asked since the last look, but for whether it is there."""
        path = self._folder / "calls"
        found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in found if not line.startswith("show")]

    def fail(self, verb: str) -> None:
        """From now on; empty: no more."""
        (self._folder / "fails").write_text(verb, encoding="ascii")

    def be_silent(self) -> None:
        """As in a chroot: it does nothing, and says it did."""
        (self._folder / "silent").touch()
