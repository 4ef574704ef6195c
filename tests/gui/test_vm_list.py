"""The table of VMs, its filter, and the pane: minimal changes, right order, selection kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QAbstractItemModel, QByteArray, QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.events import VmsChanged, VmsReset
from guivm.engine.types import HostId, HostInfo, HostState, VmInfo, VmKey, VmState
from guivm.text import natural_key
from guivm.views.models.vm_filter import VmFilterModel
from guivm.views.models.vm_table import SLICE, Column, Role, VmTableModel
from guivm.views.vm_list import VmListPane

A = HostId("test:///a")
B = HostId("test:///b")
S = VmState


def vm(name: str, state: VmState = S.OFF, host: HostId = A, **fields: object) -> VmInfo:
    return VmInfo(VmKey(host, f"uuid-{name}"), name, state, **fields)  # type: ignore[arg-type]


def many(count: int, host: HostId = A) -> tuple[VmInfo, ...]:
    return tuple(vm(f"vm{number}", host=host) for number in range(count))


class Watch:
    """Counts what a model says."""

    def __init__(self, model: VmTableModel) -> None:
        self.resets = 0
        self.layouts = 0
        self.inserted: list[tuple[int, int]] = []
        self.removed: list[tuple[int, int]] = []
        self.changed: list[tuple[int, int, int, int]] = []
        model.modelReset.connect(self._reset)
        model.layoutChanged.connect(self._layout)
        model.rowsInserted.connect(lambda _p, first, last: self.inserted.append((first, last)))
        model.rowsRemoved.connect(lambda _p, first, last: self.removed.append((first, last)))
        model.dataChanged.connect(self._data)

    def _reset(self) -> None:
        self.resets += 1

    def _layout(self) -> None:
        self.layouts += 1

    def _data(self, top: QModelIndex, bottom: QModelIndex, roles: list[int]) -> None:
        assert roles, "every change names its roles"
        self.changed.append((top.row(), bottom.row(), top.column(), bottom.column()))


def names(model: VmTableModel) -> list[str]:
    return [one.name for one in model.vms()]


def watch_over(model: QAbstractItemModel) -> None:
    """Qt's own model tester, for the life of the model: what it finds is logged as a warning, which fails the test."""
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, model)


@pytest.fixture
def table(qtbot: QtBot) -> VmTableModel:
    model = VmTableModel()
    model.set_host(HostInfo(A, A, "Alpha", HostState.CONNECTED))
    watch_over(model)
    return model


# --- the table --------------------------------------------------------------------------------------------


def test_first_list_is_one_reset_in_natural_order(table: VmTableModel) -> None:
    watch = Watch(table)
    table.reset_host(VmsReset(A, (vm("vm10"), vm("Vm2"), vm("abc"))))
    assert names(table) == ["abc", "Vm2", "vm10"]
    assert (watch.resets, watch.layouts, watch.inserted) == (1, 0, [])


def test_relisting_changes_only_what_changed(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, (vm("a"), vm("b"), vm("c"))))
    watch = Watch(table)
    table.reset_host(VmsReset(A, (vm("a"), vm("b", S.RUNNING), vm("d"))))
    assert names(table) == ["a", "b", "d"]
    assert watch.resets == 0
    assert watch.removed == [(2, 2)]
    assert watch.inserted == [(2, 2)]
    assert {row for row, *_ in watch.changed} == {1}


def test_what_is_not_known_yet_is_empty_and_filled_in_place(table: VmTableModel) -> None:
    known = replace(vm("a"), vcpus=2, memory_kib=1024**2)
    table.reset_host(VmsReset(A, (replace(vm("a"), vcpus=0, memory_kib=0, is_complete=False),)))
    texts = [table.index(0, column).data() for column in Column]
    assert texts == ["a", "Off", "Alpha", "", ""]
    watch = Watch(table)
    table.change(VmsChanged(A, (known,)))
    texts = [table.index(0, column).data() for column in Column]
    assert texts[3] == "2"
    assert texts[4]
    assert (watch.resets, watch.inserted, watch.removed) == (0, [], [])


def test_second_host_is_inserted_not_reset(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(5)))
    table.set_host(HostInfo(B, B, "Beta", HostState.CONNECTED))
    watch = Watch(table)
    table.reset_host(VmsReset(B, many(40, B)))
    assert watch.resets == 0
    assert table.rowCount() == 45
    assert names(table) == sorted(names(table), key=natural_key)


