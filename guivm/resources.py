"""The one way to a bundled file: icons, translations, help texts, data tables."""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "data"
_CHECKOUT = Path(__file__).parent.parent / "resources"


def resource_path(relative: str) -> Path:
    """Return the path of ``resources/relative``, installed or in a checkout.

    Raises FileNotFoundError when there is no such file: a broken installation, not a person's mistake.
    """
    for root in (_PACKAGED, _CHECKOUT):
        path = root / relative
        if path.exists():
            return path
    raise FileNotFoundError(f"bundled file is missing: {relative}")
