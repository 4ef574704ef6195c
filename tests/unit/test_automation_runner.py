"""Running scripts against a display: what it is told, what is waited for, and how things end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from guivm.automation import pictures
from guivm.automation.gate import Gate
from guivm.automation.remote import CancelFlag, Remote
from guivm.automation.runner import Ended, ExpectationError, Failure, Options, Progress, Runner, Started
from guivm.automation.script import parse
from guivm.console.frame import Rect
from guivm.console.rfb.errors import RfbError
from guivm.errors import CancelledError, ConsoleError, GuivmError
from tests.helpers import rfb_server as srv
from tests.helpers.rfb_server import KeyMessage, Pixels, picture
from tests.helpers.vnc_display import Input, VncDisplay

WIDTH, HEIGHT = 96, 64
SHIFT, CTRL, ALT, DEL, ENTER = 42, 29, 56, 0xD3, 28


class Desk:
    """A display, the gate before it, and a runner's remote behind that."""

    def __init__(self, display: VncDisplay, directory: Path) -> None:
        self.display = display
        self.directory = directory
        self.cancel = CancelFlag()
        self.news: list[Progress] = []
        self.read_text: Callable[[Pixels, Rect | None], str] | None = None
        self._gates = directory / "gates"
        self._gates.mkdir()

    def run(self, text: str, **variables: str) -> Failure | None:
        script = parse(text, variables=variables, timeout_s=10)
        with Gate(self.display.endpoint(), directory=self._gates) as gate:
            remote = Remote(gate.path, self.cancel)
            try:
                remote.open()
                options = Options(
                    self.directory,
                    rate=1000,
                    failure_picture=self.directory / "failed.png",
                    read_text=self.read_text,
                )
                failure = Runner(remote, options, self.news.append).run(script)
            finally:
                remote.close()
            gate.finish()
        self.display.close()
        assert self.display.problem is None
        return failure

    def save(self, name: str, pixels: Pixels) -> None:
        """B, G, R, X as a picture file."""
        Image.fromarray(np.ascontiguousarray(pixels[:, :, 2::-1])).save(self.directory / name)

    def load(self, name: str) -> Pixels:
        """R, G, B."""
        with Image.open(self.directory / name) as image:
            return np.asarray(image.convert("RGB"))


@contextmanager
def desk_with(display: VncDisplay, directory: Path) -> Iterator[Desk]:
    desk = Desk(display, directory)
    try:
        yield desk
    finally:
        display.close()
        desk.cancel.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with desk_with(VncDisplay(picture(WIDTH, HEIGHT)), tmp_path) as value:
        yield value


def on_key(display: VncDisplay, number: int, do: Callable[[], None]) -> None:
    """When this key goes up."""

    def on_input(message: Input) -> None:
        if isinstance(message, KeyMessage) and message.number == number and not message.pressed:
            do()

    display.on_input = on_input


def test_keys_go_as_places_on_the_keyboard(desk: Desk) -> None:
    assert desk.run("layout us\ntype aZ\nkey ctrl-alt-del enter\nkeydown ctrl\nkeyup ctrl") is None
    assert desk.display.key_presses() == [
        *((30, True), (30, False)),
        *((SHIFT, True), (44, True), (44, False), (SHIFT, False)),
        *((CTRL, True), (ALT, True), (DEL, True), (DEL, False), (ALT, False), (CTRL, False)),
        *((ENTER, True), (ENTER, False)),
        *((CTRL, True), (CTRL, False)),
    ]


def test_the_layout_decides_where_a_character_is(desk: Desk) -> None:
    assert desk.run("layout de\ntype z\nkey ctrl-z") is None
    assert [key for key, pressed in desk.display.key_presses() if pressed] == [21, CTRL, 21]


def test_a_server_without_extended_keys_gets_keysyms(tmp_path: Path) -> None:
    with desk_with(VncDisplay(picture(WIDTH, HEIGHT), extended_keys=False), tmp_path) as desk:
        assert desk.run("typeline aB") is None
        assert [key for key, pressed in desk.display.key_presses() if pressed] == [0x61, 0xFFE1, 0x42, 0xFF0D]


