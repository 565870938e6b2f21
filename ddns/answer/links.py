"""Some links of a zone's chain of denial, and what to read where an answer needs others."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from ddns.answer.chain import Chain
from ddns.dns.names import Name

PASSING = 4096  # ours: findings that are kept only until who asked for them has been answered

V = TypeVar("V")


class Wanted(msgspec.Struct, frozen=True):
    """What has to be read: the RRsets at *names*; the records at or before *links*, hashes or order keys of names."""

    names: tuple[Name, ...] = ()
    links: tuple[bytes, ...] = ()


class Missing(LookupError):
    """An answer needs of the zone *zone_id* what is *wanted* and not here."""

    def __init__(self, zone_id: int, wanted: Wanted) -> None:
        super().__init__(zone_id, wanted)
        self.zone_id = zone_id
        self.wanted = wanted


class Links(Generic[V]):
    """Some links of a chain that closes to a ring, each with the key of the one after it: see `Chain`.

    Where a chain is not *complete* a link may cover what exists, so each key is looked for by itself.
    """

    __slots__ = ("_chain", "_complete", "_passing", "_zone_id")

    def __init__(self, zone_id: int, *, complete: bool) -> None:
        self._zone_id = zone_id
        self._complete = complete
        self._chain: Chain[tuple[V, bytes]] = Chain()
        self._passing: dict[bytes, tuple[bytes, V] | None] = {}

    def peek(self, key: bytes) -> tuple[bytes, V] | None:
        """Return the link at or before *key* where it is known to be that."""
        found = self._chain.at_or_before(key)
        if found is None:
            return None
        at, (value, after) = found
        if at == key or (self._complete and (at < key < after if at < after else key > at or key < after)):
            return at, value
        return None

    def at_or_before(self, key: bytes) -> tuple[bytes, V] | None:
        """Return the link at *key*, or the one that covers it. Raises `Missing`."""
        found = self.peek(key)
        if found is None:
            if key not in self._passing:
                raise Missing(self._zone_id, Wanted(links=(key,)))
            found = self._passing[key]
        return found

    def get(self, key: bytes) -> V | None:
        """Return the link at *key*, None where there is none. Raises `Missing`."""
        found = self.at_or_before(key)
        return found[1] if found is not None and found[0] == key else None

    def __len__(self) -> int:
        return len(self._chain)

    def __bool__(self) -> bool:
        return True  # there is a chain, whether any of it is here or not

    def __contains__(self, key: bytes) -> bool:
        return self._chain.get(key) is not None

    def put(self, key: bytes, value: V, after: bytes) -> None:
        """Set the link at *key*; *after* is the next one's."""
        self._chain.put(key, (value, after))

    def found(self, wanted: bytes, link: tuple[bytes, V] | None) -> None:
        """Note that *link* is what is at or before *wanted*, whatever it says of itself: a chain may be broken."""
        if len(self._passing) >= PASSING:
            self._passing.clear()
        self._passing[wanted] = link

    def remove(self, key: bytes) -> V | None:
        """Take the link at *key* out, and return it where it was here."""
        found = self._chain.get(key)
        self._chain.remove(key)
        return None if found is None else found[0]

    def forget(self) -> None:
        """Forget what was kept in passing."""
        self._passing.clear()
