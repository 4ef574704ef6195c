"""New VMs: what is made, and what is left when that fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from guivm.engine import create, delete, images, sample_guest
from guivm.engine.context import HandlerContext
from guivm.engine.job_types import (
    DiskSource,
    Firmware,
    IsoSource,
    KernelSource,
    NetworkSource,
    NewVmField,
    VirtType,
)
from guivm.engine.new_vm_xml import MachinePlan, build_domain
from guivm.engine.references import collect_references
from guivm.engine.requests import CheckNewVm, CreateSampleGuest, CreateVm, Delete
from guivm.engine.xml.domain import DomainXml
from guivm.errors import CancelledError, GuivmError, HostError, OperationError, UnsupportedError
from tests.helpers.creation import SPEC, House
from tests.helpers.small_libvirt import (
    HOST,
    FixedCapabilities,
    SmallConnection,
    capabilities,
    refusal,
    small_context,
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# --- what is made -----------------------------------------------------------------------------------------


def test_the_defaults_of_a_new_pc(house: House) -> None:
    domain = house.create(replace(SPEC, title="Mail", notes="Do not touch.", source=IsoSource(house.iso)))
    devices = domain.devices
    assert (domain.type, domain.os.machine, domain.os.arch) == ("qemu", "q35", "x86_64")
    assert (domain.title, domain.description) == ("Mail", "Do not touch.")
    assert (domain.memory_kib, domain.vcpu.maximum) == (1 << 20, 2)
    assert (domain.cpu.mode, domain.cpu.sockets, domain.cpu.cores) == ("maximum", 1, 2)
    cdrom, disk = devices.disks
    assert (cdrom.device, cdrom.driver_type, cdrom.target_bus, cdrom.boot_order, cdrom.read_only) == (
        "cdrom",
        "raw",
        "sata",
        1,
        True,
    )
    assert (disk.device, disk.driver_type, disk.target_bus, disk.boot_order, disk.discard) == (
        "disk",
        "qcow2",
        "virtio",
        2,
        "unmap",
    )
    (card,) = devices.interfaces
    assert (card.type, card.model) == ("user", "virtio")
    (display,) = devices.graphics
    assert (display.type, display.listen_type, display.port) == ("vnc", "none", None)
    assert [video.model for video in devices.videos] == ["virtio"]
    assert [(item.type, item.bus) for item in devices.inputs] == [("tablet", "usb"), ("keyboard", "usb")]
    assert [channel.target_name for channel in devices.channels] == ["org.qemu.guest_agent.0"]
    assert devices.memballoon.model == "virtio"
    assert devices.rngs[0].backend_path == "/dev/urandom"


def test_kvm_and_uefi(house: House) -> None:
    plan = MachinePlan("1", "kvm", capabilities(house.folder), True, nvram=Path("/v.fd"))
    domain = build_domain(replace(SPEC, virt_type=VirtType.KVM, firmware=Firmware.UEFI), plan)
    assert (domain.type, domain.cpu.mode, domain.cpu.migratable) == ("kvm", "host-passthrough", True)
    assert (domain.os.firmware, domain.os.uses_uefi, domain.os.nvram) == ("efi", True, "/v.fd")
    assert {feature.name: feature.enabled for feature in domain.os.firmware_features} == {
        "enrolled-keys": False,
        "secure-boot": False,
    }


def test_what_the_host_lacks_is_left_out(house: House) -> None:
    poor = replace(
        capabilities(house.folder), graphics_types=(), video_models=("vga",), machines=("pc",), arch="aarch64"
    )
    domain = build_domain(replace(SPEC, source=IsoSource(house.iso)), MachinePlan("1", "qemu", poor, False))
    assert len(domain.devices.graphics) == 0
    assert [video.model for video in domain.devices.videos] == ["vga"]
    assert domain.os.machine is None
    assert domain.devices.disks[0].target_bus == "scsi"
    far = build_domain(SPEC, MachinePlan("1", "qemu", capabilities(house.folder), False))
    assert far.devices.graphics[0].listen_type == "socket"


def test_an_existing_disk_is_used_in_place_with_its_own_format(house: House) -> None:
    before = house.files()
    for number, made_as in enumerate(("qcow2", "raw", "vdi")):
        path = house.folder / f"disk-{number}.img"
        subprocess.run(["qemu-img", "create", "-q", "-f", made_as, str(path), "8M"], check=True)
        content = path.read_bytes()
        domain = house.create(replace(SPEC, name=f"vm{number}", source=DiskSource(path), disk_bytes=None))
        (disk,) = domain.devices.disks
        assert (disk.path, disk.driver_type, disk.boot_order) == (str(path), made_as, 1)
        assert path.read_bytes() == content
    assert before.items() <= house.files().items()


def test_kernel_and_network_boot(house: House) -> None:
    kernel = house.create(replace(SPEC, source=KernelSource(house.kernel, house.initrd, "a=b quiet")))
    assert (kernel.os.kernel, kernel.os.initrd, kernel.os.command_line) == (
        str(house.kernel),
        str(house.initrd),
        "a=b quiet",
    )
    network = house.create(replace(SPEC, name="pxe", source=NetworkSource()))
    assert (network.devices.interfaces[0].boot_order, network.devices.disks[0].boot_order) == (1, 2)


def test_the_new_disk_is_private_and_never_replaces_a_file(house: House) -> None:
    folder = house.context.images_dir
    (folder / "Debian.qcow2").write_text("precious")
    (folder / "Debian-2.qcow2").symlink_to("/nowhere")
    domain = house.create(SPEC)
    path = Path(domain.devices.disks[0].path)
    assert path.name == "Debian-3.qcow2"
    assert path.stat().st_mode & 0o777 == 0o600
    assert images.inspect_media(path)[0].virtual_bytes == 1 << 30
    assert (folder / "Debian.qcow2").read_text() == "precious"


def test_the_name_of_a_deleted_disk_is_kept_free_for_undo(house: House) -> None:
    key = create.create_vm(house.context, CreateVm(SPEC))
    path = DomainXml.parse(house.connection.domains[key.uuid].xml).devices.disks[0].path
    delete.delete(house.context, Delete(key, (path,)))
    assert Path(house.create(SPEC).devices.disks[0].path).name == "Debian-2.qcow2"


def test_a_path_that_another_vm_names_is_not_taken_even_when_the_file_is_missing(house: House) -> None:
    path = Path(house.create(SPEC).devices.disks[0].path)
    path.unlink()
    references = collect_references(house.context.connection)
    assert create.free_image_path(house.context.images_dir, "Debian", references).name == "Debian-2.qcow2"


def test_a_name_full_of_tricks_stays_in_the_folder(house: House) -> None:
    house.create(replace(SPEC, name="..\\..,file=x$(id)`;#"))
    (path,) = house.context.images_dir.iterdir()
    assert path.parent == house.context.images_dir
    assert path.suffix == ".qcow2"


def _with_qemu(house: House, version: str) -> None:
    value = replace(capabilities(house.context.images_dir), hypervisor_version=version)
    house.context = replace(house.context, capabilities=FixedCapabilities(value))  # type: ignore[arg-type]


def test_the_clipboard_channel_is_there_where_it_does_not_forbid_saving(house: House) -> None:
    for version, has_it in (("QEMU 7.2.22", False), ("QEMU 10.0.2", False), ("QEMU 10.1.0", True), ("QEMU", False)):
        assert create.vdagent_can_be_saved(version) is has_it
    _with_qemu(house, "QEMU 11.0.0")
    agent, clipboard = house.create(SPEC).devices.channels
    assert (agent.type, agent.target_name) == ("unix", "org.qemu.guest_agent.0")
    assert (clipboard.type, clipboard.target_name) == ("qemu-vdagent", "com.redhat.spice.0")
    assert clipboard.clipboard_copypaste is False


def test_without_vdagent_in_qemu_the_vm_is_made_without_it(house: House) -> None:
    _with_qemu(house, "QEMU 10.1.0")
    refusals = [refusal(libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "'qemu-vdagent' not supported in this QEMU binary")]

    def once() -> None:
        if refusals:
            raise refusals.pop()

    house.connection.before["defineXML"] = once
    domain = house.create(SPEC)
    assert [channel.target_name for channel in domain.devices.channels] == ["org.qemu.guest_agent.0"]


# --- failures ---------------------------------------------------------------------------------------------


def _raise(error: Exception) -> Callable[[], None]:
    def step() -> None:
        raise error

    return step


def test_a_specification_with_problems_makes_nothing(house: House) -> None:
    before = house.files()
    with pytest.raises(OperationError) as caught:
        create.create_vm(house.context, CreateVm(replace(SPEC, name="", vcpus=0)))
    assert len(caught.value.details.splitlines()) == 2
    assert house.files() == before
    assert not house.connection.domains


def test_a_refused_definition_leaves_nothing(house: House) -> None:
    before = house.files()
    house.connection.before["defineXML"] = _raise(refusal())
    with pytest.raises(OperationError):
        create.create_vm(house.context, CreateVm(SPEC))
    assert house.files() == before
    assert not house.connection.domains


def test_a_lost_connection_keeps_the_disk_for_the_vm_that_may_be_there(house: House) -> None:
    house.connection.before["defineXML"] = _raise(refusal(libvirt.VIR_ERR_INVALID_CONN, "connection lost"))
    with pytest.raises(HostError, match="not known"):
        create.create_vm(house.context, CreateVm(SPEC))
    assert (house.context.images_dir / "Debian.qcow2").exists()
    create.recover(house.context)
    assert list(house.context.images_dir.iterdir()) == []


def test_a_failed_disk_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = house.files()
    monkeypatch.setattr("guivm.engine.files.os.fsync", full)
    with pytest.raises(GuivmError):
        create.create_vm(house.context, CreateVm(SPEC))
    assert house.files() == before
    assert not house.connection.domains


def test_cancelled_at_any_step_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = house.files()
    made = images.create_qcow2

    def cancel_after_disk(*arguments: object) -> None:
        made(*arguments)  # type: ignore[arg-type]
        house.context.job.cancel()

    def cancel() -> None:
        house.context.job.cancel()

    for arrange in ("start", "disk", "define"):
        house.context = small_context(house.connection, house.folder)
        with monkeypatch.context() as patch:
            if arrange == "start":
                cancel()
            elif arrange == "disk":
                patch.setattr(images, "create_qcow2", cancel_after_disk)
            else:
                house.connection.before["defineXML"] = cancel
            with pytest.raises(CancelledError):
                create.create_vm(house.context, CreateVm(SPEC))
        assert house.files() == before, arrange
        assert not house.connection.domains


class CrashError(BaseException):
    """The process is gone: nothing of ours runs after it."""


def test_a_crash_half_way_is_settled(house: House) -> None:
    before = house.files()

    def crash() -> None:
        raise CrashError

    house.connection.before["defineXML"] = crash
    with pytest.raises(CrashError):
        create.create_vm(house.context, CreateVm(SPEC))
    house.connection.before.clear()
    assert house.files() != before
    create.recover(house.context)
    assert house.files() == before
    assert list(house.context.images_dir.iterdir()) == []


def test_a_crash_after_the_definition_keeps_the_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise CrashError

    monkeypatch.setattr(create, "_take_back_if_cancelled", crash)
    with pytest.raises(CrashError):
        create.create_vm(house.context, CreateVm(SPEC))
    create.recover(house.context)
    assert [path.name for path in house.context.images_dir.iterdir()] == ["Debian.qcow2"]
    assert len(house.connection.domains) == 1


def test_a_creation_under_way_is_not_taken_for_one_cut_short(house: House) -> None:
    house.connection.before["defineXML"] = lambda: create.recover(house.context)
    path = Path(house.create(SPEC).devices.disks[0].path)
    assert path.exists()
    assert list(house.context.images_dir.iterdir()) == [path]


def test_a_forged_note_removes_nothing(house: House) -> None:
    folder = house.context.images_dir / ".guivm-creating"
    folder.mkdir()
    (folder / "u.json").write_text(f'{{"uuid": "u", "disk": "{house.disk}"}}')
    (folder / "v.json").write_text("[")
    create.recover(house.context)
    assert house.disk.exists()
    assert not folder.exists()


# --- the sample guest -------------------------------------------------------------------------------------


def _sample(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = sample_guest.SampleGuest(house.kernel, house.initrd, "quiet", house.kernel)
    monkeypatch.setattr(sample_guest, "build_sample_guest", lambda *_: guest)


def test_the_sample_guest_is_made_and_started_under_a_free_name(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _sample(house, monkeypatch)
    for name in ("Sample guest", "Sample guest 2"):
        key = create.create_sample_guest(house.context, CreateSampleGuest(HOST))
        made = house.connection.domains[key.uuid]
        assert (made.name(), made.running) == (name, True)


def test_a_sample_guest_that_does_not_start_is_not_left_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _sample(house, monkeypatch)
    house.connection.before["create"] = _raise(refusal())
    before = house.files()
    with pytest.raises(OperationError):
        create.create_sample_guest(house.context, CreateSampleGuest(HOST))
    assert not house.connection.domains
    assert house.files() == before


def test_on_the_test_driver_a_vm_without_files_can_be_made(tmp_path: Path) -> None:
    connection = libvirt.open("test:///default")
    try:
        small = small_context(SmallConnection(), tmp_path)
        context = HandlerContext(small.host, connection, small.job, small.cache_dir, small.images_dir)
        spec = replace(SPEC, disk_bytes=None, memory_kib=65536)
        key = create.create_vm(context, CreateVm(spec))
        assert connection.lookupByUUIDString(key.uuid).name() == "Debian"
        with_files = replace(spec, name="x", source=IsoSource(Path("/x.iso")), disk_bytes=1 << 30)
        found = create.check_new_vm(context, CheckNewVm(with_files))
        assert [problem.field for problem in found] == [NewVmField.SOURCE, NewVmField.DISK]
        with pytest.raises(UnsupportedError):
            create.create_sample_guest(context, CreateSampleGuest(HOST))
        assert list(context.images_dir.iterdir()) == []
    finally:
        connection.close()