def test_equal_value_says_nothing(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(3)))
    watch = Watch(table)
    table.change(VmsChanged(A, many(3)))
    assert (watch.changed, watch.layouts, watch.resets) == ([], 0, 0)


def test_state_change_touches_one_row_and_no_order(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(10)))
    watch = Watch(table)
    table.change(VmsChanged(A, (vm("vm3", S.RUNNING),)))
    assert {(first, last) for first, last, *_ in watch.changed} == {(3, 3)}
    assert watch.layouts == 0
    found = table.vm(VmKey(A, "uuid-vm3"))
    assert found is not None
    assert found.state is S.RUNNING


def test_rename_moves_the_row(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, (vm("a"), vm("b"), vm("c"))))
    watch = Watch(table)
    table.change(VmsChanged(A, (replace(vm("a"), name="z"),)))
    assert names(table) == ["b", "c", "z"]
    assert watch.layouts == 1
    assert table.row(VmKey(A, "uuid-a")) == 2


def test_removing_scattered_rows_stays_cheap(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(200)))
    watch = Watch(table)
    gone = tuple(f"uuid-vm{number}" for number in range(0, 200, 2))
    table.change(VmsChanged(A, (), gone))
    assert table.rowCount() == 100
    assert len(watch.removed) == 1  # brought together first
    assert names(table) == sorted(names(table), key=natural_key)
    assert all(table.row(one.key) == row for row, one in enumerate(table.vms()))


def test_removing_what_is_not_there_is_nothing(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(2)))
    table.change(VmsChanged(A, (), ("nobody",)))
    assert table.rowCount() == 2


def test_host_removed_takes_its_vms_along(table: VmTableModel) -> None:
    table.set_host(HostInfo(B, B, "Beta", HostState.CONNECTED))
    table.reset_host(VmsReset(A, many(3)))
    table.reset_host(VmsReset(B, many(3, B)))
    table.remove_host(B)
    assert {one.key.host for one in table.vms()} == {A}
    assert not table.shows_hosts


@pytest.mark.parametrize("column", list(Column))
@pytest.mark.parametrize("order", [Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder])
def test_sorted_by_any_column_and_kept_so(table: VmTableModel, column: Column, order: Qt.SortOrder) -> None:
    table.set_host(HostInfo(B, B, "Beta", HostState.CONNECTED))
    first = (vm("b", S.RUNNING, vcpus=4), vm("a", S.OFF, vcpus=1, memory_kib=5), vm("c", S.PAUSED))
    table.reset_host(VmsReset(A, first))
    table.reset_host(VmsReset(B, (vm("d", S.SAVED, B),)))
    table.sort(column, order)
    table.change(VmsChanged(A, (vm("a", S.RUNNING, vcpus=8, memory_kib=1), vm("e"))))
    table.change(VmsChanged(B, (vm("aa", S.CRASHED, B),)))
    values = [table.index(row, column).data(Role.SORT) for row in range(table.rowCount())]
    assert values == sorted(values, reverse=order is Qt.SortOrder.DescendingOrder)
    assert all(table.row(one.key) == row for row, one in enumerate(table.vms()))


def test_a_storm_is_taken_in_slices_with_the_newest_values(qtbot: QtBot) -> None:
    table = VmTableModel()  # without Qt's tester, which asks for every row after every change
    count = 10 * SLICE
    table.reset_host(VmsReset(A, many(count)))
    watch = Watch(table)
    table.change(VmsChanged(A, tuple(replace(one, state=S.RUNNING) for one in many(count))))
    table.change(VmsChanged(A, (vm("vm7", S.PAUSED),), ("uuid-vm8",)))
    assert watch.changed == []  # nothing at once: the event loop comes first
    assert not table.is_settled
    qtbot.waitUntil(lambda: table.is_settled)
    assert sum(1 for one in table.vms() if one.state is S.RUNNING) == count - 2
    assert table.row(VmKey(A, "uuid-vm8")) == -1
    found = table.vm(VmKey(A, "uuid-vm7"))
    assert found is not None
    assert found.state is S.PAUSED
    assert watch.resets == 0


def test_a_host_that_goes_takes_its_waiting_changes_along(qtbot: QtBot, table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, many(3)))
    table.change(VmsChanged(A, many(SLICE + 1)))
    table.remove_host(A)
    assert table.is_settled
    assert table.rowCount() == 0


