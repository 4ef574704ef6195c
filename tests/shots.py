"""Pictures of every window and dialog: light and dark, at 100 % and 150 %, in build/shots/ (``./dev shots``).

Each combination runs in a process of its own (Qt reads the scale factor once), offscreen, with the fake engine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "shots"
SCHEMES = ("light", "dark")
SCALES = ("1", "1.5")


def main() -> int:
    """Make all pictures; answers the exit code."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for old in OUTPUT.glob("*.png"):
        old.unlink()
    for scale in SCALES:
        for scheme in SCHEMES:
            platform = f"offscreen:configfile={_screen(OUTPUT)}"
            env = {**os.environ, "QT_QPA_PLATFORM": platform, "QT_SCALE_FACTOR": scale}
            done = subprocess.run([sys.executable, "-m", "tests.shots", scheme, scale], env=env, cwd=ROOT, check=False)
            if done.returncode != 0:
                return done.returncode
    (OUTPUT / "screen.json").unlink()
    pictures = sorted(OUTPUT.glob("*.png"))
    print(f"{len(pictures)} pictures in {OUTPUT.relative_to(ROOT)}/")
    return 0


def _screen(directory: Path) -> Path:
    """Describe a usual screen; the offscreen platform's own is too small for a dialog at 150 %."""
    path = directory / "screen.json"
    screen = {"name": "screen", "x": 0, "y": 0, "width": 1920, "height": 1200, "logicalDpi": 96, "dpr": 1}
    path.write_text(json.dumps({"screens": [{**screen, "logicalBaseDpi": 96}]}), encoding="ascii")
    return path


def child(scheme: str, scale: str) -> int:
    """One combination."""
    from PySide6.QtCore import QCoreApplication, QEvent, QSettings
    from PySide6.QtWidgets import QApplication

    from guivm.views.settings import COLOR_SCHEME, Settings
    from guivm.views.theme import Theme
    from tests.helpers.scenes import scenes

    app = QApplication(["guivm"])
    store = QSettings(str(OUTPUT / "settings.ini"), QSettings.Format.IniFormat)
    store.clear()
    settings = Settings(store, app)
    settings.set(COLOR_SCHEME, scheme)
    theme = Theme(app, settings)
    assert theme is not None
    percent = round(float(scale) * 100)
    makers: Iterator[tuple[str, Callable[[], QWidget]]] = iter(scenes(settings).items())
    wanted = os.environ.get("SHOTS", "")  # part of a name, while one works on it
    for name, make in makers:
        if wanted not in name:
            continue
        widget = make()
        widget.grab().save(str(OUTPUT / f"{name}-{scheme}-{percent}.png"))
        for top in QApplication.topLevelWidgets():
            top.close()
            top.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    store.clear()
    (OUTPUT / "settings.ini").unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(child(sys.argv[1], sys.argv[2]) if len(sys.argv) == 3 else main())
