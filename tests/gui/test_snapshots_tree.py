"""The tree of snapshots: its model under Qt's own tester, minimal changes, ages, keys."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from guivm.engine.snapshots.values import SnapshotId, SnapshotInfo, SnapshotTree
from guivm.engine.types import HostId, VmKey, VmState
from guivm.views.models.snapshot_tree import Column, SnapshotTreeModel
from guivm.views.snapshots.ages import age_of
from guivm.views.snapshots.tree_view import SnapshotTreeView
from tests.helpers.fake_snapshots import NOW_S, snapshot

KEY = VmKey(HostId("test:///x"), "u")
A = SnapshotId("a")


def tree(*snapshots: SnapshotInfo, current: str | None = None, changed: bool | None = None) -> SnapshotTree:
    return SnapshotTree(KEY, snapshots, current=None if current is None else SnapshotId(current), changed=changed)


def shape(model: SnapshotTreeModel, parent: QModelIndex | None = None) -> list[object]:
    """Titles, nested."""
    parent = parent or QModelIndex()
    found: list[object] = []
    for row in range(model.rowCount(parent)):
        index = model.index(row, 0, parent)
        below = shape(model, index)
        found.append([index.data(), *below] if below else index.data())
    return found


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def waits(view: SnapshotTreeView) -> int | None:
    """Milliseconds until the view looks at ages again; None: it does not."""
    return view.clock.waits_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owner(qtbot: QtBot) -> QWidget:
    widget = QWidget()
    widget.resize(640, 480)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def model(owner: QWidget, clock: Clock) -> SnapshotTreeModel:
    model = SnapshotTreeModel(owner, now=clock)
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning, model)
    return model


@pytest.fixture
def view(qtbot: QtBot, owner: QWidget, model: SnapshotTreeModel) -> SnapshotTreeView:
    view = SnapshotTreeView(model, owner)
    view.resize(640, 480)
    owner.show()
    qtbot.waitExposed(owner)
    return view


def test_ends_in_the_current_state_under_its_parent(model: SnapshotTreeModel) -> None:
    model.set_tree(tree(snapshot("a"), snapshot("b", "a", age_s=10), snapshot("c", "a", age_s=20), current="a"))
    assert shape(model) == [["a", "c", "b", "Current state"]], "siblings by time, the current state last"
    model.set_tree(tree(snapshot("a"), current="a", changed=True))
    assert shape(model) == [["a", "Current state (changed)"]]
    index = model.index_of(None)
    font = index.data(Qt.ItemDataRole.FontRole)
    assert font.bold()
    assert not index.flags() & Qt.ItemFlag.ItemIsEditable
    model.set_tree(tree())
    assert shape(model) == ["Current state"]
    model.set_tree(None)
    assert shape(model) == []


def test_what_a_screen_reader_hears(model: SnapshotTreeModel) -> None:
    model.set_tree(tree(snapshot("a", age_s=300, has_memory=True, size_bytes=1024**3), current="a"))
    heard = model.index_of(A).data(Qt.ItemDataRole.AccessibleTextRole)
    assert heard == "a, memory and disks, 5 minutes ago, 1\u00a0GiB"
    assert model.index_of(None).data(Qt.ItemDataRole.AccessibleTextRole) == "Current state"


def test_hostile_titles_are_text(model: SnapshotTreeModel) -> None:
    model.set_tree(tree(snapshot("a", title="<b>x</b>")))
    assert "<b>x" not in str(model.index_of(A).data(Qt.ItemDataRole.ToolTipRole))


def test_a_broken_tree_is_shown_as_far_as_it_goes(model: SnapshotTreeModel) -> None:
    model.set_tree(tree(snapshot("a", "nowhere"), snapshot("a", "a"), snapshot("b", "c"), current="gone"))
    assert shape(model) == ["a", "b", "Current state"]


def test_changes_are_small(qtbot: QtBot, model: SnapshotTreeModel) -> None:
    first = tree(snapshot("a", age_s=30), snapshot("b", "a", age_s=20), snapshot("c", "b", age_s=10), current="c")
    model.set_tree(first)
    with qtbot.assertNotEmitted(model.modelReset):
        with qtbot.assertNotEmitted(model.rowsMoved), qtbot.assertNotEmitted(model.rowsInserted):
            model.set_tree(replace(first, changed=True))
        with qtbot.waitSignal(model.rowsInserted):  # taken
            model.set_tree(tree(*first.snapshots, snapshot("d", "c", age_s=5), current="d"))
        assert shape(model) == [["a", ["b", ["c", ["d", "Current state"]]]]]
        with qtbot.waitSignal(model.rowsRemoved):  # deleted in the middle
            model.set_tree(tree(snapshot("a", age_s=30), snapshot("c", "a"), snapshot("d", "c"), current="d"))
        assert shape(model) == [["a", ["c", ["d", "Current state"]]]]
        with qtbot.waitSignal(model.rowsMoved):  # restored
            model.set_tree(tree(snapshot("a", age_s=30), snapshot("c", "a"), snapshot("d", "c"), current="a"))
        assert shape(model) == [["a", ["c", "d"], "Current state"]]
    with qtbot.waitSignal(model.modelReset):  # another VM
        model.set_tree(SnapshotTree(VmKey(HostId("test:///x"), "v")))


def random_tree(dice: random.Random) -> SnapshotTree:
    found: list[SnapshotInfo] = []
    for number in dice.sample(range(12), dice.randint(0, 12)):
        parent = dice.choice([None, *(info.id for info in found)])
        found.append(snapshot(f"s{number}", parent, age_s=dice.randint(0, 5), title=f"t{dice.randint(0, 3)}"))
    current = dice.choice([None, *(info.id for info in found)])
    return tree(*found, current=current, changed=dice.choice([None, True, False]))


@pytest.mark.parametrize("deep", [0, 64])
def test_whatever_changes_the_model_is_what_a_fresh_one_is(
    owner: QWidget, model: SnapshotTreeModel, monkeypatch: pytest.MonkeyPatch, deep: int
) -> None:
    monkeypatch.setattr("guivm.views.models.snapshot_tree._DEEP", deep)
    dice = random.Random(5)
    kept = model.index_of(None)
    for _ in range(150):
        wanted = random_tree(dice)
        model.set_tree(wanted)
        fresh = SnapshotTreeModel(owner)
        fresh.set_tree(wanted)
        assert shape(model) == shape(fresh)
        assert model.deepest == fresh.deepest
        fresh.deleteLater()
    assert not kept.isValid()


def test_selection_and_what_is_folded_stay(view: SnapshotTreeView, model: SnapshotTreeModel) -> None:
    first = tree(snapshot("a", age_s=30), snapshot("b", "a", age_s=20), snapshot("c", "a", age_s=10), current="c")
    model.set_tree(first)
    assert view.isExpanded(model.index_of(A))
    view.choose(SnapshotId("b"))
    view.collapse(model.index_of(SnapshotId("c")))
    model.set_tree(
        tree(
            *first.snapshots[:2], snapshot("x", "a", age_s=15), snapshot("c", "x", age_s=10), current="c", changed=True
        )
    )
    assert view.current == "b"
    assert view.chosen == ("b",)
    assert not view.isExpanded(model.index_of(SnapshotId("c")))
    assert view.isExpanded(model.index_of(SnapshotId("x"))), "what is new is open"


def test_a_chain_of_a_thousand_is_no_deeper_than_the_stack(view: SnapshotTreeView, model: SnapshotTreeModel) -> None:
    chain = tuple(snapshot(f"s{n}", f"s{n - 1}" if n else None, age_s=2000 - n) for n in range(1000))
    model.set_tree(tree(*chain, current="s999"))
    assert model.deepest == 1001
    view.choose(SnapshotId("s999"))
    assert view.chosen == ("s999",)
    title = view.visualRect(view.currentIndex())
    assert 0 <= title.left() < view.viewport().width(), "its title is in sight"
    model.set_tree(tree(*chain[:-1], current="s998"))
    assert model.rowCount(model.index_of(SnapshotId("s998"))) == 1


def test_deep_trees_change_as_a_whole_and_keep_what_is_chosen(
    qtbot: QtBot, view: SnapshotTreeView, model: SnapshotTreeModel
) -> None:
    chain = tuple(snapshot(f"s{n}", f"s{n - 1}" if n else None, age_s=2000 - n) for n in range(100))
    side = snapshot("side", "s10", age_s=5)
    model.set_tree(tree(*chain, side, snapshot("leaf", "side", age_s=4), current="s99"))
    view.choose(SnapshotId("s70"))
    view.collapse(model.index_of(SnapshotId("side")))
    kept = QPersistentModelIndex(model.index_of(SnapshotId("s80")))
    gone = QPersistentModelIndex(model.index_of(SnapshotId("s50")))
    left = (*chain[:50], snapshot("s51", "s49", age_s=1949), *chain[52:])
    new = snapshot("new", "s99", age_s=3)
    with (
        qtbot.waitSignal(model.layoutChanged),
        qtbot.assertNotEmitted(model.rowsRemoved),
        qtbot.assertNotEmitted(model.modelReset),
    ):
        model.set_tree(tree(*left, side, snapshot("leaf", "side", age_s=4), new, current="new"))
    assert model.snapshot_at(kept) == "s80"
    assert not gone.isValid()
    assert (view.current, view.chosen) == ("s70", ("s70",))
    assert not view.isExpanded(model.index_of(SnapshotId("side")))
    for name in ("s49", "s99", "new"):
        assert view.isExpanded(model.index_of(SnapshotId(name)))
    assert model.deepest == 101
    view.choose(SnapshotId("s60"))
    model.set_tree(tree(*(each for each in left if each.id != "s60"), current="s99"))
    assert view.chosen == (), "it is gone"


@pytest.mark.parametrize(
    ("passed", "text", "due"),
    [
        (0, "just now", 60),
        (59, "just now", 1),
        (60, "1 minute ago", 60),
        (3599, "59 minutes ago", 1),
        (3600, "1 hour ago", 3600),
        (86_400 + 7200, "1 day ago", 86_400 - 7200),
        (-20, "just now", 80),
    ],
)
def test_ages(qapp: object, passed: float, text: str, due: float) -> None:
    age = age_of(NOW_S - passed, NOW_S)
    assert (age.text, age.due_s) == (text, due)


def test_what_is_old_or_of_the_future_has_a_date(qapp: object) -> None:
    assert age_of(NOW_S - 8 * 86_400, NOW_S).due_s is None
    assert age_of(NOW_S + 1000, NOW_S).due_s == 1000
    assert age_of(1e300, NOW_S).text


def test_ages_follow_the_clock_only_while_they_are_to_be_seen(
    qtbot: QtBot, view: SnapshotTreeView, model: SnapshotTreeModel, clock: Clock, owner: QWidget
) -> None:
    model.set_tree(tree(snapshot("a", age_s=90), snapshot("b", "a", age_s=7000), current="b"))
    assert waits(view) == 30_001, "until the first of them changes"
    clock.now_s += 30
    with qtbot.waitSignal(model.dataChanged) as changed:
        view.clock.due.emit()
    assert changed.args[0].data() == "2 minutes ago"
    assert changed.args[0].column() == Column.TAKEN
    owner.hide()
    assert waits(view) is None
    clock.now_s += 60
    owner.show()
    assert model.index_of(A).siblingAtColumn(Column.TAKEN).data() == "3 minutes ago"
    model.set_tree(tree(snapshot("a", age_s=9e6)))
    assert waits(view) is None


def test_a_title_is_edited_in_place(qtbot: QtBot, view: SnapshotTreeView, model: SnapshotTreeModel) -> None:
    model.set_tree(tree(snapshot("a"), current="a"))
    view.choose(A)
    view.rename()
    editor = view.findChild(QLineEdit, "snapshot-title-edit")
    assert editor is not None
    assert editor.text() == "a"
    editor.setText("  before\tthe upgrade ")
    with qtbot.waitSignal(model.renamed) as renamed:
        QTest.keyClick(editor, Qt.Key.Key_Return)
    assert renamed.args == ["a", "before the upgrade"]
    with qtbot.assertNotEmitted(model.renamed):
        assert not model.setData(model.index_of(A), "   ")
        assert not model.setData(model.index_of(None), "x")
    view.choose(None)
    view.rename()
    assert view.state() is not SnapshotTreeView.State.EditingState


def test_the_current_state_shows_what_the_vm_does(qtbot: QtBot, model: SnapshotTreeModel) -> None:
    model.set_vm_state(VmState.OFF)
    model.set_tree(tree())
    with qtbot.waitSignal(model.dataChanged):
        model.set_vm_state(VmState.RUNNING)


def test_models_die_with_their_owner(qtbot: QtBot) -> None:
    owner = QObject()
    model = SnapshotTreeModel(owner)
    with qtbot.waitSignal(model.destroyed):
        owner.deleteLater()
