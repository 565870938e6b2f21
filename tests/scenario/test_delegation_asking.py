"""What a home's own servers say, asked from outside: Knot that signs, others that are lame, differ or are bogus."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time

import dns.asyncbackend
import dns.flags
import dns.message
import dns.query
import dns.rrset
import pytest
from peers import Peer
from ports import free_port

from ddns.delegate.asking import Limits, Unresolved, ask_all
from ddns.delegate.proving import verify
from ddns.delegate.scanning import Scanner, Way
from ddns.dns import ds as signer
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.dns.records import RRset
from ddns.zone.acceptance import acceptable
from ddns.zone.cds import from_cds
from ddns.zone.child import Child, Fault

REGISTRY, HOME, TEXT = from_text("homes.test."), from_text("smith.homes.test."), "smith.homes.test."
NS1, NS2 = from_text("ns1.smith.homes.test."), from_text("ns2.example.")
FILE = """\
$TTL 60
@ IN SOA ns1 hostmaster 5 60 60 600 60
@ IN NS ns1
@ IN NS ns2.example.
ns1 IN A 127.0.0.1
www IN A 192.0.2.80
"""
PATIENT = Limits(question=20.0, all=60.0)


def zone_file(folder, text=FILE):
    path = folder / "zone"
    path.write_text(f"$ORIGIN {TEXT}\n{text}")
    return path


@pytest.fixture(scope="module")
def knot(tmp_path_factory):
    """Yield Knot on 127.0.0.1 with the zone, which it signs itself."""
    folder = tmp_path_factory.mktemp("knot")
    with Peer("knot", folder / "server", {TEXT: zone_file(folder)}, signed=[TEXT]) as server:
        end = time.monotonic() + 30
        query = dns.message.make_query(TEXT, "CDS")
        while not dns.query.udp(query, "127.0.0.1", port=server.port, timeout=20).answer:
            assert time.monotonic() < end, server.log()
            time.sleep(0.1)
        yield server


def glue(*addresses):
    return RRset.of(NS1, Type.A, 60, [bytes(int(part) for part in one.split(".")) for one in addresses])


async def everywhere(name):
    return ()


def resolving(addresses):
    async def resolve(name):
        return addresses.get(name, ())

    return resolve


def ask(port, child, resolve=everywhere, **more):
    """Return what the servers of *child* say on the loopback's *port*."""
    given = {"private": True, "port": port, "limits": PATIENT} | more
    return ask_all(HOME, child, resolve, lambda: int(time.time()), **given)


def delegation(*ds, second="127.0.0.1"):
    """Return the delegation to NS1 at 127.0.0.1 and NS2 at *second*, and who finds the latter."""
    return Child((NS1, NS2), (glue("127.0.0.1"),), ds), resolving({NS2: (second,)})


def judged(child, heard, **more):
    fault = acceptable(HOME, REGISTRY, child, heard, verify, int(time.time()), private=True, **more)
    return (None, "") if fault is None else (fault.rule, fault.sentence)


@contextlib.asynccontextmanager
async def answering(port, address, answer):
    """Run a server of the test's own at *address*: *answer* makes of a query what is sent, octets or a message."""

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                reply = answer(dns.message.from_wire(await reader.readexactly(size)))
                if reply is None:
                    break
                if reply == b"":
                    await asyncio.sleep(3600)
                wire = reply if isinstance(reply, bytes) else reply.to_wire()
                writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
        writer.close()

    async def start():
        return await asyncio.start_server(serve, address, port)

    server = await start()
    try:
        yield
    finally:
        server.close()


async def test_a_server_that_signs_says_all_that_acceptance_needs_and_passes(knot):
    child, resolve = delegation()
    heard = await ask(knot.port, child, resolve)
    keys = heard[0].dnskey.rdatas
    wanted = delegation(*(signer.of(HOME, key) for key in keys if key[1] & 1))[0]

    assert [(one.server, one.address, one.problem) for one in heard] == [(NS1, "127.0.0.1", ""), (NS2, "127.0.0.1", "")]
    assert all(one.servers == {NS1, NS2} and one.cds and one.cdnskey and not one.csync for one in heard)
    assert [(one.name, one.type, one.rdatas) for one in heard[0].hosts] == [(NS1, Type.A, (bytes((127, 0, 0, 1)),))]
    assert judged(wanted, heard) == (None, "")
    assert from_cds(HOME, wanted, heard, verify, 0, int(time.time())) is None  # its CDS ask for what is so


async def test_a_ds_of_another_key_would_be_bogus(knot):
    child, resolve = delegation(signer.of(HOME, struct.pack("!HBB", 257, 3, 13) + bytes(64)))

    rule, sentence = judged(child, await ask(knot.port, child, resolve))

    assert rule == "bogus"
    assert "shows no key of algorithm 13 that a DS names" in sentence


