"""What can go wrong before anything is typed."""

from __future__ import annotations

from guivm.errors import GuivmError


class TypingError(GuivmError):
    """Text or keys cannot be typed: no tables, an unknown layout or key name, too much text."""
