"""``<filesystem>``: host directories shared into the guest (formatdomain.html, "Filesystems")."""

from __future__ import annotations

from guivm.engine.xml.device import BootableDevice, VirtioOptions
from guivm.engine.xml.node import XmlNode
from guivm.engine.xml.properties import INTEGER, ON_OFF, ByteSize, Children, Flag, Size, attribute


class IdRange(XmlNode):
    """Users or groups of the guest, and who they are on the host."""

    __slots__ = ()

    start = attribute("@start", INTEGER)
    target = attribute("@target", INTEGER)
    count = attribute("@count", INTEGER)


class Filesystem(VirtioOptions, BootableDevice):
    """A host directory shared into the guest."""

    __slots__ = ()

    type = attribute("@type")  # "mount", "file", "block", "template", "ram", "bind"
    model = attribute("@model")
    access_mode = attribute("@accessmode")  # "passthrough", "mapped", "squash"
    multi_devices = attribute("@multidevs")  # "default", "remap", "forbid", "warn"
    file_mode = attribute("@fmode")  # octal, like the next
    directory_mode = attribute("@dmode")
    driver_type = attribute("driver/@type")  # "path" (9p), "virtiofs", "mtp", …
    driver_format = attribute("driver/@format")
    write_policy = attribute("driver/@wrpolicy")  # "immediate"
    queue_size = attribute("driver/@queue", INTEGER)
    binary_path = attribute("binary/@path")  # of virtiofs, like the rest of these
    extended_attributes = attribute("binary/@xattr", ON_OFF)
    cache_mode = attribute("binary/cache/@mode")  # "none", "always", "metadata"
    sandbox_mode = attribute("binary/sandbox/@mode")  # "namespace", "chroot"
    lock_posix = attribute("binary/lock/@posix", ON_OFF)
    lock_flock = attribute("binary/lock/@flock", ON_OFF)
    thread_pool_size = attribute("binary/thread_pool/@size", INTEGER)
    open_files_max = attribute("binary/openfiles/@max", INTEGER)  # libvirt 10.6
    source_dir = attribute("source/@dir")
    source_file = attribute("source/@file")
    source_dev = attribute("source/@dev")
    source_name = attribute("source/@name")
    source_socket = attribute("source/@socket")  # of a virtiofsd that somebody else runs
    source_usage_kib = Size("source/@usage", 1024, "KiB", unit_name="units")  # of "ram"
    target_dir = attribute("target/@dir")  # a path or, for 9p and virtiofs, a tag
    read_only = Flag("readonly")
    space_hard_limit_bytes = ByteSize("space_hard_limit")
    space_soft_limit_bytes = ByteSize("space_soft_limit")
    user_ids = Children(IdRange, "idmap/uid")  # libvirt 10.0, like the next
    group_ids = Children(IdRange, "idmap/gid")
