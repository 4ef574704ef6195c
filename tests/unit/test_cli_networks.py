"""``guivm network …`` on libvirt's test driver, which begins anew with each command."""

from __future__ import annotations

import json

import pytest

from guivm.cli.exits import Exit
from guivm.cli.main import main

DRIVER = ("--connect", "test:///default")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["network", *words, *DRIVER])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_list_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == Exit.OK
    assert out.splitlines()[1].split() == ["default", "nat", "active", "no", "192.168.122.1/24", "test"]
    _, out, _ = run(capsys, "list", "--json")
    assert [each["name"] for each in json.loads(out)] == ["default"]
    _, out, _ = run(capsys, "show", "default", "--json")
    assert json.loads(out)["spec"]["dhcp4"] == "192.168.122.2 – 192.168.122.254"
    _, out, _ = run(capsys, "show", "default")
    assert "Used by:    test" in out


def test_create_proposes_what_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "create", "lab", "--mode", "isolated", "--ipv4", "10.200.0.0/24", "--json")
    made = json.loads(out)
    assert code == Exit.OK
    assert (made["name"], made["mode"], made["addresses"]) == ("lab", "isolated", ["10.200.0.1/24"])
    assert (made["is_active"], made["has_dhcp"]) == (True, True)
    code, out, _ = run(capsys, "create", "lab", "--no-start", "--dhcp", "none", "--autostart", "no", "--json")
    made = json.loads(out)
    assert (made["is_active"], made["has_dhcp"], made["autostart"]) == (False, False, False)


def test_set_changes_only_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    host = "52:54:00:00:00:01,192.168.122.9,web"
    code, out, _ = run(capsys, "set", "default", "--domain", "lab.example", "--host", host)
    assert code == Exit.OK
    assert "domain" in out
    assert "fixed" not in out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("create", "lab", "--ipv4", "192.168.122.0/25"), Exit.FAILED, "default"),
        (("delete", "default"), Exit.FAILED, "test"),
        (("start", "default"), Exit.WRONG_STATE, "runs already"),
        (("stop", "nobody"), Exit.NOT_FOUND, "nobody"),
        (("leases", "default"), Exit.FAILED, "does not tell"),
    ],
)
def test_refusals_are_said_and_have_their_code(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: Exit, said: str
) -> None:
    found, _, err = run(capsys, *words)
    assert found == code
    assert said in err


def test_switching(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "stop", "default", "--json")
    assert code == Exit.OK
    assert json.loads(out)["name"] == "default"
    code, out, _ = run(capsys, "autostart", "default", "yes", "--json")
    assert json.loads(out)["autostart"]


def test_bad_words_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(capsys, "set", "default", "--host", "52:54:00:00:00:01")
    assert ended.value.code == Exit.USAGE
    with pytest.raises(SystemExit):
        run(capsys)
