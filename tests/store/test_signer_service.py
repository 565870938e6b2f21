"""The signer's socket, asked by the server's own client over a real unix socket and a real database."""

from __future__ import annotations

import asyncio
import grp
import os
import random
import socket
import stat
import struct

import msgspec
import pytest
from signing import NOW, Running, Update, add, bare, keys_of, ought, read, validate

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.dns.records import RRset
from ddns.signing.client import SignerAway
from ddns.store import published, zones
from ddns.zone.jobs import MAX_FRAME, Batch, Frames, Node, PlainJob, Signed, SignJob, framed
from ddns.zone.plain import plain
from zone_signer import conversation, leases, store
from zone_signer import keys as public
from zone_signer.service import Service, SocketProblem
from zone_signer.signer import Signer

ORIGIN = from_text("a.test.")


@pytest.fixture
def running(dsn_for, tmp_path):
    return Running(dsn_for, tmp_path)


def at(*lines):
    """Return the names of *lines* without the apex."""
    return {name: found for name, found in read("a.test.", *lines).items() if name != ORIGIN}


async def check(admin, conn, zone_id):
    zone = (await zones.get(admin, [zone_id]))[zone_id]
    assert await bare(conn, zone_id) == await ought(conn, zone, await keys_of(conn, zone_id))
    validate(zone.origin, await published.read_zone(conn, zone_id))


async def test_a_change_of_records_alone_is_signed_without_a_look_into_the_database(admin, conn, connected, running):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1", "www 60 TXT other", "x 60 A 192.0.2.2")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        await running.update(conn, zone, at("www 60 A 192.0.2.2", "www 60 TXT other"))
        lent = running.pool.lent

        signed = await running.update(conn, zone, at("www 60 A 192.0.2.3", "www 60 TXT other"))

        assert running.pool.lent == lent
    assert {(one.name, one.type) for one in signed.added} == {
        (from_text("www.a.test."), Type.A),
        (ORIGIN, Type.SOA),
    }
    assert (signed.gone, signed.old, signed.keys) == ((), (), ())
    await check(admin, signing, zone)


async def test_addresses_cost_a_signature_for_each_rrset_and_one_for_the_soa_however_many_names(
    admin, conn, connected, running
):
    owners = ["@", *(f"h{number}" for number in range(32))]
    zone = await add(admin, "a.test.", *(f"{one} 60 {kind}" for one in owners for kind in ("A 192.0.2.1", "AAAA ::1")))
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        await running.update(conn, zone, at("h0 60 A 192.0.2.2", "h0 60 AAAA ::1"))
        for number in (1, 32):
            after = at(*(f"{one} 60 {kind}" for one in owners[1 : 1 + number] for kind in ("A 192.0.2.9", "AAAA ::2")))
            async with conn.transaction():
                job = (await Update.make(conn, zone, after)).job

            signed = Signer(running.ring, running.pool, lambda: NOW).at_once([plain(job)])

            assert signed is not None
            assert [len(sigs) for sigs in signed[0].sigs] == [1] * (2 * number + 1)


def exchange(sock, batch):
    """Send a batch and return its answer, blocking."""
    sock.sendall(framed(msgspec.msgpack.encode(batch)))
    frames, found = Frames(), []
    while not found:
        found = frames.feed(sock.recv(1 << 16))
    return msgspec.msgpack.decode(found[0], type=Signed)


async def test_a_change_of_data_needs_no_turn_of_the_loop_even_where_keys_are_not_remembered(
    admin, conn, connected, running
):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    async with running:
        await running.worker.sweep(await connected("zone_signer"))
        async with conn.transaction():
            job = plain((await Update.make(conn, zone, at("www 60 A 192.0.2.2"))).job)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(running.path))
            await asyncio.to_thread(exchange, sock, Batch(1, ()))  # it is accepted now
            running.ring.forget(zone)

            answers = [exchange(sock, Batch(ident, (job,))) for ident in (2, 3)]  # the loop stands still

    assert [one.id for one in answers] == [2, 3]
    assert all([len(sigs) for sigs in one.jobs[0].sigs] == [1, 1] for one in answers)


