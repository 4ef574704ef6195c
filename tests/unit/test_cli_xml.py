"""``guivm xml check`` from the shell's side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guivm.cli.main import main


def test_the_exit_code_says_whether_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_text("<domain><name>a</name></domain>")
    bad.write_text("<domain")
    assert main(["xml", "check", str(good)]) == 0
    assert "domain: unchanged" in capsys.readouterr().out
    assert main(["xml", "check", str(good), str(bad)]) == 1
    assert "malformed" in capsys.readouterr().out


def test_the_outcome_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.xml"
    file.write_text("<network><name>n</name></network>")
    assert main(["xml", "check", "--json", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"file": str(file), "passed": True, "kind": "network", "differences": [], "problem": "", "values": 1}
    ]
    assert main(["xml", "check", "--json", str(tmp_path / "none")]) == 1
