"""``<disk>``: drives of every kind (formatdomain.html, "Hard drives, floppy disks, CDROMs")."""

from __future__ import annotations

from guivm.engine.xml.device import BootableDevice, Reconnect, VirtioOptions
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import (
    INTEGER,
    ON_OFF,
    YES_NO,
    ByteSize,
    Child,
    Children,
    Flag,
    attribute,
    child_text,
)


class SourceHost(XmlNode):
    """A server of a network disk."""

    __slots__ = ()

    name = attribute("@name")
    port = attribute("@port", INTEGER)
    transport = attribute("@transport")  # "tcp", "rdma", "unix"
    socket = attribute("@socket")


class Encryption(XmlNode):
    """``<encryption>``: the passphrase lives in a libvirt secret."""

    __slots__ = ()

    format = attribute("@format")  # "luks", "luks2", "qcow", "default"
    engine = attribute("@engine")  # "qemu", "librbd"
    secret_type = attribute("secret/@type")  # "passphrase"
    secret_uuid = attribute("secret/@uuid")
    secret_usage = attribute("secret/@usage")


class Auth(XmlNode):
    """``<auth>``: who asks the server of a network disk; the password lives in a libvirt secret."""

    __slots__ = ()

    user_name = attribute("@username")
    secret_type = attribute("secret/@type")  # "ceph", "iscsi"
    secret_uuid = attribute("secret/@uuid")
    secret_usage = attribute("secret/@usage")


class StorageSource(XmlNode):
    """``<source>``: where the data of a drive is."""

    __slots__ = ()

    file = attribute("@file")
    dev = attribute("@dev")
    dir = attribute("@dir")
    pool = attribute("@pool")
    volume = attribute("@volume")
    volume_mode = attribute("@mode")  # of an iSCSI pool: "host", "direct"
    startup_policy = attribute("@startupPolicy")  # "mandatory", "requisite", "optional"
    index = attribute("@index", INTEGER)  # active XML only: name of the node for block jobs
    protocol = attribute("@protocol")  # "nbd", "rbd", "iscsi", "https", …
    name = attribute("@name")
    query = attribute("@query")
    tls = attribute("@tls", YES_NO)
    tls_host_name = attribute("@tlsHostname")
    hosts = Children(SourceHost, "host")
    snapshot = attribute("snapshot/@name")  # of "rbd", like the next
    config_file = attribute("config/@file")
    initiator = attribute("initiator/iqn/@name")  # of "iscsi"
    verify_certificate = attribute("ssl/@verify", YES_NO)
    read_ahead_bytes = attribute("readahead/@size", INTEGER)
    timeout_s = attribute("timeout/@seconds", INTEGER)
    nfs_user = attribute("identity/@user")
    nfs_group = attribute("identity/@group")
    slice_offset = attribute("slices/slice/@offset", INTEGER)  # bytes, like the next
    slice_size = attribute("slices/slice/@size", INTEGER)
    type = attribute("@type")  # of vhost-user ("unix") and NVMe ("pci")
    path = attribute("@path")  # of a vhost-user socket
    namespace = attribute("@namespace", INTEGER)  # of NVMe
    managed = attribute("@managed", YES_NO)
    reconnect = Child(Reconnect, "reconnect")
    encryption = Child(Encryption, "encryption")
    auth = Child(Auth, "auth")

    @property
    def location(self) -> str:
        """File, block device or directory on the host; empty for another kind of source."""
        return self.file or self.dev or self.dir or ""


class BackingStore(XmlNode):
    """``<backingStore>``: the image below. libvirt reports it; an empty element ends the chain."""

    __slots__ = ()

    type = attribute("@type")
    index = attribute("@index", INTEGER)
    format = attribute("format/@type")
    source = Child(StorageSource, "source")
    backing_store: Child[BackingStore] = Child(lambda: BackingStore, "backingStore")


class Mirror(XmlNode):
    """``<mirror>``: a copy that a block job is making. Active XML only; libvirt ignores it in a definition."""

    __slots__ = ()

    type = attribute("@type")
    job = attribute("@job")  # "copy", "active-commit"
    ready = attribute("@ready")  # "yes", "abort", "pivot"
    format = attribute("format/@type")
    source = Child(StorageSource, "source")


