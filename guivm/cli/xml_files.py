"""``xml check``: shows that guivm does not change a definition that it reads."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from guivm.cli.exits import Exit
from guivm.cli.output import jsonable, print_json
from guivm.cli.verbs import Verbs


def add_verbs(verbs: Verbs) -> None:
    parser = verbs.add("xml", "check that definitions in libvirt's XML are kept as they are", begin=_check)
    parser.add_argument("action", choices=("check",), help="read, write again and print each difference; 1 if any")
    parser.add_argument("files", metavar="FILE", nargs="+", help="XML of any kind libvirt has; “-” for standard input")


def _check(arguments: argparse.Namespace, _uris: Sequence[str]) -> int:
    from guivm.engine.xml.check import check_file, run_check

    if not arguments.json:
        return run_check(arguments.files, sys.stdout)
    results = [(path, check_file(path)) for path in arguments.files]
    print_json([{"file": path, "passed": result.passed} | jsonable(asdict(result)) for path, result in results])
    return Exit.OK if all(result.passed for _, result in results) else Exit.FAILED
