"""Each wish is carried out once on a real Postgres: repeated, at the same time, or after a desk that was killed."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import Any
from uuid import uuid4

import pytest

from ddns.auth.sealing import Sealer
from ddns.proof.jws import Signed
from ddns.store import devices, home_events, keyed_requests, tokens
from ddns.store.home_events import Event
from ddns.store.pool import Pool
from ddns.store.statements import Statement, spend_nonce
from ddns.store.tenancy import entered
from ddns.web import answering, chores
from ddns.web.chores import Chores
from ddns.web.routes import Answer, Asked, Holder, Place, Refused
from ddns.web.transacting import transaction

NOW = 1_800_000_000
TOKEN = "1-aaaaaaaaaaaaaaaa"


class Desk:
    """What handlers work with, on the test's database."""

    signer: Any = None
    masa: Any = None
    secret = b"s" * 32
    sealer = Sealer(secret)
    place = Place()

    def __init__(self, dsn):
        self.pool = Pool(dsn, "ddns_web", 4)
        self.at = NOW

    def now(self):
        return self.at

    def dice(self, octets):
        return secrets.token_bytes(octets)

    def transaction(self, tenant):
        return transaction(self.pool, tenant)


@pytest.fixture
def desk(dsn_for):
    """A desk on the fresh database."""
    return Desk(dsn_for("ddns_web"))


def asked(tenant=1, token=TOKEN, now=NOW):
    return Asked({}, None, None, b"", "", "", "192.0.2.1", now, tenant, Holder(tenant, frozenset(), token))


def stated(words=b'{"act":"x"}', signer=b"k" * 32, jti="j" * 16):
    signed = Signed(words, ())
    return signed, Statement(signed.digest, signer, jti, "x", b"whole", NOW, NOW + 900)


class Work:
    """Something that is done: counts how often, and answers with a secret."""

    def __init__(self):
        self.done = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self):
        self.begun.set()
        await self.gate.wait()
        self.done += 1
        return Answer({"secret": f"number {self.done}"}, 201)


async def keyed(desk, work, request=b"wish", key="one", **who):
    who = asked(**who)
    async with desk.transaction(who.tenant) as conn:
        return await answering.keyed(conn, desk, who, key, request, work)


async def once(desk, work, said, tenant=1):
    async with desk.transaction(tenant) as conn:
        return await answering.once(conn, desk, asked(tenant), *said, work)


async def test_a_key_that_comes_again_gets_the_first_answer_and_nothing_is_done(desk):
    work = Work()
    first, again = await keyed(desk, work), await keyed(desk, work)

    assert (work.done, first.status, again.status) == (1, 201, 201)
    assert again.body == answering.octets_of(first) == b'{"secret":"number 1"}'


async def test_two_at_the_same_time_are_one(desk):
    work = Work()
    work.gate.clear()
    both = [asyncio.ensure_future(keyed(desk, work)) for _ in range(2)]
    await work.begun.wait()
    work.gate.set()
    answers = await asyncio.gather(*both)

    assert work.done == 1
    assert len({answering.octets_of(one) for one in answers}) == 1


async def test_a_twin_of_one_that_fails_is_done_itself(desk):
    work = Work()

    async def fail():
        work.begun.set()
        await work.gate.wait()
        raise ZeroDivisionError

    work.gate.clear()
    failing = asyncio.ensure_future(keyed(desk, fail))
    await work.begun.wait()
    twin = asyncio.ensure_future(keyed(desk, work))
    work.gate.set()
    with pytest.raises(ZeroDivisionError):
        await failing

    assert (await twin).status == 201
    assert work.done == 1


async def test_a_key_with_another_request_is_refused_and_another_token_has_keys_of_its_own(desk):
    work = Work()
    await keyed(desk, work)
    with pytest.raises(Refused) as refused:
        await keyed(desk, work, request=b"other")
    await keyed(desk, work, token="1-bbbbbbbbbbbbbbbb")

    assert refused.value.refusal.code == "idempotency-key-reused"
    assert work.done == 2


async def test_a_key_is_free_again_after_a_day(desk):
    work = Work()
    await keyed(desk, work)
    await keyed(desk, work, now=NOW + answering.DAY - 1)
    await keyed(desk, work, now=NOW + answering.DAY)

    assert work.done == 2


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb", "é"])
async def test_odd_keys_are_refused(desk, key):
    with pytest.raises(Refused) as refused:
        await keyed(desk, Work(), key=key)

    assert refused.value.refusal.code == "field-wrong"


async def test_what_is_kept_of_an_answer_does_not_show_its_secret(desk, owner):
    await keyed(desk, Work())
    cursor = await owner.execute("SELECT answer FROM keyed_requests")
    [(answer,)] = await cursor.fetchall()

    assert b"number" not in answer


async def test_a_statement_is_carried_out_once_whoever_brings_it(desk):
    work, said = Work(), stated()
    first, again = await once(desk, work, said), await once(desk, work, said)

    assert work.done == 1
    assert again.body == answering.octets_of(first)


@pytest.mark.parametrize(
    "other",
    [stated(signer=b"o" * 32), stated(words=b'{"act":"y"}')],
    ids=["the same words by another key", "other words with the same jti"],
)
async def test_a_statement_is_not_replayed_in_another_dress(desk, other):
    work = Work()
    await once(desk, work, stated())
    with pytest.raises(Refused) as refused:
        await once(desk, work, other)

    assert refused.value.refusal.code == "statement-replayed"
    assert work.done == 1


