"""A key of a registry is replaced in real time, under a resolver that is asked ten times a second all the while.

Everything is real: the service with its watcher and signer, the zone above at Knot, which signs it, unbound with its
cache. TTLs are of a second, so that it takes half a minute and not a day; the safety of a second is for the clocks,
which the signer reads in whole seconds.
"""

import re
import subprocess
import sys
import threading
from collections import Counter

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import psycopg
import pytest
import resolving
from peers import Peer
from ports import free_port
from registry import SECRETS, keygen, run
from service import Service, eventually

from ddns import postgres

ORIGIN = "homes.example."
ABOVE_ADDRESS = "127.0.0.2"
PORT = free_port()
SETTINGS = f"""[signer]
wait = 25.0
[watch]
fast = 0.2
every = 1.0
rest = 1.0
timeout = 5.0
resolver = "{ABOVE_ADDRESS}:{PORT}"
port = {PORT}
private = true
"""
ZONE = """\
$TTL 1
@ SOA ns1 hostmaster 1 7200 3600 1209600 1
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.1
*.any TXT "anything"
"""
ABOVE = f"""\
$ORIGIN example.
$TTL 1
@ SOA a.nic host.nic 1 3600 900 1209600 1
@ NS a.nic
a.nic A {ABOVE_ADDRESS}
homes NS ns1.homes
ns1.homes A 127.0.0.1
"""
HOMES = ("smith", "jones")
QUESTIONS = [
    (f"www.{ORIGIN}", "A"),
    (f"smith.{ORIGIN}", "SOA"),
    (f"x.any.{ORIGIN}", "TXT"),
    (f"jones.{ORIGIN}", "DNSKEY"),
    (f"nobody.{ORIGIN}", "A"),
    (f"smith.{ORIGIN}", "DS"),
    (f"nobody.jones.{ORIGIN}", "AAAA"),
    (ORIGIN, "DNSKEY"),
]
PAUSE = 0.1  # seconds from question to question
ENOUGH = 60  # questions that are to be answered before and behind the roll


class Rolling(Service):
    """The service with the registry's zone, homes below it, and the signer's commands."""

    def set_up(self):
        (self.folder / "zone").write_text(ZONE)
        self.apply(f"""
[[signing]]
name = "quick"
dnskey_ttl = "1s"
ds_ttl = "1s"
publish_safety = "1s"
retire_safety = "1s"
[[zone]]
name = "{ORIGIN}"
file = "zone"
denial = "nsec3"
signing = "quick"
""")
        for label in HOMES:
            name = f"{label}.{ORIGIN}"
            keygen(self.folder, name, "ECDSAP256SHA256")
            (key,) = self.folder.glob(f"K{name}+*.key")
            self.ddns("home", "add", label, "--zone", ORIGIN, "--sig0", key)
        # A home's delegation is kept for an hour: here nobody waits so long.
        text, count = re.subn(r"\b3600(\s+IN\s+(?:NS|DS))\b", r"1\1", self.ddns("zone", "export", ORIGIN))
        assert count == 2 * len(HOMES), text
        (self.folder / "zone").write_text(text)
        self.ddns("zone", "import", self.folder / "zone", "--origin", ORIGIN, "--wait", 0)
        self.start()
        for name in (ORIGIN, *(f"{label}.{ORIGIN}" for label in HOMES)):
            eventually(lambda name=name: self.signed(name))
        # No cache has asked yet, so nobody need wait for the TTL of an hour that was published before.
        with self.database() as conn:
            conn.execute("DELETE FROM editions")
            conn.execute("UPDATE signing SET max_ttl = NULL, max_ttl_at = NULL")
            assert not conn.execute(
                "SELECT FROM published_rrsets JOIN zones ON zones.id = zone WHERE parent IS NULL AND ttl > 1"
            ).fetchall()
        return self

    def database(self):
        return psycopg.connect(postgres.socket_dsn(postgres.running(self.state), postgres.OWNER))

    def signer(self, *words):
        """Run a command of the signer and return what it printed."""
        command = [sys.executable, "-m", "zone_signer.cli", *words]
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, timeout=120, check=False, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def keys(self):
        """Return tag and state of the keys of the registry's zone that are not removed, and whether none moves."""
        with self.database() as conn:
            rows = conn.execute(
                """SELECT tag, signing_keys.state, EXISTS (SELECT FROM key_motions WHERE zone = zones.id)
                   FROM signing_keys JOIN zones ON zones.id = signing_keys.zone
                   WHERE zones.parent IS NULL AND signing_keys.state <> 'removed'"""
            ).fetchall()
        return [(tag, state) for tag, state, _ in rows], not any(moving for _, _, moving in rows)

    def resting(self):
        """Return the tag of the one key of the registry's zone, once it has all its records; None before."""
        keys, still = self.keys()
        return keys[0][0] if still and [state for _, state in keys] == ["active"] else None


