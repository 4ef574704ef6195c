"""``guivm`` and ``python -m guivm``: the window when no verb is given, else the command-line twin."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def window_uris(argv: Sequence[str]) -> list[str] | None:
    """The URIs when ``argv`` asks for nothing but the window: ``[--connect URI]…``. None: look closer."""
    if len(argv) % 2 or any(option != "--connect" for option in argv[::2]):
        return None
    uris = list(argv[1::2])
    return None if any(uri.startswith("-") for uri in uris) else uris


def main() -> int:
    """Entry point of the ``guivm`` command; answers the exit code."""
    uris = window_uris(sys.argv[1:])
    if uris is None:
        from guivm.cli.main import main as cli_main

        return cli_main(sys.argv[1:])
    from guivm import libraries

    libraries.open_ahead()
    from guivm import startup

    startup.hurry()
    # Without argparse and the words of twenty verbs the window is there a tenth sooner.
    from guivm.app import run_window

    try:
        return run_window(uris)
    except KeyboardInterrupt:  # before the window took care of it
        return 130


if __name__ == "__main__":
    sys.exit(main())