async def test_a_server_with_other_ns_records_differs(knot, tmp_path):
    text = FILE.replace("@ IN NS ns2.example.\n", "")
    child, resolve = delegation(second="127.0.0.2")

    with Peer("knot", tmp_path / "other", {TEXT: zone_file(tmp_path, text)}, address="127.0.0.2", port=knot.port):
        rule, sentence = judged(child, await ask(knot.port, child, resolve), insecure=True)

    assert rule == "differs"
    assert sentence.startswith(
        "ns2.example. 127.0.0.2 shows these servers of smith.homes.test.: ns1.smith.homes.test.,"
    )


async def test_a_server_that_signs_with_keys_of_its_own_differs(knot, tmp_path):
    keys = (await ask(knot.port, Child((NS1,), (glue("127.0.0.1"),))))[0].dnskey.rdatas
    child, resolve = delegation(*(signer.of(HOME, key) for key in keys if key[1] & 1), second="127.0.0.3")

    other = Peer(
        "knot", tmp_path / "other", {TEXT: zone_file(tmp_path)}, signed=[TEXT], address="127.0.0.3", port=knot.port
    )
    with other:
        rule, sentence = judged(child, await ask(knot.port, child, resolve))

    assert (rule, sentence) == (
        "differs", "ns2.example. 127.0.0.3 shows other keys of smith.homes.test. than ns1.smith.homes.test. 127.0.0.1.",
    )  # fmt: skip


async def test_a_server_without_the_zone_is_lame(knot, tmp_path):
    path = tmp_path / "zone"
    path.write_text(f"$ORIGIN other.test.\n{FILE}")
    child, resolve = delegation(second="127.0.0.4")

    with Peer("knot", tmp_path / "lame", {"other.test.": path}, address="127.0.0.4", port=knot.port):
        rule, sentence = judged(child, await ask(knot.port, child, resolve), insecure=True)

    assert (rule, sentence) == ("lame", "ns2.example. 127.0.0.4 answers REFUSED.")


async def test_nobody_at_an_address_is_lame_and_so_is_a_name_without_one(knot):
    child, resolve = delegation(second="127.0.0.5")

    assert judged(child, await ask(knot.port, child, resolve), insecure=True) == (
        "lame", "ns2.example. 127.0.0.5 refuses connections over TCP.",
    )  # fmt: skip
    assert (await ask(knot.port, child))[1].problem == "has no address"


async def test_a_name_that_nobody_can_look_up_just_now_is_a_problem(knot):
    async def nowhere(name):
        raise Unresolved

    assert (await ask(knot.port, delegation()[0], nowhere))[1].problem == "could not be looked up"


async def test_addresses_near_us_are_not_asked_unless_a_setting_says_so(knot):
    child, resolve = delegation()
    heard = await ask(knot.port, child, resolve, private=False)

    assert {one.problem for one in heard} == {"is not asked, because nobody can reach it from elsewhere"}
    assert not any(one.authoritative for one in heard)


@pytest.mark.parametrize("count", [2, 3])
async def test_servers_and_addresses_are_asked_up_to_a_bound(knot, count):
    bound = Limits(servers=2, addresses=2, question=20.0, all=60.0)
    names = tuple(from_text(f"ns{number}.example.") for number in range(count))
    places = ("127.0.0.1", "127.0.0.6", "127.0.0.7")[:count]

    many = await ask(knot.port, Child(names), resolving(dict.fromkeys(names, ("127.0.0.1",))), limits=bound)
    wide = await ask(knot.port, Child(names[:1]), resolving({names[0]: places}), limits=bound)

    assert [one.problem for one in many] == [""] * 2 + ["is one server too many"] * (count - 2)
    assert len(wide) == 2


def authority(query, *records):
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    return reply


ODD = {
    "not an authority": (dns.message.make_response, "answers without being an authority"),
    "no SOA": (authority, "has no SOA of the zone"),
    "silent": (lambda query: b"", "does not answer over TCP in time"),
    "closed": (lambda query: None, "closed the connection without an answer"),
    "too long": (lambda query: bytes(16_385), "answers with more octets than are read"),
    "too many": (
        lambda query: query.to_wire()[:2] + struct.pack("!5H", 0x8400, 1, 257, 0, 0) + bytes(4000),
        "answers with more records than are read",
    ),
    "another question": (
        lambda query: dns.message.make_response(dns.message.make_query("other.test.", "SOA", id=query.id)),
        "answers something else than was asked",
    ),
    "not DNS": (lambda query: b"nonsense", "answers what cannot be read (ShortHeader)"),
}


@pytest.mark.parametrize("how", ODD)
async def test_whatever_a_server_does_is_a_phrase(how):
    answer, problem = ODD[how]
    port = free_port()
    limits = Limits(question=0.3, all=20.0) if how == "silent" else PATIENT
    async with answering(port, "127.0.0.1", answer):
        (heard,) = await ask(port, Child((NS1,), (glue("127.0.0.1"),)), limits=limits)

    assert heard.problem == problem
    assert not heard.authoritative