@pytest.mark.parametrize(
    ("owner", "rdtype"),
    [
        ("cut", Type.NS),
        ("www", Type.DNAME),
        ("@", Type.DNSKEY),
        ("@", Type.CDS),
        ("www", Type.NSEC),
        ("www", Type.RRSIG),
    ],
)
async def test_nothing_is_signed_in_few_words_that_moves_a_cut_or_is_the_signers_own(
    admin, connected, running, owner, rdtype
):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    other = RRset(from_text(owner, ORIGIN), rdtype, 60, (b"\0",))
    async with running:
        await running.worker.sweep(await connected("zone_signer"))

        (signed,) = Signer(running.ring, running.pool, lambda: NOW, running.lookup).at_once(
            [PlainJob(zone, ORIGIN, (other, *read("a.test.")[ORIGIN][:1]))]
        )

    assert signed.sigs == ()
    assert signed.error == f"type {int(rdtype)} is not signed without a look at the whole zone"


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
async def test_hundreds_of_updates_give_the_zone_that_signing_everything_gives(admin, conn, connected, running, denial):
    zone = await add(
        admin,
        "a.test.",
        "www 60 A 192.0.2.1",
        "b.c.d.e 60 A 192.0.2.1",
        "cut 60 NS ns.cut",
        "ns.cut 60 A 192.0.2.1",
        denial=denial,
    )
    signing = await connected("zone_signer")
    dice = random.Random(11)
    pool = ["www", "e", "d.e", "c.d.e", "b.c.d.e", "cut", "ns.cut", "x.cut", "*.e", "_443._tcp.www", "n"]
    lines = ["{} 60 A 192.0.2.{}", "{} 60 TXT t{}", "{} 60 NS ns{}.else.test.", "{} 60 DNAME d{}.else.test."]
    async with running:
        await running.worker.sweep(signing)
        for number in range(150):
            after = {}
            for _ in range(dice.randrange(1, 4)):
                owner = dice.choice(pool)
                kinds = dice.sample(lines, dice.choice([0, 1, 1, 2]))
                after |= {from_text(owner, ORIGIN): (), **at(*(one.format(owner, dice.randrange(9)) for one in kinds))}
            await running.update(conn, zone, after)
            if number % 10 == 0:
                await check(admin, signing, zone)
    await check(admin, signing, zone)


@pytest.mark.parametrize("algorithm", [13, 15])
async def test_a_new_home_gets_its_key_with_its_first_edition(admin, conn, connected, running, algorithm):
    zone = await zones.insert(admin, ORIGIN, "nsec3", algorithm)
    content = read("a.test.", "cam 60 A 192.0.2.1")
    nodes = tuple(Node(name, (), found) for name, found in content.items())
    async with running:
        (signed,) = await running.client.sign([SignJob(zone, ORIGIN, "nsec3", algorithm, nodes, (), whole=True)])

    (key,) = signed.keys
    assert (key.algorithm, key.flags) == (algorithm, 257)
    assert signed.ds == (public.ds(ORIGIN, key.public),)
    assert signed.resign_at > NOW
    assert validate(ORIGIN, list(signed.added)) == len(signed.added)
    assert running.ring.vault.open(ORIGIN, key).tag == key.tag


async def test_a_new_soa_minimum_changes_the_ttl_of_the_whole_chain(admin, conn, connected, running):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1", "x.y 60 A 192.0.2.2")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        apex = tuple(
            msgspec.structs.replace(one, ttl=30) if one.type == Type.SOA else one
            for one in read("a.test.", serial=9)[ORIGIN]
        )
        await running.update(conn, zone, {ORIGIN: apex})

    await check(admin, signing, zone)
    shown = await published.read_zone(signing, zone)
    assert {one.ttl for one in shown if one.type == Type.NSEC3} == {30}


