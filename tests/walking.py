"""A walk through the machine of ownership on a real Postgres: whoever says whatever, again, late, at once, and cut off.

What is said is chosen by dice among people who know one another's boxes; whether it is allowed is the machine's matter.
After any of it everything has to agree with everything (`people.Village.check`), a statement is done once at most, and
what was answered is answered again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
from people import DAY, SECRET, Undone, Village, p256, thumb

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import boxes, due, knowing, operating, telling
from ddns.homes.carrying import Outcome
from ddns.homes.ownership_facts import Waits
from ddns.operator import adopting
from ddns.operator.fault import CannotDo
from ddns.proof import b64, jwk, statements
from ddns.signing.publish import NO_SIGNER
from ddns.store import credential_uses, home_people, keys_of_homes, owners, pending_keys
from ddns.store.credential_uses import Use
from ddns.store.tenancy import entered

LABELS = ("ash", "birch", "cedar", "elm", "fir")
AT_ONCE = 3  # desks
CUT_OFF = 0.06  # of what is said, the part whose backend is killed
Connect = Callable[[str], Awaitable[Any]]


class Walk:
    """One walk; *happened* counts events and refusals by their codes."""

    def __init__(self, village: Village, killer: Any, connect: Connect, seed: int) -> None:
        self.village = village
        self.killer = killer
        self.connect = connect
        self.dice = random.Random(seed)
        self.desks: list[Any] = []
        self.private: dict[bytes, Any] = {}
        self.boxes = [self._known(p256()) for _ in range(4)]
        self.people = [self._known(p256()) for _ in range(4)]
        self.said: list[tuple[bytes, int]] = []  # what was done, and when
        self.late: list[bytes] = []
        self.happened: Counter[str] = Counter()
        self.killed = 0

    async def begin(self) -> None:
        """Make the homes, each with an owner and a box, but the last, which has neither."""
        self.desks = [await self.connect("ddns_web") for _ in range(AT_ONCE)]
        for place, label in enumerate(LABELS):
            mine = place < len(self.people)
            await self.village.home(
                label, self._new(), self.people[place] if mine else None, self.boxes[place] if mine else None
            )

    async def step(self) -> None:
        """Let something happen."""
        turn = self.dice.random()
        if turn < 0.66:
            await self._several([await self._statement() for _ in range(self.dice.choice((1, 1, 1, 2, 3)))])
        elif turn < 0.74 and self.said:
            await self._again()
        elif turn < 0.80 and self.late:
            self.dice.shuffle(self.late)
            late, self.late = self.late, []
            await self._several(late[:AT_ONCE])
        elif turn < 0.88:
            await self._clock()
        elif turn < 0.96:
            await self._operator()
        else:
            await self._use()

    # -- statements

    async def _several(self, octets: list[bytes]) -> None:
        """Say all of it at the same time, each to a desk of its own; or keep some of it back for later."""
        if self.dice.random() < 0.08:
            self.late += octets
            return
        answers = await asyncio.gather(
            *(self._say(place, one) for place, one in enumerate(octets)), *([self._kill()] if self._cuts() else [])
        )
        for one, answer in zip(octets, answers, strict=False):
            if answer is not None:
                self._note(one, answer)

    async def _say(self, place: int, octets: bytes) -> Outcome | str | None:
        """Say it to the desk *place*; where that is cut off, say the same to the next one."""
        for _ in range(8):
            try:
                return await self.village.send(octets, conn=self.desks[place])
            except psycopg.errors.DeadlockDetected:
                self.happened["deadlock"] += 1
            except (psycopg.errors.UniqueViolation, knowing.Moved) as error:
                self.happened[type(error).__name__] += 1  # two of a kind at once: the desk asks its client to repeat
            except psycopg.OperationalError:
                await self.desks[place].close()
                self.desks[place] = await self.connect("ddns_web")
        return None

    def _cuts(self) -> bool:
        return self.dice.random() < CUT_OFF

    async def _kill(self) -> None:
        """End the backend of a desk, at some moment of what it does."""
        victim = self.dice.choice(self.desks)
        await asyncio.sleep(self.dice.random() * 0.02)
        await self.killer.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        self.killed += 1

    def _note(self, octets: bytes, answer: Outcome | str) -> None:
        self.happened[answer if isinstance(answer, str) else answer.event] += 1
        if not isinstance(answer, str):
            self.said.append((octets, self.village.now))

    async def _again(self) -> None:
        """Say what was done before once more, also long after: nothing is done twice."""
        today = [one for one in self.said[-50:] if one[1] == self.village.now]
        octets, _ = self.dice.choice(today if today and self.dice.random() < 0.8 else self.said)
        before = await self._events()
        answer = await self._say(0, octets)
        assert answer in ("again", "statement-stale"), answer
        assert await self._events() == before
        self.happened[answer] += 1

    async def _statement(self) -> bytes:
        """Return something that somebody could say, and signs."""
        dice, label = self.dice, self.dice.choice(LABELS)
        home = names.from_text(f"{label}.homes.example.")
        there = await home_people.called(self.village.admin, home)
        owner = None if there is None else there.owner
        mine = await self._keys_of(owner)
        gateways = [] if there is None else await self._live(there.zone)
        waiting = [] if there is None else await self._waiting(there.zone)
        kind = dice.choice(_KINDS)
        by = dice.choice(mine) if mine and dice.random() < 0.9 else dice.choice(self.people)
        gateway = dice.choice(gateways) if gateways and dice.random() < 0.9 else self._new()
        sub = {"sub": names.to_text(home)}
        said = self.village.signed
        match kind:
            case statements.Replace:
                return said(kind, self._new(), by, same_box=dice.random() < 0.5, **sub)
            case statements.AnnounceKey:
                return said(kind, self._new(), **sub)
            case statements.ApproveKey:
                return said(kind, by, key=self._named(waiting or gateways), **sub)
            case statements.RevokeKey:
                return said(kind, by, key=self._named(gateways), reason="x", **sub)
            case statements.RollKey:
                return said(kind, gateway, self._new(), **sub)
            case statements.Release:
                other = b64.encode(thumb(dice.choice(self.people)))
                return said(kind, by, until=self.village.now + dice.choice((1, 30)) * DAY, receiver=other, **sub)
            case statements.Claim:
                return said(kind, dice.choice(self.people), dice.choice(self.boxes), nonce=self.village.nonce())
            case statements.AddOwnerKey:
                return said(kind, by, self._new(), role=dice.choice(("owner", "admin", "recovery")))
            case statements.RemoveOwnerKey:
                return said(kind, by, key=self._named(mine))
            case statements.Recover:
                return said(kind, by, self._new())
            case statements.ObjectRecovery:
                return said(kind, by)
            case statements.BindOwner:
                return said(kind, gateway, dice.choice(self.people), **sub)
            case statements.Adopt:
                return said(kind, dice.choice(self.people), code=await self._code(home), **sub)
            case statements.MintKey:
                return said(kind, gateway, name=f"www.{names.to_text(home)}", **sub)
            case statements.DeviceKey:
                number = dice.randrange(1000)
                return said(kind, gateway, self._new(), name=f"d{number}.{names.to_text(home)}", **sub)
            case _:
                return said(kind, by, **sub)

    async def _code(self, home: bytes) -> str:
        try:
            made = await adopting.make(self.village.admin, home, 7, "operator:anna", self.village.now)
        except CannotDo:
            return "A" * 24
        return made.code.reveal().decode()

    # -- the clock, operators, and use

    async def _clock(self) -> None:
        """Let days go by, and have the chores done that are due by then."""
        village = self.village
        village.now += self.dice.choice((1, 1, 3, 7, 15, 31)) * DAY
        for what in (due.decide_claim, due.finish_recovery, due.sweep_home):
            for _ in range(20):
                async with village.desk.transaction():
                    await entered(village.desk, 1)
                    done = await what(village.desk, NO_SIGNER, 1, village.now, village.new_id)
                self.happened[what.__name__] += done
                if not done:
                    break
        async with village.desk.transaction():
            await entered(village.desk, 1)
            await telling.remind_of_claims(village.desk, village.now, 100)
            await home_people.free_labels(village.desk, village.now, 100)
            await pending_keys.forget(village.desk, village.now, 100)
        await self._settle_anew()

    async def _settle_anew(self) -> None:
        """Make homes anew under names that have become free."""
        for label in LABELS:
            home = names.from_text(f"{label}.homes.example.")
            cursor = await self.village.admin.execute(
                """SELECT FROM zones WHERE origin = %(name)s
                   UNION ALL SELECT FROM resting_labels WHERE label = %(name)s""",
                {"name": names.order_key(home)},
            )
            if await cursor.fetchone() is None:
                owner = self.dice.choice((None, *self.people))
                free = None if owner is None else await self._free_box()
                await self.village.home(label, self._new(), owner, free)
                self.happened["enrol"] += 1

    async def _free_box(self) -> Any:
        for box in self.boxes:
            digest = boxes.digest(SECRET, "qr", jwk.to_json(jwk.of(box)))
            cursor = await self.village.admin.execute(
                """SELECT FROM devices JOIN device_identities ON device = devices.id
                   WHERE digest = %s AND state = 'free'
                   AND NOT EXISTS (SELECT FROM releases WHERE releases.device = devices.id AND spent_at IS NULL)""",
                [digest],
            )
            if await cursor.fetchone() is not None:
                return box
        return None

    async def _operator(self) -> None:
        """Hold a home, release it, revoke or approve a key, or help an owner."""
        village, dice = self.village, self.dice
        label, name = dice.choice(LABELS), dice.choice(("anna", "bert"))
        home = names.from_text(f"{label}.homes.example.")
        event = dice.choice(("suspend", "quarantine", "release-hold", "release-hold", "revoke-key", "approve-key",
                             "recover", "confirm-recovery", "drop-recovery"))  # fmt: skip
        operator = operating.Operator(name=name, reason="because", tenant=1, now=village.now, new_id=village.new_id)
        there = await home_people.called(village.admin, home)
        if there is None:
            return
        try:
            async with village.admin.transaction():
                await entered(village.admin, 1)
                if event.endswith(("recover", "recovery")):
                    if there.owner is None:
                        return
                    new = jwk.of(self._new()) if event == "recover" else None
                    done = await operating.with_owner(
                        village.admin, NO_SIGNER, there.owner, event, operator, Waits(), new
                    )
                else:
                    keys = await (self._waiting if event == "approve-key" else self._live)(there.zone)
                    key = thumb(dice.choice(keys)) if keys else b""
                    done = await operating.with_home(village.admin, NO_SIGNER, home, event, operator, key)
                if isinstance(done, Refusal):
                    raise Undone(done.code)  # noqa: TRY301
        except Undone as refused:
            self.happened[str(refused)] += 1
        else:
            self.happened[done.event] += 1

    async def _use(self) -> None:
        cursor = await self.village.admin.execute("SELECT id FROM credentials WHERE revoked_at IS NULL ORDER BY id")
        found = [row[0] for row in await cursor.fetchall()]
        if found:
            use = Use(self.dice.choice(found), self.village.now, "192.0.2.0/24")
            await credential_uses.write(self.village.admin, [use])
            self.happened["a key is used"] += 1

    # -- what there is

    def _known(self, key: Any) -> Any:
        self.private[thumb(key)] = key
        return key

    def _new(self) -> Any:
        return self._known(p256())

    def _named(self, keys: list[Any]) -> str:
        return b64.encode(thumb(self.dice.choice(keys) if keys else self._new()))

    async def _keys_of(self, owner: UUID | None) -> list[Any]:
        found = [] if owner is None else await owners.keys(self.village.admin, owner)
        return [self.private[one.thumbprint] for one in found]

    async def _live(self, zone: int) -> list[Any]:
        found = await keys_of_homes.live(self.village.admin, zone)
        return [self.private[knowing.thumbprint_of(one.public)] for one in found if one.kind == "sig0"]

    async def _waiting(self, zone: int) -> list[Any]:
        found = await pending_keys.of(self.village.admin, zone, self.village.now)
        return [self.private[knowing.thumbprint_of(one.key)] for one in found]

    async def _events(self) -> int:
        cursor = await self.village.admin.execute("SELECT count(*) FROM home_events")
        return int((await cursor.fetchone())[0])


_KINDS = (
    statements.Replace, statements.Replace, statements.AnnounceKey, statements.ApproveKey, statements.RevokeKey,
    statements.RollKey, statements.Release, statements.Claim, statements.Object, statements.Stolen, statements.Found,
    statements.AddOwnerKey, statements.RemoveOwnerKey, statements.Recover, statements.ObjectRecovery, statements.Leave,
    statements.Return, statements.BindOwner, statements.Adopt, statements.MintKey, statements.DeviceKey,
)  # fmt: skip


async def walked(walk: Walk, steps: int, every: int) -> None:
    """Walk so many *steps*, and check everything each *every* of them, and at the end."""
    await walk.begin()
    for number in range(steps):
        await walk.step()
        if number % every == every - 1:
            await walk.village.check()
    await walk.village.check()