@pytest.mark.parametrize("count", [32, 33])
async def test_records_are_read_up_to_a_bound(count):
    def answer(query):
        reply = authority(query)
        question = query.question[0]
        if question.rdtype == Type.SOA:
            reply.answer.append(dns.rrset.from_text(TEXT, 60, "IN", "SOA", "ns1. hostmaster. 5 60 60 600 60"))
        if question.rdtype == Type.NS:
            names = [f"ns{number}.example." for number in range(count)]
            reply.answer.append(dns.rrset.from_text_list(TEXT, 60, "IN", "NS", names))
        return reply

    port = free_port()
    async with answering(port, "127.0.0.1", answer):
        (heard,) = await ask(port, Child((NS1,), (glue("127.0.0.1"),)))

    assert (heard.problem == "shows more records or signatures than are read") == (count == 33)
    assert heard.authoritative == (count == 32)


async def test_a_server_that_closes_the_connection_after_each_answer_is_asked_over_another():
    seen = []

    def answer(query):
        seen.append(query.question[0].rdtype)
        if len(seen) % 2 == 0:
            return None
        reply = authority(query)
        if query.question[0].rdtype == Type.SOA:
            reply.answer.append(dns.rrset.from_text(TEXT, 60, "IN", "SOA", "ns1. hostmaster. 5 60 60 600 60"))
        return reply

    port = free_port()
    async with answering(port, "127.0.0.1", answer):
        (heard,) = await ask(port, Child((NS1,), (glue("127.0.0.1"),)))

    assert (heard.problem, heard.serial) == ("", 5)


async def test_a_check_ends_when_its_time_is_over_whoever_is_slow(knot):
    names = (NS1, NS2)
    port = knot.port
    async with answering(port, "127.0.0.8", lambda query: b""):
        begun = time.monotonic()
        heard = await ask(
            port,
            Child(names, (glue("127.0.0.1"),)),
            resolving({NS2: ("127.0.0.8",)}),
            limits=Limits(question=60.0, all=5.0),
        )

    assert [one.problem for one in heard] == ["", "did not answer in time"]
    assert time.monotonic() - begun < 30


def scanner(port, resolve=everywhere, **more):
    return Scanner(resolve, lambda: int(time.time()), **({"private": True, "port": port, "limits": PATIENT} | more))


@pytest.mark.parametrize("digest", [signer.SHA256, signer.SHA384])
async def test_the_cds_that_knot_publishes_are_a_wish_where_the_parent_has_something_else(knot, digest):
    """Knot names its key by SHA-256; a parent that has SHA-384 of it has a proof, and is asked for the other."""
    child, resolve = delegation()
    key = next(one for one in (await ask(knot.port, child, resolve))[0].dnskey.rdatas if one[1] & 1)
    present = delegation(signer.of(HOME, key, digest))[0]

    found = await scanner(knot.port, resolve).scan(HOME, REGISTRY, present)

    assert len(found.said) == 2
    if digest == signer.SHA256:
        assert (found.way, found.wish) == (None, None)
        return
    assert found.way is Way.CDS
    assert found.wish.child.ds == (signer.of(HOME, key),)
    assert found.wish.stamp <= int(time.time())


async def test_a_scan_with_a_server_that_is_away_changes_nothing(knot):
    child, resolve = delegation(second="127.0.0.9")
    key = next(one for one in (await ask(knot.port, child, resolve))[0].dnskey.rdatas if one[1] & 1)
    present = delegation(signer.of(HOME, key, signer.SHA384))[0]

    found = await scanner(knot.port, resolve).scan(HOME, REGISTRY, present)

    assert found.wish == Fault("lame", "ns2.example. 127.0.0.9 refuses connections over TCP.")


async def test_the_csync_of_a_zone_is_followed_to_servers_that_are_asked_first(tmp_path):
    """Knot signs a zone that is to move from two servers to one."""
    text = FILE.replace("@ IN NS ns2.example.\n", "@ IN CSYNC 1 3 A NS AAAA\n")
    with Peer("knot", tmp_path / "server", {TEXT: zone_file(tmp_path, text)}, signed=[TEXT]) as server:
        end = time.monotonic() + 30
        child, resolve = delegation()
        while not (said := (await ask(server.port, child, resolve))[0]).cds or not said.csync:
            assert time.monotonic() < end, server.log()
            await asyncio.sleep(0.1)
        present = delegation(*(signer.of(HOME, key) for key in said.dnskey.rdatas if key[1] & 1))[0]
        found = await scanner(server.port, resolve).scan(HOME, REGISTRY, present)
        repeated = await scanner(server.port, resolve).scan(HOME, REGISTRY, present, serial=0x40000000)

    assert found.way is Way.CSYNC
    assert (found.wish.child.servers, found.wish.stamp) == ((NS1,), 1)
    assert [one.server for one in found.checked] == [NS1]
    assert repeated.wish.rule == "older"


async def test_a_delegation_whose_form_is_wrong_is_refused_without_asking_anybody(knot):
    child, resolve = delegation(b"\0\1\x0d\1" + bytes(20))

    refused = await scanner(knot.port, resolve).check(HOME, REGISTRY, child)
    checked = await scanner(knot.port, resolve).check(HOME, REGISTRY, delegation()[0], insecure=True)

    assert (refused.said, refused.fault.rule) == ((), "digest")
    assert (len(checked.said), checked.fault) == (2, None)
