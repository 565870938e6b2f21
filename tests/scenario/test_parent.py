"""Other people's servers, watched by the real service: secondaries that lag, two servers of a parent, and its scanner.

Knot and NSD follow the registry's zone, Knot and BIND serve the zone above it; none of them can reach anybody else.
"""

import contextlib
import os
import signal
import socket
import uuid

import dns.message
import dns.opcode
import keys
import psycopg
import pytest
from peers import Peer
from ports import free_port
from registry import SECRETS, knsupdate, run, tsig
from secondaries import Secondary
from service import Service, eventually, tree

from ddns import postgres
from ddns.dns import names
from ddns.dns.codes import Type
from zone_signer import keys as public
from zone_signer import seen
from zone_signer.seen import Sighting

ORIGIN = "homes.example."
KEY = "k256."
PORT = free_port()
KNOT, NSD, NIC_A, SCANNER = (f"127.0.0.{number}" for number in range(2, 6))
NIC_B = "127.0.0.1"  # named listens only at addresses that an interface has; it is asked by TCP, as we are there too

SETTINGS = f"""[signer]
wait = 25.0
[watch]
fast = 0.2
every = 1.0
rest = 1.0
timeout = 2.0
resolver = "{NIC_A}:{PORT}"
port = {PORT}
private = true
"""

ZONE = """\
$TTL 60
@ SOA ns1 hostmaster 1 7200 3600 1209600 60
@ NS ns1
ns1 A 127.0.0.1
"""

ABOVE = f"""\
$ORIGIN example.
$TTL 300
@ SOA a.nic host.nic 1 3600 900 1209600 120
@ NS a.nic
@ NS b.nic
a.nic A {NIC_A}
b.nic A {NIC_B}
homes NS ns1.homes
ns1.homes A 127.0.0.1
"""


class Watched(Service):
    """The service with the registry's zone, and what it has written down of other servers."""

    def set_up(self, zone=ZONE, denial="nsec3"):
        (self.folder / "zone").write_text(zone)
        self.apply(f"""
[[key]]
name = "{KEY}"
algorithm = "hmac-sha256"
secret = "{SECRETS["k256"]}"
[[zone]]
name = "{ORIGIN}"
file = "zone"
denial = "{denial}"
grants = [{{ key = "{KEY}" }}]
transfer = {{ keys = ["{KEY}"] }}
""")
        self.start()
        eventually(lambda: self.published(ORIGIN, signed=denial != "none"))
        return self

    def sql(self, statement, *values):
        with psycopg.connect(postgres.socket_dsn(postgres.running(self.state), postgres.OWNER)) as conn:
            cursor = conn.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    @property
    def zone(self):
        return self.sql("SELECT id FROM zones WHERE origin = %s", names.order_key(names.from_text(ORIGIN)))[0][0]

    def waits(self, record, place, serial=None):
        """Have a key's record wait to be shown from now on, and return since when, in seconds since 1970.

        It is the record of a key that was removed, so that no signer takes it for its own.
        """
        key, zone = str(uuid.uuid4()), self.zone
        self.sql(
            """INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, state, stays, dnskey, zrrsig, ds,
                                         removed_at)
               VALUES (%s, %s, 13, 257, 1, '', 'removed', false, 'hidden', 'hidden', 'hidden', now())
               ON CONFLICT DO NOTHING""",
            key, zone,
        )  # fmt: skip
        return self.sql(
            """WITH moving AS (
                   INSERT INTO key_motions (key, record, zone, since, place, serial, ttl)
                   SELECT id, %s, zone, date_trunc('second', now()), %s, %s, 60
                   FROM signing_keys WHERE zone = %s AND tag = 1 AND state = 'removed'
                   ON CONFLICT (key, record) DO UPDATE SET since = excluded.since, serial = excluded.serial
                   RETURNING since)
               SELECT extract(epoch FROM since)::bigint, pg_notify('ddns_watch', '')::text FROM moving""",
            record, place, serial, zone,
        )[0][0]  # fmt: skip

    def sightings(self, kind):
        """Return what each server of that kind said, as the signer reads it."""
        rows = self.sql(
            """SELECT kind, server, extract(epoch FROM asked_at)::bigint, extract(epoch FROM answered_at)::bigint,
                      serial, ds, ds_ttl, problem
               FROM sightings WHERE kind = %s AND wanted AND zone = %s ORDER BY server""",
            kind, self.zone,
        )  # fmt: skip
        return [Sighting(*row[:5], None if row[5] is None else tuple(row[5]), *row[6:]) for row in rows]


