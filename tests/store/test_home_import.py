"""`ddns home import`: many homes from a file, each as `ddns home add` and its first updates would have made it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rows import n
from signing import NOW, Running, add, bare, keys_of, ought, read, validate

from ddns.auth import keys as sig0_keys
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.operator import home_import, homes
from ddns.operator.home_import import Import, Lane, portions
from ddns.operator.home_line import MOST_OCTETS
from ddns.operator.zones import ds_rdata
from ddns.signing.client import SignerClient
from ddns.store import credentials, invitations, published, rrsets, signing, zones

REGISTRY = n("homes.test.")
WHO = "operator:test"
KEY = sig0_keys.key_rdata(ec.generate_private_key(ec.SECP256R1()))
RECORDS = (
    "@ 300 A 192.0.2.1",
    "@ 300 AAAA 2001:db8::1",
    "cam 300 AAAA 2001:db8::2",
    "_443._tcp.cam 60 TLSA 3 1 1 " + 64 * "a",
)
SEALER = Sealer(b"k" * 32)


@pytest.fixture
def running(dsn_for, tmp_path):
    return Running(dsn_for, tmp_path)


def line(label, records=RECORDS, key=KEY):
    shown = f"512 3 13 {base64.b64encode(key[4:]).decode()}" if key else ""
    return json.dumps({"label": label, "key": shown, "records": "\n".join(records)}).encode() + b"\n"


@pytest.fixture
def bring(admin, connected, running):
    """What brings lines into the registry's zone and returns the report."""

    async def work(*lines, jobs=1):
        async def lane():
            return Lane(await connected("ddns_admin"), SignerClient(running.path, 20.0, bulk=True))

        registry = await zones.find(admin, REGISTRY)
        return await Import(registry, WHO).run(io.BytesIO(b"".join(lines)), jobs, lane)

    return work


async def registry_of(admin, running, connected, denial="nsec3"):
    """Add the registry's zone and have it signed; returns its id."""
    zone = await add(admin, "homes.test.", "ns 60 A 192.0.2.53", denial=denial)
    await running.worker.sweep(await connected("zone_signer"))
    return zone


async def facts(conn, origin):
    """Return all that the database says of a home but ids, times and the octets of its signing key."""
    zone = await zones.find(conn, origin)
    held = (await credentials.by_names(conn, [origin], SEALER.open))[origin]
    parent = (await zones.get(conn, [zone.parent]))[zone.parent]
    where = (parent.id, origin)
    return {
        "records": {(one.name, one.type): (one.ttl, one.rdatas) for one in await rrsets.read_zone(conn, zone.id)},
        "shown": {place: one for place, one in (await bare(conn, zone.id)).items() if place[1] != Type.DNSKEY},
        "keys": [(one.name, one.kind, one.algorithm, one.tag, one.public, one.assurance) for one in held],
        "grants": [
            (one.zone == zone.id == key.home, one.name, one.types, one.rule, one.most, one.min_assurance, one.denied)
            for key in held
            for one in key.grants
        ],
        "signing keys": [(algorithm, flags) for _, algorithm, flags, _ in await signing.keys_public(conn, zone.id)],
        "delegation": [(one.type, one.ttl, len(one.rdatas)) for one in (await rrsets.read_names(conn, [where]))[where]],
        "shown above": [(one.type, bool(one.sigs)) for one in (await published.read_names(conn, [where]))[where]],
        "zone": (zone.denial, zone.algorithm, parent.origin, zone.home, zone.suspended, zone.signed_pending),
    }


