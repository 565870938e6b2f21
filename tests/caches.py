"""What every cache in the world may hold, by brute force: the judge of rolls. It knows nothing of phases.

A version of an RRset may be in a cache from when a server shows it until its TTL has passed since the last one stopped
to. A resolver may hold any DS RRset, any DNSKEY RRset and any signatures of the same moment together. The set of what
may be held only grows when a server begins to show something, so that it is enough to look at those moments.
"""

from __future__ import annotations

from itertools import product

NEVER = 1 << 60
Key = tuple[str, int]  # its name and algorithm


class Caches:
    """The versions of a zone's DS RRset, its DNSKEY RRset and its signatures that some cache may hold.

    A version of kind `ds` or `data` is the set of keys that are named or have signed, one of kind `dnskey` the set of
    keys that are in it and the set of those that signed it.
    """

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], list[list]] = {}

    def publish(
        self,
        kind: str,
        version: frozenset | tuple[frozenset, frozenset],
        at: int,
        ttl: int,
        lag: int = 0,
        server: str = "",
    ) -> None:
        """Have *server* show a version from *at* on, and the one before for *lag* seconds more beside it."""
        shown = self._shown.setdefault((kind, server), [])
        if server and shown and shown[-1][1] >= at:
            shown.pop()  # it never came to show that one
        if shown:
            last = shown[-1]
            end = max(at + lag, last[1]) + last[3]
            last[2] = end if last[2] == NEVER else max(last[2], end)
        shown.append([version, at, NEVER, ttl])

    def withdraw(self, kind: str, at: int, server: str = "") -> None:
        """Have *server* show nothing of that kind any more from *at* on."""
        last = self._shown[kind, server][-1]
        if last[2] == NEVER:
            last[2] = at + last[3]

    def forget(self, at: int) -> None:
        """Let go of what no cache holds any more at *at*, which nobody asks about again."""
        for place, shown in self._shown.items():
            self._shown[place] = [one for one in shown if one[2] > at]

    def held(self, kind: str, at: int) -> set:
        """Return what caches may hold at *at*."""
        return {
            version
            for (of, _), shown in self._shown.items()
            if of == kind
            for version, begin, end, _ in shown
            if begin <= at < end
        }

    def bogus(self, at: int) -> list[str]:
        """Return what is wrong with any combination that a resolver may hold at *at*."""
        out = []
        for ds, (dnskeys, signers), data in product(*(self.held(kind, at) for kind in ("ds", "dnskey", "data"))):
            if not ds:
                continue  # insecure, whatever else is held
            for algorithm in {algorithm for _, algorithm in ds}:
                if not any(key[1] == algorithm for key in ds & dnskeys & signers):
                    out.append(f"no key of {sorted(ds)} in {sorted(dnskeys)} signed by {sorted(signers)}, {algorithm}")
                if not any(key[1] == algorithm for key in dnskeys & data):
                    out.append(f"no key of {sorted(dnskeys)} made one of the signatures of {sorted(data)}, {algorithm}")
            lacking = {algorithm for _, algorithm in dnskeys} - {algorithm for _, algorithm in data}
            out += [f"a key of algorithm {one} in {sorted(dnskeys)}, no signature in {sorted(data)}" for one in lacking]
        return out