def test_pointer(desk: Desk) -> None:
    assert desk.run("move 5 6\nclick\ndoubleclick right 7 8\nwheel down 2\nmousedown 2\nmouseup 2") is None
    click, right = [1, 0], [4, 0, 4, 0]
    assert desk.display.pointers() == [
        (5, 6, 0),
        *((5, 6, buttons) for buttons in click),
        (7, 8, 0),
        *((7, 8, buttons) for buttons in right),
        *((7, 8, buttons) for buttons in (16, 0, 16, 0)),
        *((7, 8, buttons) for buttons in (2, 0)),
    ]


def test_drag_goes_in_steps_with_the_button_down(desk: Desk) -> None:
    assert desk.run("drag 10 10 50 30 left") is None
    first, down, *way, up = desk.display.pointers()
    assert (first, down, up) == ((10, 10, 0), (10, 10, 1), (50, 30, 0))
    assert len(way) > 5
    assert {buttons for _, _, buttons in way} == {1}
    assert way[-1] == (50, 30, 1)


def test_a_place_outside_the_screen_is_moved_to_its_edge(desk: Desk) -> None:
    assert desk.run("move 5000 7") is None
    assert desk.display.pointers() == [(WIDTH - 1, 7, 0)]


def test_paste(desk: Desk) -> None:
    assert desk.run("paste 'grüße'") is None
    assert desk.display.inputs == ["grüße"]


def test_paste_of_what_cannot_be_pasted(desk: Desk) -> None:
    failure = desk.run("paste '漢'")
    assert failure is not None
    assert "漢" in failure.error.summary


def test_capture_is_the_screen_exactly(desk: Desk) -> None:
    assert desk.run("capture all.png\nrcapture part.png 3 4 20 10") is None
    shown = picture(WIDTH, HEIGHT)[:, :, 2::-1]
    assert np.array_equal(desk.load("all.png"), shown)
    assert np.array_equal(desk.load("part.png"), shown[4:14, 3:23])


def test_capture_follows_the_size_of_the_screen(desk: Desk) -> None:
    new = picture(160, 100, seed=9)
    on_key(desk.display, ENTER, lambda: desk.display.show(new))
    assert desk.run("key enter\ncapture a.png") is None
    assert np.array_equal(desk.load("a.png"), new[:, :, 2::-1])


def test_a_region_outside_the_screen_is_told(desk: Desk) -> None:
    failure = desk.run("rcapture a.png 90 0 20 10")
    assert failure is not None
    assert "not on the screen" in failure.error.summary
    assert not (desk.directory / "a.png").exists()


def test_wait_for_a_picture_that_appears_somewhere(desk: Desk) -> None:
    new = picture(WIDTH, HEIGHT, seed=2)
    desk.save("wanted.png", new[20:30, 40:55])
    on_key(desk.display, ENTER, lambda: desk.display.show(new))
    assert desk.run("key enter\nwait-picture wanted.png") is None
    assert [news.note for news in desk.news if isinstance(news, Ended)] == ["", "at 40 20"]


def test_a_picture_in_a_region_and_at_its_place(desk: Desk) -> None:
    shown = picture(WIDTH, HEIGHT)
    desk.save("part.png", shown[20:30, 40:55])
    desk.save("all.png", shown)
    assert desk.run("wait-picture part.png region 40 20 15 10\nwait-picture all.png\nrexpect part.png 40 20") is None


def test_a_picture_that_does_not_come_fails_with_what_was_seen(desk: Desk) -> None:
    desk.save("wanted.png", picture(9, 9, seed=5))
    failure = desk.run("sleep 0\nwait-picture wanted.png timeout 0.2\ntype never")
    assert failure is not None
    assert failure.line is not None
    assert failure.line.number == 2
    assert isinstance(failure.error, ExpectationError)
    assert "9 by 9" in failure.error.summary
    assert f"{WIDTH} by {HEIGHT}" in failure.error.summary
    assert failure.picture == desk.directory / "failed.png"
    assert np.array_equal(desk.load("failed.png"), picture(WIDTH, HEIGHT)[:, :, 2::-1])
    assert desk.display.key_presses() == []