class Parent(threading.Thread):
    """Somebody who looks at the CDS records of the registry's zone and has the zone above follow them."""

    def __init__(self, service, above):
        super().__init__()
        self.service, self.above = service, above
        self.ended = threading.Event()
        self.sets = []  # the sets of tags that it has published
        self.whole = False  # it looked until it was told to end

    def run(self):
        try:
            while not self.ended.wait(0.5):
                self.look()
        finally:
            self.whole = self.ended.is_set()

    def look(self):
        answer = self.service.ask(ORIGIN, "CDS")
        wanted = sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)
        if not wanted or wanted == (self.sets[-1] if self.sets else []):
            return
        script = "\n".join([
            f"server {self.above.address} {self.above.port}", "zone example.", f"del {ORIGIN} DS",
            *(f"add {ORIGIN} 1 DS {one}" for one in wanted), "send", "",
        ])  # fmt: skip
        file = self.above.folder / "edit"
        file.write_text(script)
        run("knsupdate", "-y", f"hmac-sha256:k256.:{SECRETS['k256']}", file)
        self.sets.append(wanted)

    def stop(self):
        self.ended.set()
        self.join()
        assert self.whole


class Asker(threading.Thread):
    """Somebody who asks a resolver all the time; what was answered is counted."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.ended = threading.Event()
        self.answers = Counter()
        self.odd = []

    def run(self):
        number = 0
        while not self.ended.wait(PAUSE):
            name, rdtype = QUESTIONS[number % len(QUESTIONS)]
            number += 1
            query = dns.message.make_query(name, rdtype, want_dnssec=True)
            try:
                answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=self.port, timeout=30)
            except (dns.exception.DNSException, OSError) as error:
                self.odd.append(f"{name} {rdtype}: {error!r}")
                continue
            wanted = dns.rcode.NXDOMAIN if name.startswith("nobody") else dns.rcode.NOERROR
            if answer.rcode() != wanted or not answer.flags & dns.flags.AD:
                self.odd.append(f"{name} {rdtype}: {answer}")
            self.answers[name, rdtype] += 1

    def count(self):
        return sum(self.answers.values())

    def stop(self):
        self.ended.set()
        self.join()


@pytest.fixture
def service():
    """Yield the service, running; it is stopped and removed in the end."""
    made = Rolling("--workers", "1", settings=SETTINGS)
    try:
        yield made.set_up()
        made.stop()
    finally:
        made.remove()


@pytest.fixture
def above(service):
    """Yield Knot, which serves the zone above and signs it."""
    file = service.folder / "example.zone"
    file.write_text(ABOVE)
    folder = service.folder / "nic"
    key = ("k256.", SECRETS["k256"])
    with Peer("knot", folder, {"example.": file}, key, ["example."], address=ABOVE_ADDRESS, port=PORT) as peer:
        yield peer


@pytest.fixture
def parent(service, above):
    """Yield who keeps the zone above."""
    keeper = Parent(service, above)
    keeper.start()
    yield keeper
    keeper.stop()


@pytest.fixture
def unbound(service, above):
    """Yield the port of a resolver with a cache, which trusts the key of the zone above and reaches nobody else."""
    query = dns.message.make_query("example.", "DNSKEY", want_dnssec=True)

    def trusted():
        answer = dns.query.tcp(query, above.address, port=above.port, timeout=30)
        return [one.to_text() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DNSKEY for one in rrset]

    keys = [one for one in eventually(trusted) if one.startswith("257")]
    port = free_port()
    lines = [
        "server:", f"  directory: {service.folder}", '  chroot: ""', '  username: ""', '  pidfile: ""',
        "  interface: 127.0.0.1", f"  port: {port}", "  do-daemonize: no", "  use-syslog: no", "  num-threads: 1",
        "  do-not-query-localhost: no", "  do-ip6: no", '  module-config: "validator iterator"',
        "  harden-algo-downgrade: yes", "  trust-anchor-signaling: no", "  cache-min-ttl: 0", "  val-log-level: 2",
        *(f'  trust-anchor: "example. DNSKEY {one}"' for one in keys),
        "stub-zone:", "  name: example.", f"  stub-addr: {above.address}@{above.port}",
    ]  # fmt: skip
    for zone in (ORIGIN, *(f"{label}.{ORIGIN}" for label in HOMES)):
        lines += ["stub-zone:", f"  name: {zone}", f"  stub-addr: 127.0.0.1@{service.port}"]
    lines += ["stub-zone:", '  name: "."', "  stub-addr: 127.0.0.1@9", "remote-control:", "  control-enable: no"]
    settings = service.folder / "unbound.conf"
    settings.write_text("\n".join(lines) + "\n")
    with resolving.unbound(service.folder, settings, port, "example.", "SOA"):
        yield port


def test_a_registry_gets_another_key_and_no_resolver_notices(service, above, parent, unbound):
    old = eventually(service.resting, timeout=120)
    asker = Asker(unbound)
    asker.start()
    try:
        eventually(lambda: asker.count() > ENOUGH or asker.odd)
        service.signer("roll", ORIGIN, "--yes")
        new = eventually(lambda: (tag := service.resting()) != old and tag, timeout=120)
        behind = asker.count() + ENOUGH
        eventually(lambda: asker.count() > behind or asker.odd)
    finally:
        asker.stop()

    assert asker.odd == []
    assert set(asker.answers) == set(QUESTIONS)
    tags = [{int(one.split()[0]) for one in ds} for ds in parent.sets]
    assert tags == [{old}, {old, new}, {new}]