def renamed(found, old, new):
    """Return *found* with the name *new* in place of *old*, in whatever depth and below it too."""
    if isinstance(found, bytes):
        return found.removesuffix(old) + new if found.endswith(old) else found.replace(old, new)
    if isinstance(found, dict):
        return {renamed(key, old, new): renamed(value, old, new) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return type(found)(renamed(one, old, new) for one in found)
    return found


async def secure(conn, origin):
    """Check every signature of a home, and that the registry's DS leads to its key."""
    zone = await zones.find(conn, origin)
    assert validate(origin, await published.read_zone(conn, zone.id)) > 0
    (key,) = [public for *_, public in await signing.keys_public(conn, zone.id)]
    (delegated,) = [
        one
        for one in (await published.read_names(conn, [(zone.parent, origin)]))[zone.parent, origin]
        if one.type == Type.DS
    ]
    assert delegated.rdatas == (ds_rdata(origin, key),)


async def whole(admin, conn, running, zone):
    """Check that the registry's zone is what signing everything would publish, and every signature of it."""
    row = (await zones.get(admin, [zone]))[zone]
    assert await bare(conn, zone) == await ought(conn, row, await keys_of(conn, zone))
    validate(REGISTRY, await published.read_zone(conn, zone))


@pytest.mark.parametrize("denial", ["nsec3", "nsec"])
async def test_a_home_from_a_file_is_the_home_that_add_and_an_update_make(
    admin, conn, connected, running, bring, denial
):
    signer = await connected("zone_signer")
    async with running:
        zone = await registry_of(admin, running, connected, denial)
        one = n("one.homes.test.")
        made = await homes.add(admin, running.client, await zones.find(admin, REGISTRY), one, KEY, WHO)
        content = read("one.homes.test.", *RECORDS)
        apex = (await rrsets.read_names(admin, [(made.zone, one)]))[made.zone, one]
        own = tuple(sorted((*apex, *(x for x in content[one] if x.type in (Type.A, Type.AAAA))), key=lambda x: x.type))
        await running.update(conn, made.zone, {**content, one: own})

        report = await bring(line("two"))

        assert (report.made, report.there, report.refused, report.unsigned) == (1, 0, 0, 0)
        two = n("two.homes.test.")
        await secure(admin, one)
        await secure(admin, two)
        await whole(admin, signer, running, zone)
    first, second = await facts(admin, one), await facts(admin, two)
    # The update has moved the serial on, and what is hashed for NSEC3 is another name.
    for found, origin in ((first, one), (second, two)):
        del found["records"][origin, int(Type.SOA)]
        hashed = [place for place in found["shown"] if place[1] == Type.NSEC3]
        assert len(hashed) == (4 if denial == "nsec3" else 0)
        for place in hashed:
            del found["shown"][place]
    assert first == renamed(second, two, one)


async def test_what_is_there_is_left_as_it_is(admin, conn, connected, running, bring):
    async with running:
        await registry_of(admin, running, connected)
        await bring(line("a"), line("b"))
        zone = await zones.find(admin, n("a.homes.test."))
        await running.update(
            conn, zone.id, {n("new.a.homes.test."): read("a.homes.test.", "new 1 A 192.0.2.9")[n("new.a.homes.test.")]}
        )

        report = await bring(line("a"), line("c"), line("b"), line("c"), jobs=3)

        assert (report.made, report.there, report.refused) == (1, 2, 1)
        assert [(one.line, one.reason) for one in report.reasons] == [
            (4, "line 2 is c.homes.test. already; take one of the two out")
        ]
        assert await rrsets.read_names(admin, [(zone.id, n("new.a.homes.test."))])


async def test_a_line_that_cannot_be_a_home_stops_no_other(admin, connected, running, bring, monkeypatch):
    monkeypatch.setattr(home_import, "AT_ONCE", 20)
    async with running:
        await registry_of(admin, running, connected)
        await add(admin, "zone.homes.test.")
        await credentials.insert(admin, n("held.homes.test."), "sig0", "13", tag=1, public=KEY)
        registry = await zones.find(admin, REGISTRY)
        await rrsets.fill(admin, registry.id, read("homes.test.", "x.deep 60 A 192.0.2.1")[n("x.deep.homes.test.")])

        report = await bring(
            line("a"), b"{\n", line("www"), b"\n", line("zone"), line("held"), line("deep"), line("ns"),
            line("b", key=KEY[:-1]), line("c", ("x",)), line("d", ("@ 300 NS a.",)),
            line("e", ("z.test. 1 A 1.2.3.4",)),
            line("f", ("x 1 A 192.0.2.1",) * 1001), b'{"label": "g", "records": "' + MOST_OCTETS * b" " + b'"}\n',
            b'{"label": "h", "surname": "x"}\n', line("z", (), b""),
        )  # fmt: skip

        assert report.made == 2
        assert {one.line: one.reason for one in report.reasons} == {
            2: 'it is no home (Input data was truncated); write {"label": "smith", "key": "512 3 13 BASE64", '
            '"records": "@ 300 A 192.0.2.1"}',
            3: "The label 'www' is reserved or looks like one that is, www; choose another",
            5: "zone.homes.test. is a zone of its own here; choose another label",
            6: "its key is enrolled as held.homes.test. already; take that back first with "
            "`ddns key revoke held.homes.test.`",
            7: "the zone homes.test. has records at or below deep.homes.test.; choose another label",
            8: "The label 'ns' is reserved or looks like one that is, ns; choose another",
            9: "its key is not fit: a key of algorithm 13 has 64 octets",
            10: "in its records, line 1: a record ends before its type; write owner, TTL, type and data",
            11: "in its records, line 1: d.homes.test. NS is made by the registry; remove the record",
            12: "in its records, line 1: z.test. is outside the zone e.homes.test.; remove the record, or write its "
            "name without a final dot",
            13: "in its records, line 1001: there are more than 1000 records; bring the others in by updates",
            14: f"it is longer than {MOST_OCTETS} octets; a home is one line",
            15: 'it is no home (Object contains unknown field `surname`); write {"label": "smith", "key": '
            '"512 3 13 BASE64", "records": "@ 300 A 192.0.2.1"}',
        }
        await secure(admin, n("a.homes.test."))
        await secure(admin, n("z.homes.test."))


async def test_homes_without_a_signer_are_signed_and_secured_when_one_is_there(admin, connected, running, bring):
    signer = await connected("zone_signer")
    async with running:
        zone = await registry_of(admin, running, connected)
        path, running.path = running.path, running.path.with_name("away.sock")
        report = await bring(*(line(f"h{number}") for number in range(5)))
        assert (report.made, report.unsigned) == (5, 5)
        running.path = path

        await running.worker.sweep(signer)

        for number in range(5):
            await secure(admin, n(f"h{number}.homes.test."))
        await whole(admin, signer, running, zone)


async def test_homes_of_a_registry_that_is_not_signed_are_published_as_they_are(admin, connected, running, bring):
    async with running:
        zone = await add(admin, "homes.test.", denial="none")
        await zones.advance(admin, [(zone, 1, 1, 1)])
        report = await bring(line("a"))

    assert (report.made, report.unsigned, report.refused) == (1, 0, 0)
    home = await zones.find(admin, n("a.homes.test."))
    assert (home.head, home.edition, home.serial, home.signed_pending) == (1, 1, 1, False)
    assert len(await published.read_zone(admin, home.id)) == 7
    assert not any(one.sigs for one in await published.read_zone(admin, home.id))


async def test_an_invitation_of_a_home_that_is_brought_in_is_withdrawn(admin, connected, running, bring):
    async with running:
        await registry_of(admin, running, connected)
        registry = await zones.find(admin, REGISTRY)
        await homes.invite(admin, SEALER, registry, n("a.homes.test."), NOW + 2_000_000_000, NOW)

        await bring(line("a"))

    assert await invitations.listing(admin) == []


async def test_lines_of_any_length_take_bounded_memory():
    long = b"x" * (5 * MOST_OCTETS) + b"\n"
    lines = b"".join([b"a\n", long, b"\n", b"b\n", b"y" * MOST_OCTETS + b"\n", b"c"])

    (portion,) = portions(io.BytesIO(lines))

    assert [(number, len(found)) for number, found in portion.lines] == [
        (1, 1), (2, MOST_OCTETS + 2), (4, 1), (5, MOST_OCTETS), (6, 1),
    ]  # fmt: skip
    assert portion.octets == len(lines)
    many = list(portions(io.BytesIO(b"a\n" * (2 * home_import.AT_ONCE + 1))))
    assert [len(one.lines) for one in many] == [home_import.AT_ONCE, home_import.AT_ONCE, 1]
    big = list(portions(io.BytesIO(9 * (b"z" * (home_import.OCTETS_AT_ONCE // 4) + b"\n"))))
    assert [len(one.lines) for one in big] == [5, 4]


async def test_homes_of_very_many_records_are_signed_like_any(admin, connected, running, bring):
    """Their zones are more than a thousand RRsets each, and are signed beside the loop that answers others."""
    names_of = [f"{number:x} 1 A 192.0.2.1" for number in range(1000)]
    async with running:
        await registry_of(admin, running, connected)
        report = await bring(*(line(f"h{number}", names_of) for number in range(3)))

    assert (report.made, report.refused, report.unsigned) == (3, 0, 0)


async def counted(admin):
    return await (
        await admin.execute(
            """SELECT (SELECT count(*) FROM homes), (SELECT count(*) FROM grants), (SELECT count(*) FROM credentials),
                      (SELECT count(*) FROM signing_keys WHERE zone IN (SELECT zone FROM homes)),
                      (SELECT count(DISTINCT owner) FROM rrsets WHERE type = 43),
                      (SELECT count(*) FROM journal WHERE zone IN (SELECT zone FROM homes)),
                      (SELECT count(*) FROM published_rrsets WHERE zone IN (SELECT zone FROM homes)) / 13"""
        )
    ).fetchone()


async def test_an_import_that_is_killed_goes_on_where_it_was(admin, connected, dsn, dsn_for, tmp_path):
    """It runs as people run it, with a signer and its helpers, and dies without a word in the middle."""
    file, socket, total = tmp_path / "homes.jsonl", tmp_path / "signer.sock", 5 * home_import.AT_ONCE // 2
    file.write_bytes(b"".join(line(f"h{number}") for number in range(total)))
    zone = await add(admin, "homes.test.", "ns 60 A 192.0.2.53")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DDNS")}
    signer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zone_signer.cli", "run", "--dsn", dsn_for("zone_signer"), "--state", str(tmp_path),
        "--socket", str(socket), "--helpers", "1", env=kept, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    command = [
        sys.executable, "-m", "ddns.cli", "home", "import", str(file), "--registry", "homes.test.", "--jobs", "1",
        "--signer", str(socket), "--dsn", dsn, "--state", str(tmp_path), "--json",
    ]  # fmt: skip
    try:
        assert await signer.stdout.readline() == b"ready\n"
        first = await asyncio.create_subprocess_exec(*command, env=kept, stdout=asyncio.subprocess.DEVNULL)
        while not (await counted(admin))[0]:
            assert first.returncode is None
            await asyncio.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        before = await counted(admin)

        second = await asyncio.create_subprocess_exec(*command, env=kept, stdout=asyncio.subprocess.PIPE)
        said = json.loads((await second.communicate())[0])
    finally:
        signer.kill()
        await signer.wait()

    assert 0 < before[0] < total
    assert set(before) == {before[0]}
    assert (said["made"], said["refused"], said["unsigned"]) == (total - said["there"], 0, 0)
    assert said["there"] >= before[0]  # a commit may have been on its way
    assert set(await counted(admin)) == {total}
    conn = await connected("zone_signer")
    assert validate(REGISTRY, await published.read_zone(conn, zone), now=None) > 2 * total
    for number in (0, total // 2, total - 1):
        origin = names.prepend(f"h{number}".encode(), REGISTRY)
        home = await zones.find(admin, origin)
        validate(origin, await published.read_zone(admin, home.id), now=None)
