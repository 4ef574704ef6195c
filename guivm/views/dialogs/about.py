"""What this is, its licence, and the versions a problem report needs."""

from __future__ import annotations

import importlib.metadata
import platform

from PySide6.QtCore import QSize, Qt, Slot, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from guivm import __version__
from guivm.views.dialogs.base import VerbDialog
from guivm.views.forms import ToneLabel, plain_label
from guivm.views.icons import Tint, icon
from guivm.views.theme import GRID

_WIDTH = 520
_ICON = 8 * GRID
# Distribution, licence (SPDX). The licences are those the packages declare.
LIBRARIES = (
    ("PySide6-Essentials", "LGPL-3.0-only"),
    ("libvirt-python", "LGPL-2.1-or-later"),
    ("lxml", "BSD-3-Clause"),
    ("numpy", "BSD-3-Clause"),
    ("platformdirs", "MIT"),
    ("pyqtgraph", "MIT"),
    ("vncdotool", "MIT"),
)


def versions() -> str:
    """Versions of the application, Python, Qt and the libraries; one a line."""
    lines = [f"guivm {__version__}", f"Python {platform.python_version()}", f"Qt {qVersion()}"]
    for name, licence in LIBRARIES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not found"
        lines.append(f"{name} {version} ({licence})")
    lines.append(platform.platform())
    return "\n".join(lines)


class AboutDialog(VerbDialog):
    """Plain facts with a Copy button."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("About guivm"), "", parent, name="about", width=_WIDTH)
        sign = QLabel(self.content)
        sign.setPixmap(icon("machine", Tint.ACCENT).pixmap(QSize(_ICON, _ICON), self.devicePixelRatioF()))
        sign.setAlignment(Qt.AlignmentFlag.AlignTop)
        name = plain_label("guivm", self.content)
        name.setProperty("role", "title")
        version = plain_label(self.tr("Version {version}").format(version=__version__), self.content)
        version.setProperty("tone", "quiet")
        words = plain_label(
            self.tr("Virtual machines on your desktop, with KVM and QEMU through libvirt."), self.content, wrap=True
        )
        licence = ToneLabel(
            self.tr(
                "Free software under the GNU General Public License, version 3 or later. It comes without any warranty."
            ),
            self.content,
        )
        head = QHBoxLayout()
        head.setSpacing(2 * GRID)
        text = QVBoxLayout()
        text.setSpacing(GRID // 2)
        for widget in (name, version, words, licence):
            text.addWidget(widget)
        head.addWidget(sign)
        head.addLayout(text, 1)
        self.body.addLayout(head)
        self.libraries = QPlainTextEdit(versions(), self.content)
        self.libraries.setObjectName("libraries")
        self.libraries.setAccessibleName(self.tr("Versions of guivm and its libraries"))
        self.libraries.setReadOnly(True)
        self.libraries.setTabChangesFocus(True)
        self.libraries.setFixedHeight(self.libraries.fontMetrics().lineSpacing() * (len(LIBRARIES) + 4) + 3 * GRID)
        self.body.addWidget(self.libraries)
        copy = QPushButton(self.tr("Co&py"), self)
        copy.setObjectName("copy-versions")
        copy.setAccessibleName(self.tr("Copy the versions"))
        copy.setAutoDefault(False)
        copy.clicked.connect(self._on_copy)
        self.buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.libraries.toPlainText())
