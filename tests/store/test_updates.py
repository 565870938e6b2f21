"""The way of an update on a real database: admission, the shared commit, what is stored, what is answered."""

from __future__ import annotations

import asyncio
import struct
import time

import craft
import dns.flags
import dns.message
import dns.rcode
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from waiting import wait_for

from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.auth import keys, sig0, tsig
from ddns.auth.budget import BudgetLimits
from ddns.auth.identity import Identity
from ddns.auth.principal import Credential, Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Rcode, Type
from ddns.dns.records import SignedRRset, soa_serial
from ddns.net.batches import UpdateLimits
from ddns.net.keyring import Keyring
from ddns.net.subscriber import Subscriber
from ddns.net.updates import EXPLAINED, LOOKED_UP, Updates
from ddns.signing.client import SignerClient
from ddns.store import credentials, editions, journal, published, rrsets, zones
from ddns.store.line import Line
from ddns.store.pool import Pool
from ddns.zone.limits import Limits

SEALER = Sealer(bytes(range(32)))
KEY = names.from_text("k.example.")
SECRET = Secret(b"s" * 32)
SIGNS = Credential(0, KEY, "tsig", "hmac-sha256", secret=SECRET)
P256 = ec.derive_private_key(7, ec.SECP256R1())
IDENTITY = Identity(b"s" * 32, names.from_text("ns1.example."))
OWN = names.from_text("gw.example.")


class Registry:
    """One worker's update path beside a database with the zone of `craft`, which is not signed unless told."""

    def __init__(self, dsn_for, admin, tmp_path, heard=lambda _source, _good: None, **bounds) -> None:
        self.admin = admin
        self.pool = Pool(dsn_for("ddns_server"), "ddns_server", 2)
        self.line = Line(dsn_for("ddns_server"), "ddns_server")
        self.table = Table()
        self.subscriber = Subscriber(self.table, self.pool, 0)
        self.signer = SignerClient(tmp_path / "no-signer.sock", 0.2)
        self.now = float(int(time.time()))
        self.updates = Updates(
            pool=self.pool,
            table=self.table,
            subscriber=self.subscriber,
            signer=self.signer,
            keyring=Keyring(self.line, SEALER, 1000, 1000),
            identity=IDENTITY,
            limits=Limits(),
            bounds=UpdateLimits(**bounds),
            clock=lambda: self.now,
            heard=heard,
        )
        self.zone = 0
        self.signed: list[bool] = []

    async def begin(self, *lines: str, denial: str = "none") -> Registry:
        await self.pool.open()
        content = [rrset for node in craft.zone(*lines).values() for rrset in node]
        self.zone = await zones.insert(self.admin, craft.ORIGIN, denial, 13)
        async with self.admin.transaction():
            await rrsets.fill(self.admin, self.zone, content)
            await published.fill(
                self.admin, self.zone, [SignedRRset(one.name, one.type, one.ttl, one.rdatas) for one in content]
            )
            await zones.advance(self.admin, [(self.zone, 1, 1, 10)])
        await credentials.insert(
            self.admin, KEY, "tsig", "hmac-sha256", secret=SEALER.seal(KEY, SECRET),
            grants=[Grant(self.zone, craft.ORIGIN)],
        )  # fmt: skip
        public = keys.key_rdata(P256)
        await credentials.insert(
            self.admin, OWN, "sig0", "13", tag=keys.key_tag(public), public=public,
            grants=[Grant(self.zone, craft.name("gw"), frozenset({int(Type.A)}))],
        )  # fmt: skip
        await self.subscriber.resync()
        await self.load()
        return self

    async def load(self) -> None:
        row = (await zones.get(self.admin, [self.zone]))[self.zone]
        records = await published.read_zone(self.admin, self.zone)
        self.table.install(ZoneImage(self.zone, row.origin, row.edition, records))

    async def send(
        self, *messages: bytes, source: str = "192.0.2.1", transport: Transport = Transport.UDP
    ) -> list[dns.message.Message]:
        """Hand over signed messages at once and return the replies in their order."""
        loop = asyncio.get_running_loop()
        waiting = []
        for wire in messages:
            replied = loop.create_future()
            self.updates.receive(wire, Asker(transport, source), replied.set_result)
            waiting.append(replied)
        async with asyncio.timeout(20):
            replies = await asyncio.gather(*waiting)
        for wire, reply in zip(messages, replies, strict=True):
            cut = sig0.cut(reply)
            if cut is not None:
                assert sig0.verify_reply(reply, wire, IDENTITY.public, IDENTITY.name, int(self.now)) is None
        self.signed = [sig0.cut(reply) is not None for reply in replies]
        return [_read(reply) for reply in replies]

    def tsig(self, wire: bytes, **changes) -> bytes:
        credential = Credential(**{**{f: getattr(SIGNS, f) for f in SIGNS.__struct_fields__}, **changes})
        return tsig.sign_request(wire, credential, int(self.now))[0]

    def sig0(self, wire: bytes, key=P256) -> bytes:
        return sig0.sign_request(wire, key, OWN, int(self.now))

    async def close(self) -> None:
        await self.updates.close()
        await self.subscriber.close()
        self.line.close()
        await self.pool.close()

    def asked(self, owner: str, rdtype: str = "A") -> list[str]:
        """Return what a question gets now, from memory."""
        question = dns.message.make_query(names.to_text(craft.name(owner)), rdtype)
        answer = Responder(self.table).respond(question.to_wire(), Asker(Transport.UDP, "192.0.2.1"))
        return sorted(str(rdata) for rrset in dns.message.from_wire(answer).answer for rdata in rrset)

    async def row(self) -> zones.Zone:
        return (await zones.get(self.admin, [self.zone]))[self.zone]