def test_expect_tells_the_difference(desk: Desk) -> None:
    desk.save("wanted.png", picture(WIDTH, HEIGHT, seed=5))
    failure = desk.run("expect wanted.png 1 timeout 0.2")
    assert failure is not None
    assert "the difference was" in failure.error.summary


def test_wait_for_text(desk: Desk) -> None:
    desk.read_text = lambda pixels, _region: "log in:\n  root" if pixels[0, 0, 0] == 7 else "booting"
    after = picture(WIDTH, HEIGHT)
    after[0, 0, 0] = 7
    on_key(desk.display, ENTER, lambda: desk.display.show(after))
    assert desk.run("key enter\nwait-text 'in: root'") is None


def test_text_that_does_not_come_fails_with_what_was_read(desk: Desk) -> None:
    seen: list[Rect | None] = []

    def read(pixels: Pixels, region: Rect | None) -> str:
        assert np.array_equal(pixels[:, :, :3], picture(WIDTH, HEIGHT)[:, :, :3])
        seen.append(region)
        return "Kernel panic\u202e"

    desk.read_text = read
    failure = desk.run("wait-text login region 1 2 30 20 timeout 0.1")
    assert failure is not None
    assert "“Kernel panic”" in failure.error.summary
    assert set(seen) == {Rect(1, 2, 30, 20)}


def _text_or_none(pixels: Pixels, _region: Rect | None) -> str:
    from guivm.console.screentext import OcrMissingError

    if pixels[0, 0, 0] != 7:
        raise OcrMissingError
    return "login:"


def test_no_text_yet_is_no_failure(desk: Desk) -> None:
    desk.read_text = _text_or_none
    after = picture(WIDTH, HEIGHT)
    after[0, 0, 0] = 7
    on_key(desk.display, ENTER, lambda: desk.display.show(after))
    assert desk.run("key enter\nwait-text login") is None


def test_why_no_text_was_read_is_told(desk: Desk) -> None:
    desk.read_text = _text_or_none
    failure = desk.run("wait-text login timeout 0.1")
    assert failure is not None
    assert "tesseract is not installed" in failure.error.details


def test_wait_until_still(desk: Desk) -> None:
    steps = iter(range(2, 6))
    settled = threading.Event()

    def move() -> None:
        step = next(steps, None)
        if step is None:
            settled.set()
        else:
            desk.display.show(picture(WIDTH, HEIGHT, seed=step))

    for_each_request = desk.display.on_input
    assert for_each_request is None
    on_key(desk.display, ENTER, move)
    text = "key enter enter enter enter\nkey enter\nwait-still 0.3\ncapture a.png"
    assert desk.run(text) is None
    assert settled.is_set()
    assert np.array_equal(desk.load("a.png"), picture(WIDTH, HEIGHT, seed=5)[:, :, 2::-1])
    ended = [news for news in desk.news if isinstance(news, Ended)]
    assert ended[2].seconds >= 0.3


def test_a_screen_that_moves_is_not_still(desk: Desk) -> None:
    done = threading.Event()

    def move() -> None:
        seed = 2
        while not done.wait(0.02):
            desk.display.show(picture(WIDTH, HEIGHT, seed=seed))
            seed += 1

    mover = threading.Thread(target=move)
    mover.start()
    try:
        failure = desk.run("wait-still 0.5 timeout 1")
    finally:
        done.set()
        mover.join()
    assert failure is not None
    assert "nothing was still for 0.5 s" in failure.error.summary


def test_an_idle_display_is_reminded_of_us(desk: Desk) -> None:
    assert desk.run("wait-still 0.3") is None
    assert desk.display.nudges >= 2
    assert desk.display.key_presses() == []


