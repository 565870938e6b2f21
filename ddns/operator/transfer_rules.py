"""What a registry file says of transfers, and what leads there from the rules that there are.

Law: a zone's table is all of its rules, and what it does not mention is taken back; a zone without a table keeps its
rules. Rules of many zones are written together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from ddns.operator.change import Conn
from ddns.operator.transfers import Place
from ddns.settings import address_text
from ddns.store import transfers
from ddns.store.transfers import Network, NewRight, NewTarget, Right, Target


class Wanted(msgspec.Struct, frozen=True):
    """All the transfer rules of a zone, or of its homes."""

    keys: tuple[Name, ...]
    addresses: tuple[Network, ...]
    notify: tuple[Place, ...]

    def all_keys(self) -> set[Name]:
        """Return the keys that are spoken of."""
        return {*self.keys, *(one.key for one in self.notify if one.key is not None)}


class Held:
    """The rules that there are, by zone and whether they are for its homes."""

    def __init__(self, rights: list[Right], targets: list[Target]) -> None:
        self.rights: dict[tuple[int, bool], list[Right]] = {}
        self.targets: dict[tuple[int, bool], list[Target]] = {}
        for right in rights:
            self.rights.setdefault((right.zone, right.homes), []).append(right)
        for target in targets:
            self.targets.setdefault((target.zone, target.homes), []).append(target)

    @classmethod
    async def read(cls, conn: Conn) -> Held:
        """Return the rules of all zones."""
        return cls(await transfers.rights(conn), await transfers.targets(conn))


class Plan:
    """What is to be written for some zones, found by comparing."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._rights: list[NewRight] = []
        self._targets: list[NewTarget] = []
        self._gone: list[int] = []
        self._left: list[int] = []

    def compare(self, zone: int, wanted: Wanted, *, homes: bool) -> tuple[list[tuple[str, str]], int]:
        """Add what brings the rules of *zone* (its id), or of its homes, to *wanted*.

        Return what is done, as (verb, detail), and how many rules were so already.
        """
        done: list[tuple[str, str]] = []
        kept: Counter[str] = Counter()
        there: dict[Hashable, Right] = {
            one.address if one.key is None else one.key: one for one in self._held.rights.get((zone, homes), ())
        }
        for key in dict.fromkeys(wanted.keys):
            if there.pop(key, None) is not None:
                kept["right"] += 1
                continue
            done.append(("add", f"to {names.to_text(key)}"))
            self._rights.append(NewRight(zone, homes, key, None))
        for prefix in dict.fromkeys(wanted.addresses):
            if there.pop(prefix, None) is not None:
                kept["right"] += 1
                continue
            done.append(("add", f"to {prefix}"))
            self._rights.append(NewRight(zone, homes, None, prefix))
        for right in there.values():
            done.append(("remove", f"to {right.address if right.key is None else names.to_text(right.key)}"))
            self._gone.append(right.id)
        targets = {(one.address, one.port): one for one in self._held.targets.get((zone, homes), ())}
        for place in {(one.address, one.port): one for one in wanted.notify}.values():
            known = targets.pop((place.address, place.port), None)
            if known is not None and known.key == place.key:
                kept["target"] += 1
                continue
            done.append(("change" if known else "add", f"NOTIFY to {place.text}"))
            self._targets.append(NewTarget(zone, homes, place.address, place.port, place.key))
        for target in targets.values():
            done.append(("remove", f"NOTIFY to {address_text((target.address, target.port))}"))
            self._left.append(target.id)
        return done, kept.total()

    async def write(self, conn: Conn) -> None:
        """Write what was found, and tell the workers."""
        if not (self._rights or self._targets or self._gone or self._left):
            return
        await transfers.remove_rights(conn, self._gone)
        await transfers.remove_targets(conn, self._left)
        await transfers.allow(conn, self._rights)
        await transfers.put_targets(conn, self._targets)
        await transfers.tell(conn)