def test_changes_that_wait_are_told_in_words_and_touch_one_row(table: VmTableModel) -> None:
    one, other = vm("a", S.RUNNING), vm("b", S.RUNNING)
    table.reset_host(VmsReset(A, (one, other)))
    watch = Watch(table)
    table.change(VmsChanged(A, (replace(other, pending=2),)))
    assert (watch.changed, watch.layouts) == ([(1, 1, Column.NAME, Column.NAME)], 0)
    spoken = [table.index(row, 0).data(Qt.ItemDataRole.AccessibleTextRole) for row in (0, 1)]
    assert spoken == ["a, Running", "b, Running, 2 changes wait for the next start"]
    tips = [str(table.index(row, 0).data(Qt.ItemDataRole.ToolTipRole)) for row in (0, 1)]
    assert ["next start" in tip for tip in tips] == [False, True]


def test_tool_tip_shows_markup_as_text(table: VmTableModel) -> None:
    table.reset_host(VmsReset(A, (vm("a", title="<img src=x>"),)))
    tip = table.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "<img" not in tip
    assert "&lt;img" in tip


# --- the filter -------------------------------------------------------------------------------------------


@pytest.fixture
def filtered(table: VmTableModel) -> VmFilterModel:
    model = VmFilterModel(table)
    watch_over(model)
    table.reset_host(
        VmsReset(
            A,
            (
                vm("debian", S.RUNNING, title="Web Server", notes="Wiki of the team"),
                vm("fedora", S.PAUSED),
                vm("win11", S.OFF, notes="licence: web"),
            ),
        )
    )
    return model


def shown(model: VmFilterModel) -> list[str]:
    return [model.index(row, 0).data() for row in range(model.rowCount())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["debian", "fedora", "win11"]),
        ("DEB", ["debian"]),
        ("server", ["debian"]),
        ("paused", ["fedora"]),
        ("alpha", ["debian", "fedora", "win11"]),
        ("wiki", ["debian"]),
        ("web", ["debian", "win11"]),
        ("web off", ["win11"]),
        ("  off   web ", ["win11"]),
        ("nothing like it", []),
    ],
)
def test_every_word_must_match_somewhere(filtered: VmFilterModel, text: str, expected: list[str]) -> None:
    filtered.set_filter_text(text)
    assert shown(filtered) == expected


def test_filter_follows_changes_of_state_and_notes(filtered: VmFilterModel, table: VmTableModel) -> None:
    filtered.set_filter_text("paused")
    table.change(VmsChanged(A, (vm("win11", S.PAUSED), vm("fedora", S.RUNNING))))
    assert shown(filtered) == ["win11"]
    filtered.set_filter_text("secret")
    assert shown(filtered) == []
    table.change(VmsChanged(A, (vm("fedora", S.RUNNING, notes="secret"),)))
    assert shown(filtered) == ["fedora"]


def test_filter_passes_sorting_on(filtered: VmFilterModel) -> None:
    filtered.sort(Column.STATE, Qt.SortOrder.DescendingOrder)
    assert shown(filtered) == ["win11", "fedora", "debian"]


# --- the pane ---------------------------------------------------------------------------------------------


@pytest.fixture
def pane(qtbot: QtBot, table: VmTableModel) -> VmListPane:
    widget = VmListPane(table)
    qtbot.addWidget(widget)
    widget.resize(320, 500)
    table.reset_host(VmsReset(A, (vm("debian", S.RUNNING), vm("fedora", S.PAUSED), vm("win11"))))
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def key(name: str) -> VmKey:
    return VmKey(A, f"uuid-{name}")


def selected(pane: VmListPane) -> list[str]:
    return [one.name for one in pane.selected()]


