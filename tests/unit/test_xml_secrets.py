"""What of a definition is a secret, and what is not."""

from __future__ import annotations

import pytest

from guivm.engine.xml.diff import unified
from guivm.engine.xml.secrets import replace_secrets, secret_places
from guivm.views.vm_settings.xml_page import Passwords

WORD = "hunter2"
HOLDING = [
    "<graphics type='vnc' passwd='hunter2' passwdValidTo='2031-04-09T15:51:00'/>",
    '<graphics type="vnc" passwd = "hunter2"/>',
    "<cookies><cookie name='session'>hunter2</cookie></cookies>",
    "<qemu:arg value='secret,id=s0,data=hunter2'/>",
    "<qemu:arg value='secret,id=s0,format=raw,data=hunter2,keyid=k'/>",
    "<q:arg value='user,password=hunter2'/>",
    """<qemu:arg value='{&quot;qom-type&quot;:&quot;secret&quot;,&quot;data&quot;:&quot;hunter2&quot;}'/>""",
    """<qemu:arg value='{"qom-type":"secret","data": "hunter2"}'/>""",
    "<qemu:env name='MY_PASSWORD' value='hunter2'/>",
    "<qemu:env value='hunter2' name='api_token'/>",
    "<qemu:arg value='type=11,value=io.systemd.credential:passwd.hashed-password.root=hunter2'/>",
    "<qemu:arg value='name=opt/io.systemd.credentials/root,string=hunter2'/>",
    "<oemStrings><entry>io.systemd.credential.binary:key=hunter2</entry></oemStrings>",
    "<sysinfo type='fwcfg'><entry name='opt/io.systemd.credentials/key'>hunter2</entry></sysinfo>",
]
PLAIN = [
    "<secret type='passphrase' uuid='7fc2d8f0-5f35-4f3c-a5f5-3a5b7d2e1c55'/>",
    "<qemu:arg value='-vnc'/><qemu:arg value='unix:/run/vnc,password=on'/>",
    "<qemu:arg value='secret,id=s0,file=/etc/secret'/>",
    "<qemu:env name='LC_ALL' value='C'/>",
    "<entry name='serial'>12345</entry>",
    "<graphics type='vnc' passwd=''/>",
    "<cmdline>root=/dev/vda1 quiet</cmdline>",
]


def document(inner: str) -> str:
    spaces = (
        "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'"
    )
    return f"<domain type='qemu' {spaces}><name>x</name>{inner}</domain>"


@pytest.mark.parametrize("inner", HOLDING)
def test_a_secret_is_hidden_and_put_back(inner: str) -> None:
    text = document(inner)
    passwords = Passwords()
    shown = passwords.hide(text)
    assert WORD not in shown
    assert passwords.any
    assert passwords.put_back(shown) == text
    assert passwords.put_back(shown.replace("<name>x", "<name>y")) == text.replace("<name>x", "<name>y")
    assert WORD not in unified("", text, "x")
    changed = unified(text, text.replace(WORD, "swordfish"), "x")
    assert changed, "that it changed is seen"
    assert WORD not in changed
    assert "swordfish" not in changed


@pytest.mark.parametrize("inner", PLAIN)
def test_what_is_none_is_shown(inner: str) -> None:
    assert secret_places(document(inner)) == []


def test_a_new_one_that_was_typed_is_taken() -> None:
    passwords = Passwords()
    shown = passwords.hide(document(HOLDING[0]))
    typed = shown.replace(shown[slice(*secret_places(shown)[0])], "new one")
    assert "passwd='new one'" in passwords.put_back(typed)


def test_several_keep_their_own() -> None:
    text = document("".join(line.replace(WORD, f"{WORD}{number}") for number, line in enumerate(HOLDING)))
    passwords = Passwords()
    assert WORD not in passwords.hide(text)
    assert passwords.put_back(passwords.hide(text)) == text


def test_hostile_text_takes_no_time() -> None:
    """Nothing of it is quadratic: a million characters, whatever they are."""
    for text in ("<q:arg " + "'" * 500_000, "<entry" * 150_000, "passwd=" * 140_000, "<cookie>" * 120_000):
        assert replace_secrets(text, lambda secret: secret) == text
