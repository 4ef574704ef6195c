"""How much memory the guest has, beside what the host has and what its running VMs have been promised. GUI thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QRectF, QSize, Qt, Slot
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QSlider, QVBoxLayout, QWidget

from guivm.engine.options.facts import HostFacts
from guivm.engine.options.option import Option, SizeUnit
from guivm.engine.options.sizes import size_words
from guivm.engine.xml.domain import DomainXml
from guivm.views.forms import NoteLine, Tone
from guivm.views.theme import GRID, mix, tokens_for
from guivm.views.vm_settings.draft import Draft, Part
from guivm.views.vm_settings.editors import translated
from guivm.views.vm_settings.pieces import QuietSize
from guivm.views.vm_settings.registry import CustomEditor

_BAR_HEIGHT = 14
_LEAST_MIB = 1


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """All in MiB. ``others``: what the other running VMs may take."""

    host: int
    others: int
    mine: int

    @property
    def promised(self) -> int:
        return self.others + self.mine

    @property
    def missing(self) -> int:
        """What the host has too little."""
        return max(0, self.promised - self.host)


def memory_shares(facts: HostFacts, domain: DomainXml) -> MemoryShares:
    others = sum(other.memory_kib for other in facts.others if other.is_active)
    return MemoryShares(
        facts.capabilities.memory_bytes >> 20, others >> 10, (domain.memory_kib or domain.current_memory_kib or 0) >> 10
    )


def _rounded(mib: int) -> str:
    if mib < 1024:
        return f"{mib} MiB"
    return f"{mib / 1024:.1f}".removesuffix(".0") + " GiB"


class MemoryBar(QWidget):
    """The host's memory as a bar: the other VMs' share, this one's, what is left. A line marks where it ends."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("memory-bar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._shares = MemoryShares(0, 0, 0)

    def show_shares(self, shares: MemoryShares) -> None:
        if shares != self._shares:
            self._shares = shares
            self.setAccessibleName(self._words())
            self.update()

    def _words(self) -> str:
        shares = self._shares
        return self.tr("This VM {mine}, other running VMs {others}, of {host} that the host has").format(
            mine=_rounded(shares.mine), others=_rounded(shares.others), host=_rounded(shares.host)
        )

    def sizeHint(self) -> QSize:
        return QSize(30 * GRID, _BAR_HEIGHT + GRID // 2 + self.fontMetrics().height())

    minimumSizeHint = sizeHint

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = tokens_for(self.palette())
        shares = self._shares
        total = max(shares.host, shares.promised, 1)
        bar = QRectF(0, 0, self.width(), _BAR_HEIGHT)
        clip = QPainterPath()
        clip.addRoundedRect(bar, 5, 5)
        painter.save()
        painter.setClipPath(clip)
        painter.fillRect(bar, tokens.pressed)
        quiet = mix(tokens.quiet, tokens.card, 0.55)
        mine = tokens.error if shares.missing else tokens.accent
        left = bar.width() * shares.others / total
        width = bar.width() * shares.mine / total
        painter.fillRect(QRectF(0, 0, left, _BAR_HEIGHT), quiet)
        painter.fillRect(QRectF(left, 0, width, _BAR_HEIGHT), mine)
        painter.restore()
        if shares.missing and shares.host:
            edge = bar.width() * shares.host / total
            painter.setPen(QPen(tokens.text, 2))
            painter.drawLine(round(edge), 0, round(edge), _BAR_HEIGHT)
        self._paint_legend(
            painter,
            [
                (quiet, self.tr("Other running VMs {n}").format(n=_rounded(shares.others))),
                (mine, self.tr("This VM {n}").format(n=_rounded(shares.mine))),
                (tokens.pressed, self.tr("Left {n}").format(n=_rounded(max(0, shares.host - shares.promised)))),
            ],
            tokens.quiet,
        )

    def _paint_legend(self, painter: QPainter, entries: list[tuple[QColor, str]], text_color: QColor) -> None:
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 0.9)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        top = _BAR_HEIGHT + GRID // 2
        height = self.height() - top
        x = 0.0
        for color, words in entries:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawEllipse(QRectF(x, top + height / 2 - 4, 8, 8))
            painter.setPen(text_color)
            width = metrics.horizontalAdvance(words)
            painter.drawText(QRectF(x + 14, top, width + 2, height), Qt.AlignmentFlag.AlignVCenter, words)
            x += 14 + width + 3 * GRID


class MemoryAmountEditor(CustomEditor):
    """The maximum: slider and number. What of it the guest has now is an option of its own."""

    def __init__(self, draft: Draft, part: Part, option: Option[Any], parent: QWidget) -> None:
        super().__init__(draft, part, option, parent)
        host = max(draft.settings.facts.capabilities.memory_bytes >> 20, 1024)
        self.spin = QuietSize("memory-maximum", translated(option.label), self)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setObjectName("memory-slider")
        self.slider.setAccessibleName(translated(option.label))
        self.slider.setRange(0, max(host // 256, 1))  # in steps of 256 MiB
        self.slider.setPageStep(4)
        self.bar = MemoryBar(self)
        self.note = NoteLine("", self)
        line = QHBoxLayout()
        line.setSpacing(2 * GRID)
        line.addWidget(self.slider, 1)
        line.addWidget(self.spin)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GRID // 2, 0, 0)
        column.setSpacing(GRID)
        column.addLayout(line)
        column.addWidget(self.bar)
        column.addWidget(self.note)
        self.setFocusProxy(self.spin)
        self.spin.valueChanged.connect(self._on_value)
        self.slider.valueChanged.connect(self._on_slid)

    def refresh(self) -> None:
        kib = self.draft.domain.memory_kib or 0
        mib = kib >> 10
        self.spin.show_value(max(mib, _LEAST_MIB))
        self.slider.blockSignals(True)
        self.slider.setValue(mib // 256)
        self.slider.blockSignals(False)
        facts = self.draft.settings.facts
        shares = memory_shares(facts, self.draft.domain)
        self.bar.show_shares(shares)
        self.bar.setVisible(shares.host > 0)
        text, tone = self._judge(shares)
        self.note.set_problem(text, tone)
        self.note.setVisible(bool(text))

    def _judge(self, shares: MemoryShares) -> tuple[str, Tone]:
        if not shares.host:
            return "", Tone.HELP
        if shares.mine > shares.host:
            return self.tr("This is more than the host has: when the guest uses it, the host swaps and all is slow."), (
                Tone.WARNING
            )
        if shares.missing:
            return self.tr(
                "Together the running VMs are promised {promised}, {missing} more than the host has. That works only "
                "while they do not all use it."
            ).format(promised=_rounded(shares.promised), missing=_rounded(shares.missing)), Tone.WARNING
        if shares.promised > shares.host * 9 // 10:
            return self.tr("Little is left for the host itself; it may begin to swap."), Tone.WARNING
        return "", Tone.HELP

    @Slot(int)
    def _on_slid(self, step: int) -> None:
        self._store(max(step * 256, 256))

    @Slot(int)
    def _on_value(self, mib: int) -> None:
        self._store(mib)

    def _store(self, mib: int) -> None:
        if mib != (self.draft.domain.memory_kib or 0) >> 10:
            self.draft.set_value(self.part, self.option, size_words(mib << 10, SizeUnit.KIB))
