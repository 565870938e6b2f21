"""Many homes at once, from a file: what `homes.add` makes of one, made of hundreds in one transaction.

Law: a home is brought in whole or not at all, with its delegation, and never twice: one that is there is left as it is.
So an import that ends in the middle, however it does, goes on where it was when it is run again. A line that is no
home, or that cannot be one here, is refused in a sentence and does not stop the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec
from psycopg import Error, OperationalError, errors

from ddns.dns import names
from ddns.dns.names import Name
from ddns.homes import labels, making, quotas
from ddns.homes.labels import LabelRules
from ddns.homes.making import Collided, Draft, Made, Wanted
from ddns.homes.policies import label_rules
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.home_line import MOST_OCTETS, BadLine, Named, NewHome, name_of, read
from ddns.signing.client import SignerClient
from ddns.store import home_policies, new_homes
from ddns.store.tenancy import REGISTRY, entered
from ddns.store.zones import Zone

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


class Source(Protocol):
    """What lines are read from: a binary file, or what reads like one."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or *size* octets of it; nothing at the end."""


_One = TypeVar("_One", Named, NewHome)
_New = tuple[NewHome, Draft]


def portions(stream: Source) -> Iterator[_Portion]:
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
    """Brings homes of *tenant* into the zone *registry* on behalf of *principal*; *tell* hears of each step."""

    def __init__(
        self,
        registry: Zone,
        principal: str,
        tell: Callable[[Report], None] = lambda _: None,
        tenant: int = REGISTRY,
    ) -> None:
        self.report = Report()
        self._registry = registry
        self._principal = principal
        self._tell = tell
        self._tenant = tenant
        self._rules: LabelRules | None = None

    async def run(self, stream: Source, jobs: int, lane: Callable[[], Awaitable[Lane]]) -> Report:
        """Bring in the homes of *stream*, *jobs* batches at a time, each through a *lane* of its own.

        Outages raise: then all that was counted is in, and the rest is not.
        """
        ready: asyncio.Queue[_Portion | None] = asyncio.Queue(1)

        async def work() -> None:
            own = await lane()
            try:
                if self._rules is None:
                    policy = await home_policies.of(own.conn, self._tenant, self._registry.id)
                    self._rules = await label_rules(own.conn, self._tenant, policy)
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
                one = name_of(line, number, self._registry.origin, self._rules)
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

    async def _make(self, lane: Lane, missing: Sequence[Named]) -> None:
        """Make homes that are not there."""
        try:
            apex = await making.apex_of(lane.conn, self._registry)
        except making.NoRegistry:
            raise self._gone() from None
        homes: list[NewHome] = []
        for named in missing:
            try:
                homes.append(read(named, apex))
            except BadLine as error:
                self.report.refuse(named.line, str(error))
        if not homes:
            return
        now = int(time.time())
        wanted = {one.name: self._wanted(one) for one in homes}
        unfit = await new_homes.unfit(lane.conn, self._registry.id, list(wanted.values()), now)
        for one in [one for one in homes if unfit.get(one.name) == making.Why.RESTING]:
            homes.remove(one)
            self.report.refuse(
                one.line, f"{names.to_text(one.name)} was somebody's not long ago and rests; choose another label"
            )
        alike = _alike([wanted[one.name] for one in homes])
        for one in [one for one in homes if one.name in alike]:
            homes.remove(one)
            self.report.refuse(one.line, _looks_like_another(one))
        drafts = await making.sign(lane.signer, self._registry, [wanted[one.name] for one in homes], apex)
        new: list[_New] = []
        for one, draft in zip(homes, drafts, strict=True):
            if draft.answer is not None and draft.answer.error:
                self.report.refuse(one.line, draft.answer.error)
            else:
                new.append((one, draft))
        await self._commit(lane, new)

    def _wanted(self, one: NewHome) -> Wanted:
        shown, skeleton = labels.looks(one.name)
        return Wanted(
            name=one.name, key=one.key, records=one.records, invitation=making.WHOEVER, who=self._principal,
            shown=shown, skeleton=skeleton,
        )  # fmt: skip

    def _gone(self) -> CannotDo:
        return CannotDo(f"The zone {names.to_text(self._registry.origin)} has just been removed.")

    async def _commit(self, lane: Lane, new: list[_New]) -> None:
        """Write homes in one transaction; where the database refuses them, find out which, and write the others."""
        refused: Error | None = None
        for _ in range(ATTEMPTS):
            if not new:
                return
            try:
                await self._write(lane, new)
            except Collided as collided:
                new = self._without(new, collided)
            except making.NoRegistry:
                raise self._gone() from None
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
            await self._commit(lane, some)

    def _without(self, new: list[_New], collided: Collided) -> list[_New]:
        apex = names.to_text(self._registry.origin)
        for one, _ in new:
            if one.name in collided.homes:
                self.report.refuse(
                    one.line,
                    _looks_like_another(one)
                    if collided.why is making.Why.ALIKE
                    else f"the zone {apex} has records at or below {names.to_text(one.name)}; choose another label",
                )
        return [pair for pair in new if pair[0].name not in collided.homes]

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

    async def _write(self, lane: Lane, new: Sequence[_New]) -> None:
        """Write homes and delegate to them, in one transaction."""
        now = int(time.time())
        async with lane.conn.transaction():
            await entered(lane.conn, self._tenant)
            full = await quotas.room(lane.conn, self._tenant, self._registry.id, now, homes=len(new))
            if full is not None:
                raise CannotDo(full.text)
            done = await making.write(lane.conn, lane.signer, self._registry, [draft for _, draft in new], now)
        self.report.made += len(new)
        self.report.unsigned += sum(isinstance(one, Made) and one.pending for one in done.made)


def _alike(wanted: Sequence[Wanted]) -> set[Name]:
    """Return those names that people may take for one that stands before them; two in plain ASCII never are."""
    first: dict[str, list[bool]] = {}
    out: set[Name] = set()
    for one in wanted:
        plain = one.shown.isascii()
        there = first.setdefault(one.skeleton, [])
        if there and not (plain and all(there)):
            out.add(one.name)
        else:
            there.append(plain)
    return out


def _looks_like_another(one: NewHome) -> str:
    return f"{names.to_text(one.name)} looks like another home's name; choose another label"
