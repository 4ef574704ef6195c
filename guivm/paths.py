"""Where things live on this machine. Directories are made on demand, private to the person (0700)."""

from __future__ import annotations

from pathlib import Path

_APP = "guivm"


def _private(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def data_dir() -> Path:
    """``$XDG_DATA_HOME/guivm``: disk images, the embedded engine, deleted files kept for undo."""
    import platformdirs

    return _private(Path(platformdirs.user_data_dir(_APP)))


def images_dir() -> Path:
    """Default folder of new disk images on this computer."""
    return _private(data_dir() / "images")


def embed_root() -> Path:
    """Root of the embedded QEMU driver (``qemu:///embed?root=…``)."""
    return _private(data_dir() / "embed")


def cache_dir() -> Path:
    """``$XDG_CACHE_HOME/guivm``: what can be made anew, such as the sample guest."""
    import platformdirs

    return _private(Path(platformdirs.user_cache_dir(_APP)))


def config_dir() -> Path:
    """``$XDG_CONFIG_HOME/guivm``: settings."""
    import platformdirs

    return _private(Path(platformdirs.user_config_dir(_APP)))


def log_dir() -> Path:
    """``$XDG_STATE_HOME/guivm``: logs."""
    import platformdirs

    return _private(Path(platformdirs.user_state_dir(_APP)))


def runtime_dir() -> Path:
    """``$XDG_RUNTIME_DIR/guivm``: sockets of running programs; where there is none, a directory in ``/tmp``.

    Raises PermissionError when somebody else has taken the name in ``/tmp``.
    """
    import os
    import stat
    import tempfile

    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and Path(given).is_dir():
        return _private(Path(given) / _APP)
    path = _private(Path(tempfile.gettempdir()) / f"{_APP}-{os.geteuid()}")
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o700:
        raise PermissionError(f"{path} is not ours alone")
    return path