async def test_jobs_are_answered_in_order_and_one_that_fails_spares_the_others(admin, conn, connected, running):
    good = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        async with conn.transaction():
            job = (await Update.make(conn, good, at("www 60 A 192.0.2.2"))).job
        strange = [
            msgspec.structs.replace(job, zone=99),
            msgspec.structs.replace(job, denial="none"),
            msgspec.structs.replace(job, nodes=()),
            msgspec.structs.replace(job, origin=from_text("b.test.")),
            msgspec.structs.replace(job, whole=True, algorithm=5),
        ]

        signed = await running.client.sign([*strange, job, *strange])

    reasons = [
        "a.test. has no signing key yet",
        "a.test. is not to be signed",
        "the job for a.test. does not hold its apex",
        "key {} of b.test. was damaged or belongs elsewhere; put back the database's copy",
        "algorithm 5 is not one that zones are signed with here; take one of 8, 13, 14, 15",
    ]
    tag = (await store.keys_kept(signing, [good], NOW))[good].sealed[0].tag
    said = [one.error for one in signed]
    assert said == [*(one.format(tag) for one in reasons), "", *(one.format(tag) for one in reasons)]
    assert [one.zone for one in signed] == [one.zone for one in [*strange, job, *strange]]
    assert all(one.added == () for one in signed if one.error)


async def test_many_zones_that_need_the_database_are_read_together(admin, conn, connected, running):
    ids = [await add(admin, f"z{number}.test.", "a.b 60 A 192.0.2.1") for number in range(30)]
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        async with conn.transaction():
            steps = []
            for number, zone in enumerate(ids):
                apex = from_text(f"z{number}.test.")
                after = read(f"z{number}.test.", "x.y 60 A 192.0.2.2")
                del after[apex]
                steps.append(await Update.make(conn, zone, {from_text("a.b", apex): (), **after}))
            lent = running.pool.lent
            signed = await running.client.sign([step.job for step in steps])
            assert running.pool.lent - lent == 2  # once for the keys, once for the chains
            for step, one in zip(steps, signed, strict=True):
                await step.commit(one)
    for zone in ids:
        await check(admin, signing, zone)


async def test_a_clock_before_the_last_signature_refuses_in_one_sentence(admin, conn, connected, running):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        running.now -= 2 * 3600
        async with conn.transaction():
            job = (await Update.make(conn, zone, at("www 60 A 192.0.2.2"))).job

        (signed,) = await running.client.sign([job])

    assert signed.error == "the clock is 3600 s before the newest signature of a.test.; set it right, then it is signed"


async def test_new_signatures_never_fall_due_before_the_zones_date(admin, conn, connected, running):
    """The server does not write that date, so it must stay true."""
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        date = (await leases.find(signing, ORIGIN)).resign_at
        for number in range(5):
            running.now += 60
            signed = await running.update(conn, zone, at(f"h{number} 60 A 192.0.2.1"))
            assert signed.resign_at >= date


async def test_a_signer_without_its_database_answers_what_it_remembers_and_says_what_it_cannot(
    admin, conn, connected, running, monkeypatch
):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    signing = await connected("zone_signer")
    async with running:
        await running.worker.sweep(signing)
        async with conn.transaction():
            plain = (await Update.make(conn, zone, at("www 60 A 192.0.2.2"))).job
            new = (await Update.make(conn, zone, at("new 60 A 192.0.2.2"))).job
        await running.client.sign([plain])
        await running.pool.close()
        monkeypatch.setattr(running.pool, "_dsn", "host=/nowhere user=nobody")

        signed = await running.client.sign([plain, new])

    assert [one.error for one in signed] == ["", "the signer cannot reach its database"]


async def test_the_socket_is_its_owners_alone(running):
    async with running:
        assert stat.S_IMODE(running.path.stat().st_mode) == 0o600
    assert not running.path.exists()


async def test_a_group_may_be_let_in(dsn_for, tmp_path, running):
    group = grp.getgrgid(os.getegid()).gr_name
    service = Service(tmp_path / "shared.sock", Signer(running.ring, running.pool), group)
    await service.start()
    assert stat.S_IMODE((tmp_path / "shared.sock").stat().st_mode) == 0o660
    await service.close()


async def test_the_socket_of_a_signer_that_was_killed_is_taken_over(running):
    async with running:
        pass
    with socket.socket(socket.AF_UNIX) as listener:  # asyncio's own would clear up behind itself, from Python 3.13 on
        listener.bind(str(running.path))
    assert running.path.exists()

    async with running:
        assert running.path.exists()


