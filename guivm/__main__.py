"""``guivm`` and ``python -m guivm``: the window when no verb is given, else the command-line twin."""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point of the ``guivm`` command; answers the exit code."""
    from guivm.cli import main as cli_main

    return cli_main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
