"""Words with a gap: data from which the window makes a text in the person's language; as ``str`` they are English."""

from __future__ import annotations

from dataclasses import dataclass

from guivm.text import clean_line

_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Phrase:
    """A source text with at most one gap, "{}", as in "Drive {}".

    A ``gap`` that is a phrase is translated too; one that is a plain text (a name, a figure) never is. An empty gap
    leaves no space behind.
    """

    text: str
    gap: str | Phrase = ""

    def __str__(self) -> str:
        return filled(self.text, str(self.gap))

    def cleaned(self) -> Phrase:
        """Fit to be shown, also where a file or a host had a say in it."""
        gap = self.gap.cleaned() if isinstance(self.gap, Phrase) else clean_line(self.gap, _LIMIT)
        return Phrase(clean_line(self.text, _LIMIT), gap)

    def __bool__(self) -> bool:
        return bool(self.text)


def filled(text: str, gap: str) -> str:
    """Put ``gap`` where "{}" stands in a source text or its translation."""
    return text.replace("{}", gap).strip()
