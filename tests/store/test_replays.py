"""A signed update is done once, whoever hears it again, wherever, whenever and however it is spelled by then."""

from __future__ import annotations

import craft
import dns.message
import leasing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from leasing import Home, Server, granted, host
from waiting import wait_for

from ddns.auth import keys, sig0, trailer
from ddns.auth.principal import Grant
from ddns.dns.codes import Rcode
from ddns.store import credentials, requests

KEY = ec.derive_private_key(7, ec.SECP256R1())
CAM = craft.add("cam", 300, "A", "192.0.2.1")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2 §2.4.2)


class Registry(Home):
    """A home before two servers, and a SIG(0) key for it."""

    async def start(self, dsn: str, folder) -> Registry:
        await self.begin()
        public = keys.key_rdata(KEY)
        await credentials.insert(
            self.admin, craft.name("gw"), "sig0", "13", tag=keys.key_tag(public), public=public,
            grants=[Grant(self.zone, craft.ORIGIN)],
        )  # fmt: skip
        self.other = Server(dsn, folder)
        await self.other.open(self.zone)
        return self

    def by_sig0(self, *operations: bytes, opt: bytes | None = None) -> bytes:
        return sig0.sign_request(self.message(*operations, opt=opt), KEY, craft.name("gw"), int(self.server.now))

    async def forgets(self, old: bytes, *again: bytes) -> list[dns.message.Message]:
        """Do *old*, undo what it did, and return what both servers say to *again*, which must change nothing."""
        await self.server.send(old)
        assert await self.content() != set()
        await self.update(craft.delete("cam"), craft.delete("pi"))
        row = await self.row()
        replies = [*await self.server.send(*again), *await self.other.send(*again)]
        assert await self.content() == set()
        assert await self.row() == row
        return replies


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    made = []

    async def begin():
        dsn = dsn_for("ddns_server")
        registry = await Registry(dsn, owner, tmp_path).start(dsn, tmp_path)
        made.append(registry)
        return registry

    yield begin
    for registry in made:
        wait_for(registry.server.close())
        wait_for(registry.other.close())


async def test_another_server_has_the_answer_that_the_first_one_gave(make):
    """The lease too, and no second change."""
    registry = await make()
    octets = registry.signed(CAM, opt=leasing.lease(5))

    first = await registry.server.send(octets)
    second = await registry.other.send(octets)

    assert [granted(reply) for reply in first + second] == [(30,), (30,)]
    assert (await registry.row()).head == 2


async def test_at_two_servers_at_once_it_is_done_once(make):
    """The zone's lock decides who is first."""
    registry = await make()

    for number in range(10):
        octets = registry.signed(craft.add(f"d{number}", 300, "A", "192.0.2.1"), opt=leasing.lease(60 + number))
        before = (await registry.row()).head
        replies = await leasing.asyncio.gather(registry.server.send(octets), registry.other.send(octets))

        assert (await registry.row()).head == before + 1
        assert {granted(reply) for (reply,) in replies} == {(60 + number,)}


async def test_a_tsig_is_the_same_under_another_id_and_in_other_letters(make):
    """The ID on the wire and the spelling of the key are not in the MAC (RFC 8945 §4.3.3)."""
    registry = await make()
    old = registry.signed(CAM)
    loud = old.replace(b"\1k\7example", b"\1K\7eXaMpLe").replace(b"\x0bhmac-sha256", b"\x0bHMAC-SHA256")
    assert loud != old

    replies = await registry.forgets(old, old, b"\x99\x99" + old[2:], loud)

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}


async def test_a_sig0_is_the_same_whatever_is_not_signed_of_it(make):
    """Its owner, class, TTL and the letters of its signer; and the other signature that ECDSA makes of a good one."""
    registry = await make()
    old = registry.by_sig0(CAM)
    at = trailer.find(old)
    assert isinstance(at, trailer.Trailer)
    body, fields = old[: at.start], old[at.fixed :]
    signer = craft.name("gw")
    s = ORDER - int.from_bytes(old[-32:], "big")
    spelled = [
        body + b"\4any1\0" + fields,
        body + b"\0" + fields[:2] + b"\0\1" + fields[4:],
        body + b"\0" + fields[:4] + b"\0\0\1\0" + fields[8:],
        body + b"\0" + fields.replace(signer, signer.upper()),
        old[:-32] + s.to_bytes(32, "big"),
    ]
    assert len({old, *spelled}) == 6

    replies = await registry.forgets(old, old, *spelled)

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}


async def test_a_sig0_under_another_id_is_another_message(make):
    """The header is signed as it was sent (RFC 2931 §3.1), so this one is simply wrong."""
    registry = await make()
    old = registry.by_sig0(CAM)

    replies = await registry.forgets(old, b"\x99\x99" + old[2:])

    assert {reply.rcode() for reply in replies} <= {Rcode.NOTAUTH, Rcode.BADVERS}


async def test_a_server_with_a_slow_clock_does_not_do_what_may_have_been_forgotten(make, owner):
    """For it the signature is still good; the database, which pruned the answer, knows better."""
    registry = await make()
    registry.server.now -= 2 * 3600
    registry.other.now = registry.server.now
    old = registry.signed(CAM)

    (reply,) = await registry.server.send(old)

    assert reply.rcode() == Rcode.REFUSED
    assert await registry.content() == set()


async def test_nothing_is_forgotten_too_early(make, owner):
    """Pruning goes by the database's clock and leaves room, whatever the servers' clocks say."""
    registry = await make()
    old = registry.by_sig0(CAM)
    await registry.server.send(old)
    await registry.update(craft.delete("cam"))

    assert await requests.prune(owner) == 0
    await owner.execute("UPDATE requests SET expires_at = now() - interval '890 s'")
    assert await requests.prune(owner) == 0
    assert (await registry.server.send(old))[0].rcode() == Rcode.NOERROR
    assert await registry.content() == set()


async def test_what_was_refused_stays_refused_everywhere(make):
    registry = await make()
    needs = registry.message(CAM, needs=[craft.exists("door")])
    early = sig0.sign_request(needs, KEY, craft.name("gw"), int(registry.server.now))
    await registry.server.send(early)
    await registry.update(craft.add("door", 300, "A", "192.0.2.2"))

    (reply,) = await registry.other.send(early)

    assert reply.rcode() == Rcode.NXDOMAIN
    assert await registry.content() == {"door 300 A 192.0.2.2"}


async def test_a_withdrawn_registration_does_not_come_back(make, owner):
    """Replayed at the other server, where nobody has seen the host."""
    registry = await make()
    await leasing.services.allow(owner, craft.ORIGIN, (leasing.NETWORK,))
    old = registry.registration(KEY, "pi", *host("pi", KEY, "192.0.2.7"))

    replies = await registry.forgets(old, old)

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}