@pytest.fixture
def service():
    """Yield the service, not started yet; it is stopped and removed in the end."""
    made = Watched("--workers", "2", settings=SETTINGS)
    try:
        yield made
        made.stop()
    finally:
        made.remove()


@pytest.fixture
def secondaries(service):
    """Yield Knot, which the zone notifies, and NSD, which its NS records name."""
    service.set_up(ZONE + f"@ NS ns3\nns3 A {NSD}\n")
    places = {"knot": (KNOT, free_port()), "nsd": (NSD, PORT)}
    with contextlib.ExitStack() as stack:
        started = []
        for name, (address, port) in places.items():
            one = Secondary(name, service.folder / name, [ORIGIN], service.port, KEY, SECRETS["k256"], address, port)
            stack.callback(one.stop)
            started.append(one.start())
            one.follow(ORIGIN, service.committed_serial(ORIGIN))
            service.ddns("transfer", "notify", ORIGIN, f"{address}:{port}", "--key", KEY)
        yield started


def test_a_step_waits_for_the_slowest_secondary_and_names_it(service, secondaries):
    """NSD is stopped while the zone goes on; then it comes back."""
    knot, nsd = secondaries
    told = [f"{knot.address}:{knot.port}", f"ns3.{ORIGIN} {nsd.address}:{nsd.port}"]
    first = service.committed_serial(ORIGIN)
    since = service.waits("dnskey", service.zone, first)
    eventually(lambda: seen.at_serial(service.sightings("secondary"), first, since).at)
    assert [one.server for one in service.sightings("secondary")] == told

    family = tree(nsd.process.pid)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        status, words = knsupdate(service, tsig("k256"), ORIGIN, f"add new.{ORIGIN} 60 A 192.0.2.1")
        assert status == 0, words
        second = service.committed_serial(ORIGIN)
        assert second != first
        knot.follow(ORIGIN, second)
        since = service.waits("dnskey", service.zone, second)

        def lacking():
            return seen.at_serial(service.sightings("secondary"), second, since).missing

        eventually(lambda: [one.startswith(told[1]) for one in lacking()] == [True])
        eventually(lambda: [one.problem for one in service.sightings("secondary")] == ["", "does not answer"])
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)

    shown = eventually(lambda: seen.at_serial(service.sightings("secondary"), second, since).at)
    assert shown >= since
    assert {one.serial for one in service.sightings("secondary")} == {second}
    assert service.log.read_text().count("watch.watching") == 1  # of two workers


@pytest.fixture
def above(service):
    """Yield the two servers of the zone above, each with its own copy, so that one can be behind."""
    file = service.folder / "example.zone"
    file.write_text(ABOVE)
    with contextlib.ExitStack() as stack:
        started = []
        for name, address in (("knot", NIC_A), ("bind", NIC_B)):
            copy = service.folder / f"example-{name}.zone"
            copy.write_text(ABOVE)
            one = Peer(
                name, service.folder / f"nic-{name}", {"example.": copy}, ("k256.", SECRETS["k256"]),
                address=address, port=PORT,
            )  # fmt: skip
            started.append(stack.enter_context(one))
        service.set_up()
        yield started


def edit(server, *lines):
    """Change the zone above at one of its servers, with knsupdate."""
    script = "\n".join([f"server {server.address} {server.port}", "zone example.", *lines, "send", ""])
    file = server.folder / "edit"
    file.write_text(script)
    run("knsupdate", *tsig("k256"), file)


