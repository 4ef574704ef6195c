"""What came of an Apply, in a line and its details. No widgets."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from guivm.engine.options.values import AppliedSettings, Change, Outcome, Reach
from guivm.views.vm_settings.editors import translated


def _tr(text: str) -> str:
    return QCoreApplication.translate("Outcomes", text)


def change_words(change: Change) -> str:
    """Which setting of which part: "Drive vda: Cache"."""
    return ": ".join(part for part in (translated(change.device), translated(change.label)) if part)


def outcome_words(result: AppliedSettings, *, is_running: bool) -> tuple[str, str]:
    """The sentence, and the lines behind Details: what waits and why."""
    waiting = [outcome for outcome in result.outcomes if outcome.reach is Reach.NEXT_START]
    done = len(result.outcomes) - len(waiting)
    if not is_running:
        return _tr("Applied."), ""
    if not waiting:
        return _tr("Applied: the running VM has it, and so has every start from now on."), ""
    if not done:
        text = (
            _tr("Stored. It comes into force at the next start.")
            if len(waiting) == 1
            else _tr("Stored. {n} changes come into force at the next start.").format(n=len(waiting))
        )
    else:
        text = (
            _tr("Applied. The running VM took {done}; 1 change waits for the next start.").format(done=done)
            if len(waiting) == 1
            else _tr("Applied. The running VM took {done}; {n} changes wait for the next start.").format(
                done=done, n=len(waiting)
            )
        )
    return text, "\n".join(_line(outcome) for outcome in waiting)


def _line(outcome: Outcome) -> str:
    words = change_words(outcome.change)
    return f"{words}  –  {translated(outcome.reason)}" if outcome.reason else words


def rebased_words(lost: tuple[Change, ...]) -> tuple[str, str]:
    """The same, after edits were made again on what somebody else stored."""
    if not lost:
        return _tr("Your edits are on top of what is there now. Look at them, then apply."), ""
    text = _tr("{n} of your edits have no place any more; the others are kept.").format(n=len(lost))
    return text, "\n".join(f"{change_words(change)}  –  {translated(change.new)}" for change in lost)
