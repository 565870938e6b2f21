"""Requests that come again: they wait beside the one under way, and hear what one that was answered heard.

Law: this only saves the way to the database, which remembers longer, for all servers, and has the last word. Nothing
is remembered here that is not remembered there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from ddns.net.answers import Answer

REMEMBERED = 16_384  # answers; some 250 octets each
ALONG = 16  # copies of one request that wait for its answer

Item = TypeVar("Item")


class Repeats(Generic[Item]):
    """The requests of one worker by their digests: those under way, each with its copies, and those answered lately."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, list[Item]] = {}
        self._answered: OrderedDict[bytes, tuple[Answer, int]] = OrderedDict()

    def answer(self, digest: bytes, now: float) -> Answer | None:
        """Return what was answered to the request, where that is known and still holds *now* (seconds since 1970)."""
        found = self._answered.get(digest)
        return found[0] if found is not None and now <= found[1] else None

    def joins(self, digest: bytes, item: Item) -> bool:
        """Have *item* wait along with the same request; False: there is none, or too many do."""
        copies = self._under_way.get(digest)
        if copies is None or len(copies) >= ALONG:
            return False
        copies.append(item)
        return True

    def begin(self, digest: bytes) -> None:
        """Note that a request is under way."""
        self._under_way.setdefault(digest, [])

    def end(self, digest: bytes) -> list[Item]:
        """Note that it is not any more, and return those who wait along."""
        return self._under_way.pop(digest, [])

    def remember(self, digest: bytes, answer: Answer, expires: int) -> None:
        """Keep what was answered, and stored, until *expires* (seconds since 1970)."""
        if len(self._answered) >= REMEMBERED:
            self._answered.popitem(last=False)
        self._answered[digest] = answer, expires