def test_a_ds_is_there_when_every_server_of_the_parent_shows_it(service, above):
    """And gone when none does: one of two servers is behind each time. kdig sees what the watcher sees."""
    key = keys.key("next", "ooh")
    origin = names.from_text(ORIGIN)
    rdata = public.ds(origin, key.rdata)
    text = f"{key.tag} 13 2 {rdata[4:].hex().upper()}"
    names_of = [f"{host}.nic.example. {one.address}:{PORT}" for host, one in zip("ab", above, strict=True)]
    since = service.waits("ds", 0)

    def lacking(judge):
        return judge(service.sightings("parent"), origin, key, since).missing

    eventually(lambda: lacking(seen.ds_shown) == tuple(f"{one} shows no DS {key.tag}" for one in names_of))
    edit(above[0], f"add {ORIGIN} 600 DS {text}")
    eventually(lambda: lacking(seen.ds_shown) == (f"{names_of[1]} shows no DS {key.tag}",))
    edit(above[1], f"add {ORIGIN} 600 DS {text}")
    assert eventually(lambda: seen.ds_shown(service.sightings("parent"), origin, key, since).at) >= since
    assert [one.ds_ttl for one in service.sightings("parent")] == [600, 600]
    for one in above:
        assert run("kdig", f"@{one.address}", "-p", PORT, "+short", ORIGIN, "DS").replace(" ", "").strip() == (
            text.replace(" ", "")
        )

    edit(above[0], f"del {ORIGIN} DS")
    eventually(lambda: lacking(seen.ds_gone) == (f"{names_of[1]} shows the DS {key.tag} still",))
    edit(above[1], f"del {ORIGIN} DS")
    assert eventually(lambda: seen.ds_gone(service.sightings("parent"), origin, key, since).at)
    assert {one.ds_ttl for one in service.sightings("parent")} == {120}


def test_the_signer_goes_on_when_the_last_server_of_the_parent_shows_the_ds(service, above):
    """The zone's own key waits for its DS; what it waits for is in the signer's books."""
    words = service.ddns("zone", "ds", ORIGIN).split()
    text = " ".join(words[words.index("DS") + 1 :])

    def motion():
        return service.sql(
            "SELECT seen_at IS NOT NULL, waits FROM key_motions WHERE record = 'ds' AND zone = %s", service.zone
        )

    edit(above[0], f"add {ORIGIN} 600 DS {text}")
    eventually(
        lambda: [(seen, "b.nic" in waits, "a.nic" in waits) for seen, waits in motion()] == [(False, True, False)]
    )
    edit(above[1], f"add {ORIGIN} 600 DS {text}")
    eventually(lambda: [seen for seen, _ in motion()] == [True])


def test_a_parent_that_listens_is_told_of_new_cds_records(service):
    """The zone was signed elsewhere and has a CDS; where its parent listens stands in a DSYNC record (RFC 9859)."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind((SCANNER, 0))
        sock.settimeout(40.0)
        target = names.from_text("scanner.nic.example.")
        data = Type.CDS.to_bytes(2, "big") + b"\x01" + sock.getsockname()[1].to_bytes(2, "big") + target
        file = service.folder / "example.zone"
        file.write_text(ABOVE + f"*._dsync TYPE66 \\# {len(data)} {data.hex()}\nscanner.nic A {SCANNER}\n")
        stack.enter_context(Peer("knot", service.folder / "nic", {"example.": file}, address=NIC_A, port=PORT))
        service.set_up(ZONE + f"@ CDS 4711 13 2 {'AB' * 32}\n", denial="none")

        octets, sender = sock.recvfrom(512)
        message = dns.message.from_wire(octets)
        reply = dns.message.make_response(message)
        sock.sendto(reply.to_wire(), sender)

        assert message.opcode() == dns.opcode.NOTIFY
        assert [str(one) for one in message.question] == [f"{ORIGIN} IN CDS"]
        told = eventually(
            lambda: service.sql(
                "SELECT server, problem FROM sightings WHERE kind = 'dsync' AND answered_at IS NOT NULL"
            )
        )
        assert told == [(f"dsync scanner.nic.example. {SCANNER}:{sock.getsockname()[1]}", "")]