def test_typefile(desk: Desk) -> None:
    (desk.directory / "text").write_text("ab\n")
    assert desk.run("typefile text") is None
    assert [key for key, pressed in desk.display.key_presses() if pressed] == [30, 48, ENTER]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type a\ntype '漢'", "cannot type “漢”"),
        ("type a\nlayout nowhere", "nowhere"),
        ("type a\ntypefile none", "cannot be read"),
        ("type a\nexpect bad.png", "no picture"),
        ("type a\ncapture a.xyz", "Possible endings"),
        ("type a\nkey ctrl-漢", "cannot type"),
    ],
)
def test_what_can_be_known_to_fail_is_told_before_anything_is_done(desk: Desk, text: str, words: str) -> None:
    (desk.directory / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    failure = desk.run(text)
    assert failure is not None
    assert failure.line is not None
    assert failure.line.number == 2
    assert words in str(failure.error)
    assert desk.display.key_presses() == []


def test_progress_is_told_in_order(desk: Desk) -> None:
    assert desk.run("# comment\nsleep 0.05\nkey a") is None
    assert [(type(news), news.line.number) for news in desk.news] == [
        (Started, 2),
        (Ended, 2),
        (Started, 3),
        (Ended, 3),
    ]
    ended = desk.news[1]
    assert isinstance(ended, Ended)
    assert ended.seconds >= 0.05


def test_a_failure_lets_go_of_everything(desk: Desk) -> None:
    assert desk.run("keydown ctrl-shift\nmove 3 4\nmousedown 1\nwait-picture none.png") is not None
    assert desk.display.key_presses() == [(CTRL, True), (SHIFT, True), (SHIFT, False), (CTRL, False)]
    assert desk.display.pointers()[-1] == (3, 4, 0)


def test_the_end_of_a_script_lets_go_of_everything(desk: Desk) -> None:
    assert desk.run("keydown alt") is None
    assert desk.display.key_presses() == [(ALT, True), (ALT, False)]


def test_cancel_lets_go_of_everything(desk: Desk) -> None:
    def on_input(_message: Input) -> None:
        desk.cancel.set()

    desk.display.on_input = on_input
    with pytest.raises(CancelledError):
        desk.run("keydown ctrl\nsleep 1000")
    desk.display.close()
    assert desk.display.key_presses() == [(CTRL, True), (CTRL, False)]


@pytest.mark.parametrize("statement", ["sleep 1000", "type {}", "wait-still 500 timeout 1000", "wait-picture p.png"])
def test_everything_that_takes_time_can_be_cancelled(desk: Desk, statement: str) -> None:
    desk.save("p.png", picture(9, 9, seed=5))
    timer = threading.Timer(0.2, desk.cancel.set)
    timer.start()
    with pytest.raises(CancelledError):
        desk.run(statement.format("x" * 1000))
    timer.join()


def test_a_display_that_goes_away_is_a_failure(desk: Desk) -> None:
    on_key(desk.display, ENTER, lambda: desk.display._server.sock.shutdown(2))
    failure = desk.run("key enter\nwait-still")
    assert failure is not None
    assert isinstance(failure.error, ConsoleError)
    assert "closed before the script had ended" in failure.error.summary


_BAD = {
    "unknown message": b"\x7f",
    "rectangle outside": srv.update(srv.rect(90, 0, 20, 1, srv.RAW, bytes(80))),
    "rectangle below": srv.update(srv.rect(0, 60, 1, 20, srv.RAW, bytes(80))),
    "huge rectangle": srv.update(srv.rect(0, 0, 65535, 65535, srv.RAW)),
    "no screen": srv.update(srv.rect(0, 0, 0, 0, srv.DESKTOP_SIZE)),
    "huge screen": srv.update(srv.rect(0, 0, 65535, 65535, srv.DESKTOP_SIZE)),
    "copy": srv.update(srv.rect(0, 0, 1, 1, srv.COPY_RECT, bytes(4))),
    "hextile": srv.update(srv.rect(0, 0, 1, 1, 5, b"\xff")),
    "zrle": srv.update(srv.rect(0, 0, 1, 1, 16, b"\0\0\0\4abcd")),
    "cut text": b"\x03\0\0\0\xff\xff\xff\xff",
    "colours": b"\x01\0\0\0\xff\xff",
}


@pytest.mark.parametrize("what", _BAD)
def test_a_hostile_server_is_a_diagnosed_failure(tmp_path: Path, what: str) -> None:
    if what == "colours":  # 65,535 of them are allowed, and then the end
        _BAD[what] += bytes(6 * 0xFFFF) + b"\x7f"
    with desk_with(VncDisplay(picture(WIDTH, HEIGHT), first_bytes=_BAD[what]), tmp_path) as desk:
        with pytest.raises(RfbError) as caught:
            desk.run("sleep 1")
        assert caught.value.cause


@pytest.mark.parametrize("count", range(0, 40, 3))
def test_a_server_that_closes_at_any_byte(tmp_path: Path, count: int) -> None:
    start = srv.server_init(WIDTH, HEIGHT)
    with srv.ScriptedServer() as server, CancelFlagOf() as cancel:
        server.send(srv.VERSION_38 + b"\x01\x01" + bytes(4) + start[:count])
        gate = Gate(server.endpoint(), directory=tmp_path)
        gate.open()
        server.sock.shutdown(1)
        remote = Remote(gate.path, cancel)
        with pytest.raises(ConsoleError):
            remote.open()
        remote.close()
        gate.close()


class CancelFlagOf:
    """A flag that is closed at the end."""

    def __enter__(self) -> CancelFlag:
        self._flag = CancelFlag()
        return self._flag

    def __exit__(self, *_: object) -> None:
        self._flag.close()


def test_no_gate_to_connect_to(tmp_path: Path) -> None:
    with CancelFlagOf() as cancel:
        remote = Remote(tmp_path / "none", cancel)
        with pytest.raises(ConsoleError, match="cannot be reached"):
            remote.open()
        remote.close()


def test_text_is_read_off_the_screen() -> None:
    from guivm.automation.runner import screen_text
    from guivm.console.screentext import NoTextError
    from tests.helpers.text_screen import blank, font, write

    pixels = blank(320, 200)
    with pytest.raises(NoTextError):
        screen_text(pixels, None)
    write(pixels, font("VGA BIOS 8×16"), ["login:", "other"])
    assert screen_text(pixels, None) == "login:\nother"
    assert screen_text(pixels, Rect(0, 16, 24, 16)) == "oth"


# --- pictures ---------------------------------------------------------------------------------------------


def rgb(width: int, height: int, seed: int = 1) -> Pixels:
    return np.ascontiguousarray(picture(width, height, seed)[:, :, :3])


def test_find_is_exact_to_the_tolerance() -> None:
    screen = rgb(50, 40) // 2 + 50
    part = screen[10:20, 30:40].copy()
    part[3, 3, 1] += 5
    assert pictures.find(screen, pictures.Picture(part), 5) == (30, 10)
    assert pictures.find(screen, pictures.Picture(part), 4) is None


def test_find_in_a_screen_of_one_colour() -> None:
    screen = np.full((40, 50, 3), 7, np.uint8)
    assert pictures.find(screen, pictures.Picture(screen[:10, :10]), 0) == (0, 0)
    part = screen[:10, :10].copy()
    part[9, 9] = 200
    assert pictures.find(screen, pictures.Picture(part), 0) is None
    screen[30, 40] = 200
    assert pictures.find(screen, pictures.Picture(part), 0) == (31, 21)


def test_transparent_pixels_fit_anything(tmp_path: Path) -> None:
    screen = rgb(50, 40)
    rgba = np.dstack([screen[5:15, 6:16], np.full((10, 10), 255, np.uint8)])
    rgba[2:8, 2:8] = 0
    Image.fromarray(rgba).save(tmp_path / "p.png")
    assert pictures.find(screen, pictures.read_picture(tmp_path / "p.png"), 0) == (6, 5)
    rgba[:, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "p.png")
    with pytest.raises(GuivmError, match="transparent"):
        pictures.read_picture(tmp_path / "p.png")


def test_a_picture_larger_than_the_screen_is_nowhere() -> None:
    assert pictures.find(rgb(10, 10), pictures.Picture(rgb(11, 3)), 255) is None


def test_the_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_BUDGET", 1000)
    screen = np.zeros((60, 60, 3), np.uint8)
    part = np.zeros((30, 30, 3), np.uint8)
    wanted = pictures.Picture(part)
    part[17, 17] = 1  # after the telling pixels were chosen: it is none of them
    assert pictures.find(screen, wanted, 0) is None


def test_a_capture_replaces_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    image = Image.fromarray(rgb(4, 4))
    pictures.save(image, path)
    assert np.array_equal(np.asarray(Image.open(path)), rgb(4, 4))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(GuivmError, match="cannot be saved"):
        pictures.save(image, tmp_path / "none" / "a.png")
