"""A host that is reached through SSH: a real sshd for each connection, on the client's pipe instead of a port.

Keys, known hosts and settings are its own; nothing of the person's or the system's is read.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from guivm.engine.job_types import SshTarget


class SshHost:
    NAME = "vm-host.example"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own start script makes it
        self._make_key("host_key")
        self._make_key("client_key")
        self._make_key("other_key")
        client = (directory / "client_key.pub").read_text()
        (directory / "authorized_keys").write_text(client)
        host = (directory / "host_key.pub").read_text()
        (directory / "known_hosts").write_text(f"{self.NAME} {host}")
        (directory / "sshd_config").write_text(
            f"HostKey {directory}/host_key\n"
            f"AuthorizedKeysFile {directory}/authorized_keys\n"
            "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
        )
        self.write_config()
        self.command = directory / "ssh"
        self.command.write_text(f'#!/bin/sh\nexec ssh -F {directory}/ssh_config "$@"\n')
        self.command.chmod(0o755)

    def write_config(self, key: str = "client_key", known_hosts: str = "known_hosts") -> None:
        (self.directory / "ssh_config").write_text(
            f"ProxyCommand /usr/sbin/sshd -i -f {self.directory}/sshd_config\n"
            f"IdentityFile {self.directory}/{key}\nIdentitiesOnly yes\n"
            f"UserKnownHostsFile {self.directory}/{known_hosts}\nGlobalKnownHostsFile none\n"
            "StrictHostKeyChecking yes\n"
        )

    @property
    def target(self) -> SshTarget:
        return SshTarget(self.NAME, user=getpass.getuser(), command=str(self.command))

    def _make_key(self, name: str) -> None:
        path = self.directory / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
