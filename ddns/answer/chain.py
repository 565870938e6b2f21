"""A ring of sorted keys: the NSEC names or the NSEC3 hashes of one zone, and what stands at each.

The keys lie in blocks of bounded size, so that a change in a zone of a million names moves a few
hundred pointers and not a million.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from typing import Generic, TypeVar

V = TypeVar("V")

_BLOCK = 512  # a block is cut in two when it holds twice as many


class Chain(Generic[V]):
    """Values at sorted byte keys, found exactly or by the nearest key before, the first one after the last."""

    __slots__ = ("_firsts", "_keys", "_values")

    def __init__(self, content: Mapping[bytes, V] | None = None) -> None:
        content = content or {}
        keys = sorted(content)
        self._keys = [keys[at : at + _BLOCK] for at in range(0, len(keys), _BLOCK)]
        self._values: list[list[V]] = [[content[key] for key in block] for block in self._keys]
        self._firsts = [block[0] for block in self._keys]

    def __len__(self) -> int:
        return sum(map(len, self._keys))

    def at_or_before(self, key: bytes) -> tuple[bytes, V] | None:
        """Return the greatest key that is not after *key*, with its value; the last one where none is before."""
        if not self._firsts:
            return None
        block = bisect_right(self._firsts, key) - 1
        keys = self._keys[block]  # block -1, before the first key, is the last block: the ring closes
        at = bisect_right(keys, key) - 1 if block >= 0 else -1
        return keys[at], self._values[block][at]

    def get(self, key: bytes) -> V | None:
        """Return the value at *key*, or None."""
        found = self.at_or_before(key)
        return found[1] if found is not None and found[0] == key else None

    def put(self, key: bytes, value: V) -> None:
        """Set the value at *key*."""
        if not self._firsts:
            self._keys.append([key])
            self._values.append([value])
            self._firsts.append(key)
            return
        block = max(bisect_right(self._firsts, key) - 1, 0)
        keys, values = self._keys[block], self._values[block]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            values[at] = value
            return
        keys.insert(at, key)
        values.insert(at, value)
        self._firsts[block] = keys[0]
        if len(keys) >= 2 * _BLOCK:
            self._keys[block : block + 1] = [keys[:_BLOCK], keys[_BLOCK:]]
            self._values[block : block + 1] = [values[:_BLOCK], values[_BLOCK:]]
            self._firsts[block : block + 1] = [keys[0], keys[_BLOCK]]

    def remove(self, key: bytes) -> None:
        """Take *key* out where it is there."""
        block = bisect_right(self._firsts, key) - 1
        if block < 0:
            return
        keys = self._keys[block]
        at = bisect_left(keys, key)
        if at == len(keys) or keys[at] != key:
            return
        del keys[at], self._values[block][at]
        if keys:
            self._firsts[block] = keys[0]
        else:
            del self._keys[block], self._values[block], self._firsts[block]