def _read(reply: bytes) -> dns.message.Message:
    cut = sig0.cut(reply)
    return dns.message.from_wire(reply if cut is None else cut.message, keyring=lambda *_: False, ignore_trailing=False)


@pytest.fixture
def make(dsn_for, admin, tmp_path):
    made = []

    async def begin(*lines, denial="none", **bounds):
        registry = Registry(dsn_for, admin, tmp_path, **bounds)
        made.append(registry)
        return await registry.begin(*lines, denial=denial)

    yield begin
    for registry in made:
        wait_for(registry.close())


async def test_an_accepted_update_is_durable_and_visible_when_it_is_answered(make):
    """NOERROR, the record in the table and in the database, one serial more, one edition, one journal entry."""
    registry = await make()

    (reply,) = await registry.send(registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.7"))))

    assert reply.rcode() == Rcode.NOERROR
    assert reply.had_tsig
    assert registry.asked("cam") == ["192.0.2.7"]
    row = await registry.row()
    assert (row.head, row.edition, row.serial) == (2, 2, 11)
    stored = await rrsets.read_names(registry.admin, [(registry.zone, craft.name("cam"))])
    assert stored[registry.zone, craft.name("cam")][0].rdatas == (b"\xc0\x00\x02\x07",)
    (edition,) = await editions.since(registry.admin, registry.zone, 1, 10)
    assert (edition.from_serial, edition.to_serial) == (10, 11)
    assert {soa_serial(one.rdatas[0]) for one in edition.removed if one.type == Type.SOA} == {10}


async def test_updates_that_arrive_together_share_one_edition(make):
    """Thirty updates of one zone that wait together raise the serial once."""
    registry = await make()

    replies = await registry.send(
        *(registry.tsig(craft.message(craft.add(f"d{i}", 300, "A", "192.0.2.7"), ident=i)) for i in range(30))
    )

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}
    row = await registry.row()
    assert (row.head, row.edition, row.serial) == (31, 2, 11)


async def test_a_refused_update_drops_itself_and_not_its_neighbours(make):
    """The one whose prerequisite fails is answered so; those before and after it are done."""
    registry = await make()
    good, last = craft.add("one", 300, "A", "192.0.2.1"), craft.add("two", 300, "A", "192.0.2.2")
    bad = craft.message(craft.add("bad", 300, "A", "192.0.2.3"), needs=[craft.exists("nothing")], ident=2)

    replies = await registry.send(
        registry.tsig(craft.message(good, ident=1)), registry.tsig(bad), registry.tsig(craft.message(last, ident=3))
    )

    assert [reply.rcode() for reply in replies] == [Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.NOERROR]
    assert [registry.asked(owner) for owner in ("one", "bad", "two")] == [["192.0.2.1"], [], ["192.0.2.2"]]