def test_a_row_shows_that_changes_wait(pane: VmListPane, table: VmTableModel) -> None:
    """At its right end, and nowhere else."""
    before = pane.grab().toImage()
    row = pane.view.visualRect(pane.filter.index_of(key("win11")))
    old = table.vm(key("win11"))
    assert old is not None
    table.change(VmsChanged(A, (replace(old, state=S.RUNNING),)))
    running = pane.grab().toImage()
    table.change(VmsChanged(A, (replace(old, state=S.RUNNING, pending=3),)))
    pending = pane.grab().toImage()
    top = pane.view.viewport().mapTo(pane, row.topLeft())
    changed = [
        (x - top.x(), y - top.y())
        for x in range(pending.width())
        for y in range(pending.height())
        if pending.pixel(x, y) != running.pixel(x, y)
    ]
    assert changed
    assert all(row.width() // 2 < x < row.width() and 0 <= y < row.height() for x, y in changed)
    table.change(VmsChanged(A, (old,)))
    assert pane.grab().toImage() == before


def test_selection_survives_updates_sorting_and_renames(pane: VmListPane, table: VmTableModel) -> None:
    pane.select([key("fedora"), key("win11")])
    table.change(VmsChanged(A, (vm("aaa"), vm("fedora", S.RUNNING), replace(vm("win11"), name="zz"))))
    pane.filter.sort(Column.STATE, Qt.SortOrder.DescendingOrder)
    assert sorted(selected(pane)) == ["fedora", "zz"]
    table.reset_host(VmsReset(A, (vm("fedora"), vm("debian"), replace(vm("win11"), name="zz"))))
    assert sorted(selected(pane)) == ["fedora", "zz"]


def test_selected_value_that_changes_is_told(qtbot: QtBot, pane: VmListPane, table: VmTableModel) -> None:
    pane.select([key("fedora")])
    with qtbot.waitSignal(pane.selectionChanged):
        table.change(VmsChanged(A, (vm("fedora", S.RUNNING),)))
    with qtbot.assertNotEmitted(pane.selectionChanged):
        table.change(VmsChanged(A, (vm("debian", S.PAUSED),)))
    with qtbot.waitSignal(pane.selectionChanged):
        table.change(VmsChanged(A, (), ("uuid-fedora",)))
    assert selected(pane) == []


def test_search_filters_counts_and_clears(qtbot: QtBot, pane: VmListPane) -> None:
    assert pane.count.text() == "3 virtual machines"
    pane.focus_search()
    QTest.keyClicks(pane.search, "fed")
    assert pane.count.text() == "1 of 3"
    QTest.keyClick(pane.search, Qt.Key.Key_Escape)
    assert pane.search.text() == ""
    assert pane.count.text() == "3 virtual machines"


def test_empty_result_says_so_and_offers_to_clear(qtbot: QtBot, pane: VmListPane) -> None:
    pane.search.setText("nobody")
    page = pane.findChild(QWidget, "no-match")
    button = pane.findChild(QPushButton, "no-match-clear")
    assert page is not None
    assert button is not None
    assert page.isVisible()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert not page.isVisible()
    assert pane.filter.rowCount() == 3


def test_escape_in_an_empty_search_goes_to_the_list(qtbot: QtBot, pane: VmListPane) -> None:
    pane.activateWindow()
    pane.focus_search()
    qtbot.waitUntil(pane.search.hasFocus)
    QTest.keyClick(pane.search, Qt.Key.Key_Escape)
    qtbot.waitUntil(pane.view.hasFocus)


@pytest.mark.parametrize("how", ["enter", "double click"])
def test_enter_and_double_click_open(qtbot: QtBot, pane: VmListPane, how: str) -> None:
    pane.select([key("fedora")])
    with qtbot.waitSignal(pane.opened) as opened:
        if how == "enter":
            QTest.keyClick(pane.view, Qt.Key.Key_Return)
        else:
            place = pane.view.visualRect(pane.filter.index_of(key("fedora"))).center()
            viewport = pane.view.viewport()
            QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
            QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert opened.args == [key("fedora")]


def test_header_click_sorts_and_the_choice_is_kept(qtbot: QtBot, pane: VmListPane, table: VmTableModel) -> None:
    header = pane.view.header()
    header.showSection(Column.STATE)
    header.setSortIndicator(Column.STATE, Qt.SortOrder.DescendingOrder)
    assert names(table) == ["win11", "fedora", "debian"]
    state = QByteArray(pane.header_state())
    other_table = VmTableModel()
    other = VmListPane(other_table)
    qtbot.addWidget(other)
    other.restore_header(state)
    other_table.set_host(HostInfo(A, A, "Alpha", HostState.CONNECTED))
    other_table.reset_host(VmsReset(A, table.vms()[::-1]))  # type: ignore[arg-type]
    assert names(other_table) == ["win11", "fedora", "debian"]
    assert not other.view.header().isSectionHidden(Column.STATE)


def test_a_broken_header_state_is_ignored(qtbot: QtBot, pane: VmListPane) -> None:
    pane.restore_header(QByteArray(b"nonsense"))
    assert not pane.view.header().isSectionHidden(Column.NAME)
