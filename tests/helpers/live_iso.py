"""A bootable CD with the sample guest on it, as a distribution's live CD is made: ISOLINUX, kernel, initramfs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.helpers.guests import CACHE, sample_guest

# Debian's packages isolinux and syslinux-common
_LOADER = (Path("/usr/lib/ISOLINUX/isolinux.bin"), Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"))


def live_iso() -> Path:
    """The CD image, built once per checkout."""
    guest = sample_guest()
    built = CACHE / f"live-{guest.initrd.parent.name}.iso"
    if built.exists():
        return built
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        tree = Path(name) / "tree"
        loader = tree / "isolinux"
        loader.mkdir(parents=True)
        for path in _LOADER:
            shutil.copy(path, loader)
        for path, target in ((guest.efi_kernel, "vmlinuz"), (guest.initrd, "initrd")):
            os.link(path, tree / target)
        (loader / "isolinux.cfg").write_text(
            f"default live\nlabel live\nlinux /vmlinuz\ninitrd /initrd\nappend {guest.arguments}\n", encoding="ascii"
        )
        iso = Path(name) / "live.iso"
        subprocess.run(
            [
                *("xorriso", "-as", "mkisofs", "-quiet", "-V", "GUIVM_LIVE", "-b", "isolinux/isolinux.bin"),
                *("-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"),
                *("-o", str(iso), str(tree)),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        iso.rename(built)
    return built
