"""Many homes at once, from a file: what `homes.add` makes of one, made of hundreds in one transaction.

Law: a home is brought in whole or not at all, with its delegation, and never twice: one that is there is left as it is.
So an import that ends in the middle, however it does, goes on where it was when it is run again. A line that is no
home, or that cannot be one here, is refused in a sentence and does not stop the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import BinaryIO, TypeVar

import msgspec
from psycopg import Error, OperationalError, errors

from ddns.auth.principal import DEFAULT_ASSURANCE
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from ddns.homes.enrol import delegate
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.home_line import MOST_OCTETS, BadLine, Named, NewHome, name_of, read
from ddns.signing.client import SignerAway, SignerClient
from ddns.store import journal, new_homes, notify, published, rrsets, signing, zones
from ddns.store.zones import Zone
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.jobs import Node, SignedJob, SignJob

AT_ONCE = 400  # homes in one transaction: bounds memory, and how long the registry's zone is locked
OCTETS_AT_ONCE = 1 << 20  # of lines in one transaction: what is signed of them stays below what a frame may hold
ATTEMPTS = 5  # at a transaction that met another one
MOST_KEPT = 1000  # refused lines that are remembered with their reason


class Refused(msgspec.Struct, frozen=True):
    """A line that was not brought in, and why."""

    line: int
    reason: str


class Report:
    """How far an import has come: homes *made*, homes that were *there* before, lines *refused*, octets *read*.

    Of the refused lines the first are kept in *reasons*. *unsigned* homes wait for the signer.
    """

    def __init__(self) -> None:
        self.made = 0
        self.there = 0
        self.refused = 0
        self.unsigned = 0
        self.read = 0
        self.reasons: list[Refused] = []

    def refuse(self, line: int, reason: str) -> None:
        """Count a refused line."""
        self.refused += 1
        if len(self.reasons) < MOST_KEPT:
            self.reasons.append(Refused(line, reason))


class Lane(msgspec.Struct, frozen=True):
    """What one batch at a time goes through: a connection, and the signer in bulk."""

    conn: Conn
    signer: SignerClient


class _Portion(msgspec.Struct, frozen=True):
    """Some lines with their numbers, and how many octets of the file they are."""

    lines: list[tuple[int, bytes]]
    octets: int


_One = TypeVar("_One", Named, NewHome)
_New = tuple[NewHome, SignedJob | None]  # None: it waits for the signer


class _Occupied(Exception):
    """Homes at or below whose names the registry's zone has records."""

    def __init__(self, found: frozenset[Name]) -> None:
        super().__init__()
        self.found = found


def portions(stream: BinaryIO) -> Iterator[_Portion]:
    """Yield the lines of *stream*, some at a time; of one that is too long only the beginning."""
    lines: list[tuple[int, bytes]] = []
    octets = held = number = 0
    while line := stream.readline(MOST_OCTETS + 2):
        number += 1
        octets += len(line)
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MOST_OCTETS)):
            octets += len(rest)
        if len(line) <= MOST_OCTETS + 1:  # with its end; what is longer is refused, whatever it is
            line = line.strip()
        if line:
            lines.append((number, line))
            held += len(line)
        if len(lines) == AT_ONCE or held > OCTETS_AT_ONCE:
            yield _Portion(lines, octets)
            lines, octets, held = [], 0, 0
    if lines or octets:
        yield _Portion(lines, octets)


