"""The language of scripts in short, for ``--help``, and its numbers. Light: every command line imports it."""

from __future__ import annotations

SUMMARY = """\
script:
  type TEXT, typeline TEXT        type it; typeline presses Enter after it
  typefile FILE                   type what is in a file
  layout NAME                     of the guest's keyboard from here on: us, de, fr(bepo)
  key COMBO...                    press and release: key ctrl-alt-del, key down down enter
  keydown COMBO, keyup COMBO      hold keys, let go of them
  move X Y                        pointer to a place on the screen, in pixels
  click [BUTTON] [X Y]            left, middle, right or a number; also doubleclick
  mousedown BUTTON, mouseup BUTTON
  drag [X Y] X Y [BUTTON]         from the first place to the second; one place: only move there in small steps
  wheel up|down|left|right [N]
  sleep SECONDS                   also pause
  wait-picture FILE [region X Y W H] [tolerance 0-255] [timeout S]
  wait-text TEXT [region X Y W H] [timeout S]
  wait-still [SECONDS] [region X Y W H] [timeout S]
  capture FILE [region X Y W H]   save the screen
  paste TEXT                      into the guest's clipboard
  timeout S                       of the waits that follow
  set NAME VALUE                  a variable, unless --set gave it; $NAME puts it in
  expect FILE [FUZZ], rexpect FILE X Y [FUZZ], rcapture FILE X Y W H     as in vncdotool
A word with blanks goes in quotes; # begins a comment. Files are relative to the script's folder.
"""

DEFAULT_TIMEOUT_S = 60.0
"""Of waits that name none."""

MAX_SECONDS = 86_400.0

DEFAULT_RATE = 25.0
"""Keystrokes a second that nothing loses; see :mod:`guivm.console.input.typist` for why."""
