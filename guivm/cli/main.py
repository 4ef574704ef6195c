"""From arguments to an exit code. Results go to stdout, one-line errors to stderr; with ``--json`` stdout is one JSON
document."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from guivm import __version__
from guivm.cli import consoles, identity, life_cycle, looking, networks, power, settings, snapshots, xml_files
from guivm.cli.exits import Exit, exit_code
from guivm.cli.verbs import UsageError, Verb, Verbs, chosen
from guivm.errors import GuivmError

_EPILOG = """\
exit codes:
  0  done            3  no such VM or network      5  not possible in its present state
  1  failed          4  host cannot be reached     130  cancelled (Ctrl+C)
  2  wrong usage

Without a verb the window opens. VM is a name or a UUID. Sizes take K, M, G or T (1024-based): 512M, 20G.
"""


def build_parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--connect",
        metavar="URI",
        action="append",
        default=argparse.SUPPRESS,
        help="libvirt URI instead of this computer's own engine, e.g. test:///default; may be repeated for the window",
    )
    parser = argparse.ArgumentParser(
        prog="guivm",
        description="Virtual machines on your desktop: KVM/QEMU through libvirt.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"guivm {__version__}")
    verbs = Verbs(parser, common)
    looking.add_verbs(verbs)
    life_cycle.add_create(verbs)
    settings.add_verbs(verbs)
    power.add_verbs(verbs)
    snapshots.add_verbs(verbs)
    identity.add_verbs(verbs)
    life_cycle.add_delete(verbs)
    consoles.add_verbs(verbs)
    networks.add_verbs(verbs)
    xml_files.add_verbs(verbs)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command line; answers the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    uris: list[str] = getattr(arguments, "connect", [])
    try:
        verb = chosen(arguments)
        if verb is None:
            from guivm.app import run_window

            return run_window(uris)
        return _do(verb, arguments, uris)
    except UsageError as error:
        parser.error(str(error))
    except GuivmError as error:
        print(f"guivm: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("guivm: cancelled", file=sys.stderr)
        return Exit.CANCELLED
    except BrokenPipeError:
        return Exit.FAILED


def _do(verb: Verb, arguments: argparse.Namespace, uris: Sequence[str]) -> int:
    code = verb.begin(arguments, uris) if verb.begin is not None else None
    if verb.run is None or code is not None:
        return Exit.OK if code is None else code
    from guivm.cli.session import Session
    from guivm.engine.engine import LibvirtEngine

    session = Session(LibvirtEngine(warm_up=False), as_json=getattr(arguments, "json", False))
    try:
        session.connect(uris)
        return verb.run(session, arguments)
    finally:
        session.close()