class DiskIoTune(XmlNode):
    """``<iotune>``: throttling. Bytes or operations per second; a total excludes its read and write.

    ``…_max``: what a burst may take; ``…_max_length_s``: how long, in seconds.
    """

    __slots__ = ()

    total_bytes = child_text("total_bytes_sec", INTEGER)
    read_bytes = child_text("read_bytes_sec", INTEGER)
    write_bytes = child_text("write_bytes_sec", INTEGER)
    total_iops = child_text("total_iops_sec", INTEGER)
    read_iops = child_text("read_iops_sec", INTEGER)
    write_iops = child_text("write_iops_sec", INTEGER)
    total_bytes_max = child_text("total_bytes_sec_max", INTEGER)
    read_bytes_max = child_text("read_bytes_sec_max", INTEGER)
    write_bytes_max = child_text("write_bytes_sec_max", INTEGER)
    total_iops_max = child_text("total_iops_sec_max", INTEGER)
    read_iops_max = child_text("read_iops_sec_max", INTEGER)
    write_iops_max = child_text("write_iops_sec_max", INTEGER)
    total_bytes_max_length_s = child_text("total_bytes_sec_max_length", INTEGER)
    read_bytes_max_length_s = child_text("read_bytes_sec_max_length", INTEGER)
    write_bytes_max_length_s = child_text("write_bytes_sec_max_length", INTEGER)
    total_iops_max_length_s = child_text("total_iops_sec_max_length", INTEGER)
    read_iops_max_length_s = child_text("read_iops_sec_max_length", INTEGER)
    write_iops_max_length_s = child_text("write_iops_sec_max_length", INTEGER)
    iops_size_bytes = child_text("size_iops_sec", INTEGER)
    group = child_text("group_name")


class Disk(VirtioOptions, BootableDevice):
    __slots__ = ()

    type = attribute("@type")  # "file", "block", "network", "volume", "dir", "nvme", "vhostuser"
    device = attribute("@device")  # "disk", "cdrom", "floppy", "lun"
    model = attribute("@model")  # "virtio-transitional", …
    snapshot = attribute("@snapshot")  # "no", "internal", "external"
    raw_io = attribute("@rawio", YES_NO)  # of "lun", like the next
    sg_io = attribute("@sgio")  # "filtered", "unfiltered"
    driver_name = attribute("driver/@name")
    driver_type = attribute("driver/@type")  # "qcow2", "raw", …
    cache = attribute("driver/@cache")  # "none", "writeback", "writethrough", "directsync", "unsafe"
    io = attribute("driver/@io")  # "native", "threads", "io_uring"
    discard = attribute("driver/@discard")  # "unmap", "ignore"
    discard_no_unref = attribute("driver/@discard_no_unref", ON_OFF)  # libvirt 9.5
    detect_zeroes = attribute("driver/@detect_zeroes")  # "off", "on", "unmap"
    error_policy = attribute("driver/@error_policy")  # "stop", "report", "ignore", "enospace"
    read_error_policy = attribute("driver/@rerror_policy")  # "stop", "report", "ignore"
    copy_on_read = attribute("driver/@copy_on_read", ON_OFF)
    queues = attribute("driver/@queues", INTEGER)
    queue_size = attribute("driver/@queue_size", INTEGER)
    io_thread = attribute("driver/@iothread", INTEGER)
    ioeventfd = attribute("driver/@ioeventfd", ON_OFF)
    event_idx = attribute("driver/@event_idx", ON_OFF)
    metadata_cache_bytes = ByteSize("driver/metadata_cache/max_size")  # of qcow2
    source = Child(StorageSource, "source")
    source_file = attribute("source/@file")
    source_dev = attribute("source/@dev")
    source_dir = attribute("source/@dir")
    source_pool = attribute("source/@pool")
    source_volume = attribute("source/@volume")
    source_name = attribute("source/@name")
    source_protocol = attribute("source/@protocol")
    startup_policy = attribute("source/@startupPolicy")
    backing_store = Child(BackingStore, "backingStore")
    mirror = Child(Mirror, "mirror")
    target_dev = attribute("target/@dev")
    target_bus = attribute("target/@bus")
    removable = attribute("target/@removable", ON_OFF)
    tray = attribute("target/@tray")  # "open", "closed"
    rotation_rate = attribute("target/@rotation_rate", INTEGER)  # 1: solid state; else turns per minute
    serial = child_text("serial")
    wwn = child_text("wwn")
    vendor = child_text("vendor")
    product = child_text("product")
    read_only = Flag("readonly")
    shareable = Flag("shareable")
    transient = Flag("transient")
    transient_share_backing = attribute("transient/@shareBacking", YES_NO)
    io_tune = Child(DiskIoTune, "iotune")
    logical_block_bytes = attribute("blockio/@logical_block_size", INTEGER)
    physical_block_bytes = attribute("blockio/@physical_block_size", INTEGER)
    encryption = Child(Encryption, "encryption")  # older place; libvirt writes it under <source> when it was there
    auth = Child(Auth, "auth")  # likewise

    @property
    def path(self) -> str:
        """File, block device or directory of the drive on its host; empty for none or for another kind of source."""
        return self.source.location