async def test_a_statement_that_another_tenant_took_is_not_answered_here(desk, admin):
    await admin.execute("INSERT INTO tenants (id, name) VALUES (7, 'acme')")
    work = Work()
    await once(desk, work, stated())
    with pytest.raises(Refused) as refused:
        await once(desk, work, stated(), tenant=7)

    assert refused.value.refusal.code == "statement-replayed"


async def test_what_is_refused_is_not_remembered(desk):
    async def refuse():
        raise Refused(answering.refusing.not_found())

    with pytest.raises(Refused):
        await once(desk, refuse, stated())
    work = Work()

    assert (await once(desk, work, stated())).status == 201


async def test_a_desk_that_is_cut_off_in_the_middle_has_done_nothing(desk, owner):
    work = Work()

    async def cut_off():
        async with desk.transaction(1) as conn:
            cursor = await conn.execute("SELECT pg_backend_pid()")
            [pid] = await cursor.fetchone()

            async def killed():
                await conn.execute("INSERT INTO spent_nonces VALUES ('x', now())")
                await owner.execute("SELECT pg_terminate_backend(%s)", [pid])
                return Answer({}, 201)

            return await answering.once(conn, desk, asked(), *stated(), killed)

    with pytest.raises(Exception, match=r"terminat|closed|lost"):
        await cut_off()
    cursor = await owner.execute("SELECT (SELECT count(*) FROM statements), (SELECT count(*) FROM spent_nonces)")

    assert await cursor.fetchone() == (0, 0)
    assert (await once(desk, work, stated())).status == 201


async def test_a_nonce_is_spent_once_and_a_refused_wish_does_not_burn_it(desk):
    digest = hashlib.sha256(b"nonce").digest()

    async def refused():
        async with desk.transaction(1) as conn:
            assert await spend_nonce(conn, digest, NOW + 600)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await refused()
    async with desk.transaction(1) as conn:
        spent = [await spend_nonce(conn, digest, NOW + 600) for _ in range(2)]

    assert spent == [True, False]


async def test_the_chores_forget_what_is_over_of_every_tenant_and_nothing_else(desk, admin, owner):
    await admin.execute("INSERT INTO tenants (id, name) VALUES (7, 'acme')")
    for tenant in (1, 7):
        async with desk.transaction(tenant) as conn:
            await keyed_requests.begin(conn, tenant, f"{tenant}-t", "k", b"", NOW, NOW + 10)
            await keyed_requests.begin(conn, tenant, f"{tenant}-t", "l", b"", NOW, NOW + 10**7)
            await spend_nonce(conn, bytes([tenant]), NOW + 10)
            for number, ends in enumerate((10, 40 * 86_400)):
                await tokens.insert(
                    conn,
                    tokens.Token(
                        f"{tenant}-{number}", tenant, b"", ("homes:read",), None, None, "", (), NOW, NOW + ends, None,
                        None, None,
                    ),
                )  # fmt: skip
    desk.at = NOW + 31 * 86_400
    mine = tuple(one for one in chores.CHORES if one.name in ("requests", "nonces", "tokens"))
    done = await Chores(desk, mine).round()
    left = await owner.execute(
        "SELECT ARRAY(SELECT key FROM keyed_requests), (SELECT count(*) FROM spent_nonces), "
        "ARRAY(SELECT id FROM tokens ORDER BY 1)"
    )

    assert done == 2 * 3
    assert await left.fetchone() == (["l", "l"], 0, ["1-1", "7-1"])


async def test_one_desk_at_a_time_does_a_chore(desk, dsn_for):
    other, running, ran = Desk(dsn_for("ddns_web")), asyncio.Event(), []
    gate = asyncio.Event()

    async def slow(_conn, _means, _now):
        running.set()
        await gate.wait()
        ran.append("first")
        return 1

    async def quick(_conn, _means, _now):
        ran.append("second")
        return 1

    first = asyncio.ensure_future(Chores(desk, (chores.Chore("x", slow),)).round())
    await running.wait()
    assert await Chores(other, (chores.Chore("x", quick),)).round() == 0
    gate.set()

    assert await first == 1
    assert await Chores(other, (chores.Chore("x", quick),)).round() == 1
    assert ran == ["first", "second"]


async def test_a_box_has_a_history_of_kinds_and_days_for_who_knows_its_certificate(desk, admin):
    box, digest = uuid4(), b"c" * 32
    async with admin.transaction():
        await entered(admin, 1)
        await devices.make(admin, box, "idevid", digest, "", NOW, None)
        for at, event in ((NOW, "enrol"), (NOW + 86_400, "release"), (NOW + 2 * 86_400, "enrol")):
            await home_events.append(
                admin, [Event(at=at, event=event, who="owner", before="free", after="owned", device=box)]
            )
    async with desk.transaction(1) as conn:
        assert await devices.history(conn, digest) == [
            ("enrol", "2027-01-15"),
            ("release", "2027-01-16"),
            ("enrol", "2027-01-17"),
        ]
        assert await devices.history(conn, b"d" * 32) == []
