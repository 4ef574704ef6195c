"""The command line by which libvirt would start a definition: asked of a real libvirt, which starts nothing."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt
import pytest

from guivm.engine import requests as rq
from guivm.engine.engine import LibvirtEngine
from guivm.engine.types import HostState, VmKey
from guivm.engine.xml.document import XmlError
from guivm.engine.xml.domain import DomainXml
from guivm.errors import GuivmError, UnsupportedError
from tests.helpers.daemon import SessionDaemon
from tests.helpers.recorder import Recorder

WAIT_S = 60.0
_DOMAIN = """
<domain type='qemu'>
  <name>a web server</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file="/images/it's.qcow2">
      <encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption></source>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='user'><model type='virtio'/></interface>
    <graphics type='vnc' passwd='sesame'/>
  </devices>
</domain>"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[SessionDaemon]:
    with SessionDaemon() as value:
        connection = libvirt.open(value.uri)
        secret = connection.secretDefineXML("<secret><usage type='volume'><volume>/x</volume></usage></secret>")
        secret.setValue(b"open sesame")
        connection.defineXML(_DOMAIN.format(secret=secret.UUIDString()))
        connection.close()
        yield value


@contextmanager
def engine_at(uri: str) -> Iterator[tuple[LibvirtEngine, VmKey]]:
    """An engine, and the only VM there."""
    engine, recorder = LibvirtEngine(warm_up=False), Recorder()
    engine.add_listener(recorder)
    host = engine.open_host(uri)
    recorder.wait_for_host(host, HostState.CONNECTED)
    (vm,) = engine.vms(host)
    try:
        yield engine, vm.key
    finally:
        gc.collect()  # what errors hold of libvirt's must not outlive the daemon
        engine.stop(WAIT_S)


@pytest.fixture
def stage(daemon: SessionDaemon) -> Iterator[tuple[LibvirtEngine, VmKey]]:
    with engine_at(daemon.uri) as value:
        yield value


def command_of(stage: tuple[LibvirtEngine, VmKey], xml: str) -> str:
    engine, key = stage
    return engine.submit(rq.ReadQemuCommand(key, xml)).result(WAIT_S)


def stored(stage: tuple[LibvirtEngine, VmKey]) -> str:
    engine, key = stage
    return engine.submit(rq.ReadSettings(key)).result(WAIT_S).xml


def test_an_edited_definition_is_written_out(stage: tuple[LibvirtEngine, VmKey]) -> None:
    before = stored(stage)
    assert "sesame" in before
    draft = DomainXml.parse(before)
    draft.memory_kib = draft.current_memory_kib = 96 * 1024
    text = command_of(stage, draft.to_text())
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    assert any(word.endswith("/qemu-system-x86_64") for word in words)
    assert words[words.index("-m") + 1] in ("96", "size=98304k")
    assert any("/images/it's.qcow2" in word for word in words)
    assert "sesame" not in text
    assert '"data":"(hidden)"' in text
    assert text.splitlines()[-1].startswith("# Not shown: 1 network card")
    assert stored(stage) == before


def test_a_definition_that_libvirt_refuses_is_told_in_its_words(stage: tuple[LibvirtEngine, VmKey]) -> None:
    draft = DomainXml.parse(stored(stage))
    draft.os.machine = "no-such-machine"
    with pytest.raises(GuivmError, match="command line") as caught:
        command_of(stage, draft.to_text())
    assert "no-such-machine" in caught.value.details
    with pytest.raises(XmlError):
        command_of(stage, "<domain>")


def test_a_driver_without_qemu_says_so() -> None:
    document = "<domain type='test'><name>a</name><memory>1</memory></domain>"
    with engine_at("test:///default") as stage, pytest.raises(UnsupportedError, match="starts no QEMU"):
        command_of(stage, document)