class Import:
    """Brings homes into the zone *registry* on behalf of *principal*; *tell* hears of each step."""

    def __init__(self, registry: Zone, principal: str, tell: Callable[[Report], None] = lambda _: None) -> None:
        self.report = Report()
        self._registry = registry
        self._principal = principal
        self._tell = tell

    async def run(self, stream: BinaryIO, jobs: int, lane: Callable[[], Awaitable[Lane]]) -> Report:
        """Bring in the homes of *stream*, *jobs* batches at a time, each through a *lane* of its own.

        Outages raise: then all that was counted is in, and the rest is not.
        """
        ready: asyncio.Queue[_Portion | None] = asyncio.Queue(1)

        async def work() -> None:
            own = await lane()
            try:
                while (portion := await ready.get()) is not None:
                    await self._bring_in(own, portion)
                await ready.put(None)  # the others end as well
            finally:
                await own.signer.close()
                await own.conn.close()

        async def fill() -> None:
            for portion in portions(stream):
                await ready.put(portion)
            await ready.put(None)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fill())
                for _ in range(jobs):
                    group.create_task(work())
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return self.report

    async def _bring_in(self, lane: Lane, portion: _Portion) -> None:
        named: dict[Name, Named] = {}
        for number, line in portion.lines:
            try:
                one = name_of(line, number, self._registry.origin)
            except BadLine as error:
                self.report.refuse(number, str(error))
                continue
            first = named.setdefault(one.name, one)
            if first is not one:
                self.report.refuse(
                    number, f"line {first.line} is {names.to_text(one.name)} already; take one of the two out"
                )
        missing = await self._missing(lane.conn, list(named.values()))
        if missing:
            await self._make(lane, missing)
        self.report.read += portion.octets
        self._tell(self.report)

    async def _apex(self, conn: Conn) -> dict[int, RRset]:
        registry = self._registry
        found = await rrsets.read_names(conn, [(registry.id, registry.origin)])
        apex = {one.type: one for one in found.get((registry.id, registry.origin), ())}
        if Type.SOA not in apex or Type.NS not in apex:
            raise CannotDo(f"The zone {names.to_text(registry.origin)} has just been removed.")
        return apex

    async def _make(self, lane: Lane, missing: Sequence[Named]) -> None:
        """Make homes that are not there."""
        apex = await self._apex(lane.conn)
        homes: list[NewHome] = []
        for named in missing:
            try:
                homes.append(read(named, apex))
            except BadLine as error:
                self.report.refuse(named.line, str(error))
        if not homes:
            return
        answers = await self._signed(lane.signer, homes)
        new: list[_New] = []
        for one, answer in zip(homes, answers, strict=True):
            if answer is not None and answer.error:
                self.report.refuse(one.line, answer.error)
            else:
                new.append((one, answer))
        await self._commit(lane, new, apex[Type.NS])

    async def _commit(self, lane: Lane, new: list[_New], servers: RRset) -> None:
        """Write homes in one transaction; where the database refuses them, find out which, and write the others."""
        refused: Error | None = None
        for _ in range(ATTEMPTS):
            if not new:
                return
            try:
                await self._write(lane, new, servers)
            except _Occupied as occupied:
                new = self._without(new, occupied.found)
            except (errors.UniqueViolation, errors.DeadlockDetected) as error:
                refused = error
                if error.diag.constraint_name not in (None, "zone_twice"):
                    break
                missing = await self._missing(lane.conn, [one for one, _ in new])  # somebody was quicker
                left = {one.name for one in missing}
                new = [pair for pair in new if pair[0].name in left]
            except OperationalError:
                raise
            except Error as error:
                refused = error
                break
            else:
                return
        if len(new) == 1:
            self.report.refuse(new[0][0].line, self._why(new[0][0], refused))
            return
        half = len(new) // 2
        for some in (new[:half], new[half:]):
            await self._commit(lane, some, servers)

    def _without(self, new: list[_New], found: frozenset[Name]) -> list[_New]:
        apex = names.to_text(self._registry.origin)
        for one, _ in new:
            if one.name in found:
                self.report.refuse(
                    one.line, f"the zone {apex} has records at or below {names.to_text(one.name)}; choose another label"
                )
        return [pair for pair in new if pair[0].name not in found]

    @staticmethod
    def _why(home: NewHome, error: Error | None) -> str:
        name = names.to_text(home.name)
        if error is None:
            return f"{name} is being changed by others all the time; run the import again"
        if error.diag.constraint_name == "sig0_key_twice":
            return f"its key is enrolled as {name} already; take that back first with `ddns key revoke {name}`"
        said = (error.diag.message_primary or str(error)).strip().splitlines()[0]
        return f"the database refuses it ({said}); bring it in alone, with `ddns home add`"

    async def _missing(self, conn: Conn, homes: Sequence[_One]) -> list[_One]:
        """Return those of *homes* that are not there; a name that is a zone of another kind is refused."""
        standing = await new_homes.standing(conn, [one.name for one in homes])
        out = []
        for one in homes:
            if one.name not in standing:
                out.append(one)
            elif standing[one.name] == self._registry.id:
                self.report.there += 1
            else:
                self.report.refuse(
                    one.line, f"{names.to_text(one.name)} is a zone of its own here; choose another label"
                )
        return out

    async def _write(self, lane: Lane, new: Sequence[_New], servers: RRset) -> None:
        """Write homes and delegate to them, in one transaction."""
        registry, conn = self._registry, lane.conn
        async with conn.transaction():
            rows = [
                new_homes.Row(one.name, 0 if answer is None else 1, 0 if answer is None else answer.resign_at)
                for one, answer in new
            ]
            ids = await new_homes.insert(conn, rows, registry.denial, registry.algorithm, registry.id)
            made = [(zone, one, answer) for zone, (one, answer) in zip(ids, new, strict=True)]
            shown = [(zone, answer) for zone, _, answer in made if answer is not None]
            await signing.insert_keys(conn, [(zone, key) for zone, answer in shown for key in answer.keys])
            await new_homes.enrol(
                conn, [(zone, one.name, one.key, one.algorithm, one.tag) for zone, one, _ in made if one.key],
                DEFAULT_ASSURANCE,
            )  # fmt: skip
            await rrsets.fill_all(conn, ((zone, rrset) for zone, one, _ in made for rrset in one.records))
            await published.fill_all(conn, ((zone, rrset) for zone, answer in shown for rrset in answer.added))
            await journal.append(
                conn, [journal.Entry(zone, 1, self._principal, None, None, _changes(one)) for zone, one, _ in made]
            )
            await new_homes.withdraw_invitations(conn, [one.name for one, _ in new])
            # The registry's zone is locked last: it is the one that others wait for.
            parent = (await zones.lock(conn, [registry.id])).get(registry.id)
            if parent is None:
                raise CannotDo(f"The zone {names.to_text(registry.origin)} has just been removed.")
            await self._check_free(conn, [one.name for one, _ in new])
            await delegate(
                conn, lane.signer, parent,
                [(one.name, servers.rdatas, () if answer is None else answer.ds) for one, answer in new],
            )  # fmt: skip
            await notify.zones(conn, [(zone, 1) for zone, _ in shown])
            await notify.keys(conn, None)
            if len(shown) < len(made):
                await notify.pending(conn)
        self.report.made += len(made)
        self.report.unsigned += len(made) - len(shown)

    async def _check_free(self, conn: Conn, wanted: Sequence[Name]) -> None:
        """Raise `_Occupied` where the locked registry's zone has records at or below some names."""
        places = [(self._registry.id, name) for name in wanted]
        found = {name for _, name in await rrsets.read_names(conn, places)}
        found |= {name for _, name in await rrsets.has_descendants(conn, places)}
        if found:
            raise _Occupied(frozenset(found))

    async def _signed(self, signer: SignerClient, homes: Sequence[NewHome]) -> Sequence[SignedJob | None]:
        """Return what each of *homes* publishes, in the same order; None: it waits for the signer."""
        registry = self._registry
        if registry.denial == "none":
            return [SignedJob(0, tuple(map(_bare, one.records))) for one in homes]
        jobs = [SignJob(0, one.name, registry.denial, registry.algorithm, _nodes(one), (), whole=True) for one in homes]
        with suppress(SignerAway):
            return await signer.sign(jobs)
        return [None] * len(homes)


def _bare(one: RRset) -> SignedRRset:
    return SignedRRset(one.name, one.type, one.ttl, one.rdatas)


def _nodes(home: NewHome) -> tuple[Node, ...]:
    return tuple(Node(name, (), tuple(rrsets)) for name, rrsets in groupby(home.records, key=lambda one: one.name))


def _changes(home: NewHome) -> ChangeSet:
    return ChangeSet(tuple([RRsetChange(one.name, one.type, None, one) for one in home.records]))
