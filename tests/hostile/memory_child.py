"""Every bomb in a process that has little memory left: what does it take, and what does it end in?

``python -m tests.hostile.memory_child``: prints one JSON list per bomb: its name, the peak of resident memory above
what there was before the first (bytes), and the error it ended in, or "".
"""

from __future__ import annotations

import gc
import json
import re
import resource
from pathlib import Path

from PIL import Image

from guivm.console.frame import ClipboardPolicy
from guivm.console.rfb.errors import RfbError
from guivm.console.rfb.session import RfbSession
from guivm.console.rfb.wire import Clip, Encoding
from tests.helpers import rfb_server as srv
from tests.helpers.hostile_server import BOMB_SIZE, BOMBS, CAPS, saved
from tests.helpers.rfb_encoders import tight_picture
from tests.helpers.rfb_feed import feed

LEFT_BYTES = 640 << 20  # of address space, beyond what is used before the first bomb


def _memory(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _client() -> RfbSession:
    session = RfbSession(pauses=True)
    feed(session, srv.greeting_38(*BOMB_SIZE))
    session.set_clipboard_policy(ClipboardPolicy.BOTH)
    feed(session, CAPS + srv.clipboard(Clip.NOTIFY | Clip.TEXT))
    session.send_clipboard("text " * 1000)
    session.take_output()
    return session


def _try(data: bytes) -> str:
    """As a link does it: a piece, then what came of it."""
    session = _client()
    view = memoryview(data)
    try:
        while view or session.is_paused:
            if session.is_paused:
                session.received(0)
            else:
                target = session.buffers()[0]
                count = min(len(target), len(view))
                target[:count] = view[:count]
                view = view[count:]
                session.received(count)
            session.take_output()
            session.take_events()
    except RfbError as error:
        return error.cause
    finally:
        session.close()
    return ""


def main() -> None:
    bombs = {name: make() for name, make in BOMBS.items()}
    small = srv.rect(0, 0, 1, 1, Encoding.TIGHT_PNG, tight_picture("PNG", saved(Image.new("RGB", (1, 1)), "PNG")))
    assert _try(srv.update(small)) == ""  # what is imported late is no part of it
    gc.collect()
    gc.disable()  # as in the application, where it comes seldom
    before = _memory("VmRSS")
    limit = _memory("VmSize") + LEFT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, data in bombs.items():
        Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory begins anew
        error = _try(data)
        print(json.dumps([name, _memory("VmHWM") - before, error]), flush=True)


if __name__ == "__main__":
    main()