async def test_an_update_sees_what_those_before_it_in_the_batch_did(make):
    """Two that demand that a name is free: the first gets it."""
    registry = await make()

    def claim(ident):
        return registry.tsig(
            craft.message(craft.add("cam", 300, "A", f"192.0.2.{ident}"), needs=[craft.absent("cam")], ident=ident)
        )

    replies = await registry.send(claim(1), claim(2))

    assert [reply.rcode() for reply in replies] == [Rcode.NOERROR, Rcode.YXDOMAIN]
    assert registry.asked("cam") == ["192.0.2.1"]


async def test_a_retransmission_gets_the_stored_answer_and_does_nothing(make):
    """The same octets again, at once and later, in this worker: one change, the same RCODE."""
    registry = await make()
    first = registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.1"), needs=[craft.absent("cam")]))

    replies = await registry.send(first, first)
    replies += await registry.send(first)

    assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}
    assert (await registry.row()).head == 2


async def test_a_replay_changes_nothing_whatever_came_between(make):
    """An old update sent again, even with another ID, does not bring its record back."""
    registry = await make()
    old = registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.1"), ident=1))
    await registry.send(old, registry.tsig(craft.message(craft.delete("cam"), ident=2)))

    await registry.send(old, b"\x99\x99" + old[2:])

    assert registry.asked("cam") == []


async def test_a_failed_prerequisite_stays_failed_when_it_is_replayed(make):
    """What was refused once is not done later, when the condition happens to hold."""
    registry = await make()
    early = registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.1"), needs=[craft.exists("door")]))
    await registry.send(early, registry.tsig(craft.message(craft.add("door", 300, "A", "192.0.2.2"), ident=2)))

    (reply,) = await registry.send(early)

    assert reply.rcode() == Rcode.NXDOMAIN
    assert registry.asked("cam") == []


async def test_an_update_without_effect_leaves_the_serial(make):
    """Deleting what is not there is NOERROR and no edition (RFC 2136 §3.6)."""
    registry = await make()

    (reply,) = await registry.send(registry.tsig(craft.message(craft.delete("nothing"))))

    assert reply.rcode() == Rcode.NOERROR
    row = await registry.row()
    assert (row.head, row.edition, row.serial) == (1, 1, 10)