async def test_a_second_signer_at_the_same_socket_is_refused_in_one_sentence(running, dsn_for):
    async with running:
        second = Service(running.path, Signer(running.ring, running.pool))
        with pytest.raises(SocketProblem, match="another signer listens on"):
            await second.start()
        assert running.path.exists()


@pytest.mark.parametrize(
    ("path", "group", "reason"),
    [
        ("x" * 200, "", "too long for a socket"),
        ("file/signer.sock", "", "cannot listen on"),
        ("signer.sock", "no such group", "there is no group"),
    ],
)
async def test_a_socket_that_cannot_be_is_one_sentence(running, tmp_path, path, group, reason):
    (tmp_path / "file").touch()
    with pytest.raises(SocketProblem, match=reason):
        await Service(tmp_path / path, Signer(running.ring, running.pool), group).start()


@pytest.mark.parametrize(
    "sent",
    [
        struct.pack("!I", MAX_FRAME + 1),
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        struct.pack("!I", 1) + b"\x90",
        struct.pack("!I", 100) + b"cut short",
        b"\0",
    ],
)
async def test_a_frame_that_is_none_ends_its_connection_and_no_other(admin, conn, connected, running, sent):
    zone = await add(admin, "a.test.", "www 60 A 192.0.2.1")
    async with running:
        await running.worker.sweep(await connected("zone_signer"))
        reader, writer = await asyncio.open_unix_connection(running.path)
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()

        signed = await running.update(conn, zone, at("www 60 A 192.0.2.2"))

    assert signed.added


async def test_connections_are_bounded(running, monkeypatch):
    monkeypatch.setattr(conversation, "MAX_CONNECTIONS", 2)
    async with running:
        kept = [await asyncio.open_unix_connection(running.path) for _ in range(2)]
        await asyncio.sleep(0.05)
        reader, writer = await asyncio.open_unix_connection(running.path)
        assert await reader.read() == b""
        for _, one in [*kept, (reader, writer)]:
            one.close()


async def test_a_frame_that_does_not_end_is_not_waited_for_forever(running, monkeypatch):
    monkeypatch.setattr(conversation, "FRAME_TIMEOUT", 0.05)
    async with running:
        reader, writer = await asyncio.open_unix_connection(running.path)
        writer.write(struct.pack("!I", 100) + b"only this")
        assert await reader.read() == b""
        writer.close()


async def test_big_frames_that_never_end_take_nobodys_place(running):
    """Whoever is killed in the middle of one leaves its place to others."""
    text = Node(from_text("www.a.test."), (), (RRset.of(from_text("www.a.test."), Type.TXT, 60, [b"\1x" * 1000]),))
    frame = msgspec.msgpack.encode(Batch(7, (SignJob(1, ORIGIN, "nsec", 13, (text,) * 600, ()),)))
    assert len(frame) > conversation.SMALL_FRAME
    async with running:
        for _ in range(2 * conversation.BIG_FRAMES):
            _, writer = await asyncio.open_unix_connection(running.path)
            writer.write(struct.pack("!I", len(frame)) + frame[:1000])
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.close()
        reader, writer = await asyncio.open_unix_connection(running.path)
        writer.write(struct.pack("!I", len(frame)) + frame)
        async with asyncio.timeout(20):
            assert len(await reader.readexactly(4)) == 4
        writer.close()


async def test_two_batches_on_one_connection_are_both_answered(running):
    frame = msgspec.msgpack.encode(Batch(7, ()))
    async with running:
        reader, writer = await asyncio.open_unix_connection(running.path)
        writer.write(2 * (struct.pack("!I", len(frame)) + frame))
        (size,) = struct.unpack("!I", await reader.readexactly(4))
        first = await reader.readexactly(size)
        assert await reader.readexactly(4 + size) == struct.pack("!I", size) + first
        writer.close()


async def test_a_client_sees_that_the_signer_has_gone(running):
    async with running:
        await running.client.sign([])
        await running.service.close()
        with pytest.raises(SignerAway):
            await running.client.sign([])
