"""Keeps the rows of a list in which every word of a search is found. GUI thread."""

from __future__ import annotations

from typing import Protocol, cast

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel


class HasWords(Protocol):
    """What a model must answer: a row's words in small letters."""

    def words(self, row: int) -> str: ...


class WordFilter(QSortFilterProxyModel):
    """Its source model is one that :class:`HasWords`."""

    search_words: tuple[str, ...] = ()

    def set_search(self, text: str) -> None:
        if hasattr(self, "beginFilterChange"):  # Qt 6.9
            self.beginFilterChange()
            self.search_words = tuple(text.lower().split())
            self.endFilterChange()
        else:
            self.search_words = tuple(text.lower().split())
            self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        words = cast(HasWords, self.sourceModel()).words(row)
        return all(word in words for word in self.search_words)