async def test_a_client_may_raise_the_serial_itself(make):
    """A SOA with a newer serial is taken as it is, and the next change goes on from there."""
    registry = await make()
    await registry.send(registry.tsig(craft.message(craft.add("@", 3600, "SOA", craft.SOA.format(serial=500)))))
    assert (await registry.row()).serial == 500

    await registry.send(registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.1"), ident=2)))

    assert (await registry.row()).serial == 501


async def test_a_revoked_key_is_refused_even_where_this_worker_remembers_it(make):
    """The commit asks the database again, under the lock."""
    registry = await make()
    await registry.send(registry.tsig(craft.message(craft.add("one", 300, "A", "192.0.2.1"))))
    await credentials.revoke(registry.admin, KEY)

    (reply,) = await registry.send(registry.tsig(craft.message(craft.add("two", 300, "A", "192.0.2.1"), ident=2)))

    assert reply.rcode() == Rcode.REFUSED
    assert registry.asked("two") == []


@pytest.mark.parametrize(
    ("operation", "rcode"),
    [
        (craft.add("gw", 300, "A", "192.0.2.1"), Rcode.NOERROR),
        (craft.add("x.gw", 300, "A", "192.0.2.1"), Rcode.NOERROR),
        (craft.add("gw", 300, "TXT", '"no"'), Rcode.REFUSED),
        (craft.add("cam", 300, "A", "192.0.2.1"), Rcode.REFUSED),
        (craft.delete("gw"), Rcode.REFUSED),
        (craft.add("gw.elsewhere.", 300, "A", "192.0.2.1"), Rcode.NOTZONE),
    ],
)
async def test_a_sig0_key_may_write_what_it_was_granted(make, operation, rcode):
    """Its subtree and its types and nothing else, and it is told why."""
    registry = await make()

    (reply,) = await registry.send(registry.sig0(craft.message(operation)))

    assert reply.rcode() == rcode


async def test_unsigned_and_badly_signed_updates_change_nothing(make):
    """REFUSED without a signature, BADSIG and BADKEY in an unsigned TSIG, NOTAUTH for a foreign SIG(0) key."""
    registry = await make()
    wire = craft.message(craft.add("cam", 300, "A", "192.0.2.1"))

    replies = await registry.send(
        wire,
        registry.tsig(wire, secret=Secret(b"x" * 32)),
        registry.tsig(wire, name=names.from_text("nobody.example.")),
        registry.sig0(wire, ec.derive_private_key(8, ec.SECP256R1())),
    )

    assert [reply.rcode() for reply in replies] == [Rcode.REFUSED, Rcode.NOTAUTH, Rcode.NOTAUTH, Rcode.NOTAUTH]
    assert [reply.tsig_error for reply in replies[1:3]] == [16, 17]
    assert registry.asked("cam") == []


async def test_a_wrong_clock_is_answered_with_ours_signed(make):
    """BADTIME, the client's time signed, the server's in the other data (RFC 8945 §5.2.3)."""
    registry = await make()
    wire = craft.message(craft.add("cam", 300, "A", "192.0.2.1"))
    early = tsig.sign_request(wire, SIGNS, 1000)[0]

    (reply,) = await registry.send(early)

    assert reply.tsig_error == Rcode.BADTIME
    assert reply.tsig[0].other == struct.pack("!HI", 0, int(registry.now))
    assert len(reply.tsig[0].mac) == 32


async def test_another_zone_is_notauth_before_anything_is_looked_at(make):
    """Also where the name exists inside a bigger zone of ours."""
    registry = await make()
    inside = craft.message(craft.add("a.cam", 300, "A", "192.0.2.1"), origin=craft.name("cam"))

    (reply,) = await registry.send(registry.tsig(inside))

    assert reply.rcode() == Rcode.NOTAUTH


async def test_without_its_signer_a_signed_zone_keeps_the_change_and_waits(make):
    """NOERROR means durable then; the zone is marked, and what is published stays as it was."""
    registry = await make(denial="nsec3")

    (reply,) = await registry.send(registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.1"))))

    assert reply.rcode() == Rcode.NOERROR
    assert registry.asked("cam") == []
    row = await registry.row()
    assert row.signed_pending
    assert (row.head, row.edition) == (2, 1)
    assert (registry.zone, craft.name("cam")) in await rrsets.read_names(
        registry.admin, [(registry.zone, craft.name("cam"))]
    )


async def test_too_many_waiting_updates_are_told_to_come_back(make):
    """The queue is bounded; nothing is dropped in silence and nothing of it is remembered as done."""
    registry = await make(waiting=3)
    messages = [registry.tsig(craft.message(craft.add(f"d{i}", 300, "A", "192.0.2.7"), ident=i)) for i in range(6)]

    replies = await registry.send(*messages)
    again = await registry.send(*messages[3:])

    assert [reply.rcode() for reply in replies] == [Rcode.NOERROR] * 3 + [Rcode.SERVFAIL] * 3
    assert [reply.rcode() for reply in again] == [Rcode.NOERROR] * 3


async def test_answers_to_those_whose_sig0_was_good_are_signed_by_the_server(make):
    """RFC 2931 §3.1; a signature costs, so only who was verified gets one, refused or not. `send` checks each."""
    registry = await make()
    good = registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.1")))
    refused = registry.sig0(craft.message(craft.add("www", 300, "A", "192.0.2.1")))

    await registry.send(good, good, good[:-1] + bytes((good[-1] ^ 1,)), refused, craft.message())

    assert registry.signed == [True, True, False, True, False]


async def test_forged_sig0_updates_are_rationed_and_the_owner_is_not(make):
    """After the burst forgeries are refused unchecked; a source that showed the key before goes on."""
    registry = await make()
    await registry.send(registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.1"))), source="198.51.100.1")
    forged = [
        registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.9"), ident=i), P256)[:-1] + bytes((i,))
        for i in range(1, 40)
    ]

    replies = await registry.send(*forged, source="203.0.113.1")
    (good,) = await registry.send(
        registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.2"), ident=77)), source="198.51.100.1"
    )

    assert {reply.rcode() for reply in replies} >= {Rcode.NOTAUTH, Rcode.REFUSED}
    assert replies[-1].rcode() == Rcode.REFUSED
    assert good.rcode() == Rcode.NOERROR


async def test_strangers_over_their_ration_are_told_to_come_by_tcp(make):
    """At first with the reason, above so many a second in twelve octets; and over a stream they are heard."""
    registry = await make(budget=BudgetLimits(key_burst=1, key_rate=0.001))
    good = [registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.2"), ident=i)) for i in range(2)]
    forged = [registry.sig0(craft.message(ident=i))[:-1] + bytes((i & 255,)) for i in range(EXPLAINED + 60)]

    replies = await registry.send(*forged, source="203.0.113.1")
    (over_udp,) = await registry.send(good[0], source="203.0.113.1")
    (over_tcp,) = await registry.send(good[1], source="203.0.113.1", transport=Transport.TCP)

    assert [reply.rcode() for reply in replies] == [Rcode.NOTAUTH] + [Rcode.REFUSED] * (len(forged) - 1)
    assert all(reply.flags & dns.flags.TC for reply in replies[1:])
    assert [len(replies[at].question) for at in (1, -1)] == [1, 0]
    assert (over_udp.rcode(), bool(over_udp.flags & dns.flags.TC)) == (Rcode.REFUSED, True)
    assert over_tcp.rcode() == Rcode.NOERROR


async def test_names_of_keys_are_looked_up_for_strangers_at_a_bounded_rate(make):
    """Then they are told to come by TCP, and keys that are in use stay remembered."""
    registry = await make(lookups=4000)
    await registry.send(registry.sig0(craft.message()))
    names_ = [names.from_text(f"k{at}.nobody.example.") for at in range(LOOKED_UP + 10)]
    forged = [
        sig0.sign_request(craft.message(ident=at), P256, name, int(registry.now)) for at, name in enumerate(names_)
    ]

    replies = await registry.send(*forged, source="203.0.113.1")
    known = registry.updates._keyring.knows(OWN)
    (over_tcp,) = await registry.send(forged[-1], transport=Transport.TCP)

    # The first one was looked up already.
    assert sum(bool(reply.flags & dns.flags.TC) and reply.rcode() == Rcode.REFUSED for reply in replies) >= 10
    assert known
    assert over_tcp.rcode() == Rcode.NOTAUTH


async def test_a_key_with_many_waiting_updates_does_not_keep_another_out(make):
    """Its own are told to come back, before their signatures are checked; the keys take turns in the commit."""
    registry = await make(waiting=50, per_key=5, at_once=4)
    many = [registry.tsig(craft.message(craft.add(f"d{i}", 300, "A", "192.0.2.7"), ident=i)) for i in range(20)]
    one = registry.sig0(craft.message(craft.add("gw", 300, "A", "192.0.2.8")))

    replies = await registry.send(*many, one)

    assert [reply.rcode() for reply in replies] == [Rcode.NOERROR] * 5 + [Rcode.SERVFAIL] * 15 + [Rcode.NOERROR]


async def test_who_signed_well_and_who_did_not_is_told(make):
    """What the waiting room remembers of an address."""
    told = []
    registry = await make(heard=lambda source, good: told.append((source, good)))
    good = registry.sig0(craft.message())

    await registry.send(registry.tsig(craft.message()), source="192.0.2.1")
    await registry.send(good, source="192.0.2.2")
    await registry.send(good[:-1] + bytes((good[-1] ^ 1,)), source="192.0.2.3")
    await registry.send(craft.message(), source="192.0.2.4")

    assert told == [("192.0.2.1", True), ("192.0.2.2", True), ("192.0.2.3", False)]


async def test_the_journal_says_who_changed_what(make):
    """One entry an accepted update, with the principal and the request's digest."""
    registry = await make()

    await registry.send(registry.tsig(craft.message(craft.add("cam", 300, "A", "192.0.2.7"))))

    cursor = await registry.admin.execute("SELECT seq, principal, length(digest) FROM journal")
    assert await cursor.fetchall() == [(2, "tsig:k.example.", 32)]
    assert journal.Entry.__struct_fields__[:2] == ("zone", "seq")
