"""The question for a user name and a password, where a display asks for them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFormLayout, QLineEdit, QPushButton, QWidget

from guivm.views import icons
from guivm.views.state_page import StatePage
from guivm.views.theme import GRID

_COLUMN = 44 * GRID


class CredentialsPage(StatePage):
    """Shown instead of the console. What is typed is kept for as long as the console is. GUI thread."""

    given = Signal(str, str)  # user name (may be empty), password

    def __init__(self, parent: QWidget) -> None:
        super().__init__("console-credentials", "lock", "", "", parent, width=_COLUMN)
        self.title.setText(self.tr("The display asks for a password"))
        self.user = QLineEdit(self)
        self.user.setObjectName("credentials-user")
        self.user.setAccessibleName(self.tr("User name"))
        self.password = QLineEdit(self)
        self.password.setObjectName("credentials-password")
        self.password.setAccessibleName(self.tr("Password"))
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.form = QFormLayout()
        self.form.setHorizontalSpacing(2 * GRID)
        self.form.setVerticalSpacing(GRID)
        self.form.addRow(self.tr("User name"), self.user)
        self.form.addRow(self.tr("Password"), self.password)
        self.button = QPushButton(self.tr("Connect"), self)
        self.button.setObjectName("credentials-connect")
        self.button.setProperty("kind", "primary")
        self.button.clicked.connect(self._on_given)
        for field in (self.user, self.password):
            field.returnPressed.connect(self._on_given)
        self.column.addSpacing(GRID)
        self.column.addLayout(self.form)
        self.column.addSpacing(GRID)
        self.column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)

    def ask(self, text: str, *, with_user: bool, was_refused: bool) -> None:
        """``text``: why, one sentence. ``with_user``: a user name is wanted too. ``was_refused``: what was given."""
        self.text.setText(text)
        self.text.setProperty("tone", "error" if was_refused else "quiet")
        self.style().polish(self.text)
        self.art.set_icon("lock", icons.Tint.ERROR if was_refused else icons.Tint.QUIET)
        self.form.setRowVisible(self.user, with_user)
        self.password.clear()
        (self.user if with_user and not self.user.text() else self.password).setFocus()

    @Slot()
    def _on_given(self) -> None:
        if self.password.text():
            self.given.emit(self.user.text(), self.password.text())
