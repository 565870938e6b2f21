"""A bounded queue whose owners take turns: who sends much waits for himself and not before others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items of owners: *most* in all and *each* (at least 1) of one owner; those of one owner stay in their order."""

    __slots__ = ("_each", "_most", "_owners", "_size")

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._owners: OrderedDict[Hashable, deque[Item]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def has_most(self, owner: Hashable) -> bool:
        """Tell whether *owner* has as many items here as one may have."""
        mine = self._owners.get(owner)
        return mine is not None and len(mine) >= self._each

    def is_full(self, owner: Hashable) -> bool:
        """Tell whether there is no room for another item of *owner*."""
        return self._size >= self._most or self.has_most(owner)

    def last(self, owner: Hashable) -> Item | None:
        """Return what of *owner*'s came last and waits here."""
        mine = self._owners.get(owner)
        return None if mine is None else mine[-1]

    def add(self, owner: Hashable, item: Item) -> None:
        """Put *item* behind what *owner* has here; the caller has asked `is_full`."""
        mine = self._owners.get(owner)
        if mine is None:
            self._owners[owner] = deque((item,))
        else:
            mine.append(item)
        self._size += 1

    def take(self, *, last: bool = False) -> Item:
        """Take out the next item: the oldest of who is next, or of who came *last*.

        Raises `KeyError` where there is none.
        """
        owner, mine = self._owners.popitem(last=last)
        item = mine.popleft()
        self._size -= 1
        if mine:
            self._owners[owner] = mine  # behind all others
        return item

    def renew(self, owner: Hashable) -> None:
        """Have *owner*, who has items here, count as who came last."""
        self._owners.move_to_end(owner)

    def make_room(self) -> None:
        """Lose the next item where there are as many as there may be."""
        if self._size >= self._most:
            self.take()

    def take_many(self, count: int) -> list[Item]:
        """Take out the next *count* items, or as many as there are."""
        return [self.take() for _ in range(min(count, self._size))]
