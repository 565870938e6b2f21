"""A registry whose homes may have servers of their own, and Knot as the server of one of them."""

import asyncio
import contextlib
import ipaddress
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import msgspec
import psycopg
from msgspec.structs import replace
from peers import Peer
from ports import free_port
from registry import SECRETS, keygen, run
from service import Service, eventually
from tools import need

from ddns import postgres
from ddns.delegate.asking import ask_all
from ddns.dns import ds as signer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.zone.child import Child
from ddns.zone.hand import Hand, State

ZONE = "homes.test."
PORT = free_port()  # of all servers but the registry's
KEY = ("owner.", SECRETS["k256"])

SETTINGS = f"""[serve]
name = "ns1.homes.test"
[signer]
wait = 25.0
[watch]
fast = 0.2
every = 1.0
rest = 1.0
timeout = 2.0
resolver = "127.0.0.1:9"
port = {PORT}
[delegation]
private = true
scan_every = 1.0
look = 1.0
hold = 0.0
safety = 0.0
dark_after = 4.0
back_after = 1.0
per_child = 100
"""

REGISTRY = """\
$TTL 1
@ SOA ns1 hostmaster 1 7200 3600 1209600 1
@ NS ns1
ns1 A 127.0.0.1
"""


class Parent(Service):
    """The service with the registry's zone; homes are added with `home`."""

    def set_up(self, denial="nsec3"):
        (self.folder / "zone").write_text(REGISTRY)
        self.apply(f'[[zone]]\nname = "{ZONE}"\nfile = "zone"\ndenial = "{denial}"\n')
        self.keys = {}

    def home(self, label):
        """Add a home with a SIG(0) key of its own, and return its full name."""
        name = f"{label}.{ZONE}"
        self.keys[name] = keygen(self.folder, name, "ECDSAP256SHA256")
        self.ddns("home", "add", label, "--zone", ZONE, "--sig0", self.path(name).with_suffix(".key"))
        eventually(lambda: self.values(name, "SOA"))  # the workers hear of it
        return name

    def path(self, name):
        """Return the path of a home's private key."""
        return next(self.folder.glob(f"K{name}+*.private"))

    def config(self):
        return self.folder / "ddns.toml"

    def delegation(self, *words, status=0):
        """Run `ddns delegation … --json` and return what it printed."""
        if words[0] in ("leave", "check"):
            words = (*words, "--config", self.config())
        printed = self.ddns("delegation", *words, *(["--json"] if status == 0 else []), status=status)
        return json.loads(printed) if status == 0 else printed

    def stands(self, name):
        """Return where a home stands."""
        return self.delegation("show", name)["state"]

    def referral(self, name):
        """Return the servers to which the registry refers for *name*; nothing where it answers itself."""
        answer = self.ask(f"www.{name}", "A")
        return sorted(
            one.target.to_text() for rrset in answer.authority if rrset.rdtype == dns.rdatatype.NS for one in rrset
        )

    def arrives(self, name, *states, timeout=60.0):
        """Wait until a home stands in one of *states*."""
        eventually(lambda: self.stands(name) in states, timeout=timeout, pause=0.3)


@contextlib.contextmanager
def registry(*labels):
    """Run the service with a home of each of *labels*, and yield it."""
    running = Parent("--workers", "1", settings=SETTINGS)
    try:
        running.set_up()
        running.start()
        eventually(lambda: running.signed(ZONE))
        for label in labels:
            running.home(label)
        yield running
        running.stop()
    finally:
        running.remove()


class Own(Peer):
    """Knot with the zone of a home, which it signs; its server's name is ns1 below the home's."""

    def __init__(self, folder, name, address, *, more="", signed=True, key=KEY):
        self.zone = name
        path = folder.parent / f"{folder.name}.zone"
        path.write_text(
            f"$ORIGIN {name}\n$TTL 1\n@ SOA ns1 hostmaster 5 60 60 600 1\n@ NS ns1\nns1 A {address}\n"
            f'@ TXT "theirs"\n{more}'
        )
        super().__init__(
            "knot", folder, {name: path}, key=key, signed=[name] if signed else [], address=address, port=PORT
        )

    @property
    def words(self):
        """Return what tells `ddns delegation` where it is."""
        return "--ns", f"ns1.{self.zone}", "--glue", f"ns1.{self.zone}={self.address}"

    def import_keys(self, lines):
        """Have it publish the DNSKEY records *lines*, as `ddns delegation show` prints them, beside its own."""
        for number, line in enumerate(lines):
            file = self.folder / f"ours{number}.key"
            file.write_text(line + "\n")
            run("keymgr", "-c", self.folder / "knot.conf", self.zone, "import-pub", file)
        self.control("zone-sign", self.zone)

    def control(self, *words):
        return run("knotc", "-s", self.folder / "knot.sock", "-b", *words)

    def change(self, *lines):
        """Change its zone."""
        script = "\n".join([f"server {self.address} {self.port}", f"zone {self.zone}", *lines, "send", ""])
        command = [need("knsupdate"), "-y", f"hmac-sha256:{self.key[0]}:{self.key[1]}"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _said(child, name):
    """Return what the servers of *child* say, asked from a thread: the test's own may have a loop that runs."""

    async def nobody(_host):
        return ()

    def ask():
        return asyncio.run(
            ask_all(names.from_text(name), child, nobody, lambda: int(time.time()), private=True, port=PORT)
        )

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


def put_away(parent, own, *, signed=True, continuity="copy", more=(), digest=signer.SHA256):
    """Have the home of *own* be away already, as it is after the way out, which takes the TTLs of everything."""
    name, server = names.from_text(own.zone), names.from_text(f"ns1.{own.zone}")
    address = ipaddress.ip_address(own.address).packed
    child = Child((server, *more), (RRset.of(server, Type.A, 3600, [address]),))
    eventually(lambda: _said(child, own.zone)[0].cds or not signed)
    (said,) = [one for one in _said(child, own.zone) if one.server == server]
    ds = tuple(sorted(signer.of(name, key, digest) for key in said.keys if key[1] & 1)) if signed else ()
    child = replace(child, ds=ds)
    now = int(time.time())
    hand = Hand(
        state=State.AWAY, since=now, their=child, their_keys=tuple(sorted(said.keys)), their_ttl=1, ds=ds, led=True
    )
    with psycopg.connect(postgres.socket_dsn(postgres.running(parent.state), postgres.OWNER)) as conn:
        conn.execute(
            """
            INSERT INTO delegations (zone, wish, continuity, state, since, hand, step_at, ask_at, changed_at)
            SELECT id, 'away', %s, 'away', to_timestamp(%s), %s, now(), now(), now() FROM zones WHERE origin = %s
            """,
            (continuity, now, msgspec.msgpack.encode(hand), names.order_key(name)),
        )
        conn.execute("SELECT pg_notify('ddns_pending', ''), pg_notify('ddns_watch', '')")
    eventually(lambda: parent.referral(own.zone) == sorted(names.to_text(one) for one in child.servers))
    return child


def notify(parent, name, rdtype="CDS", *, tcp=False, more=None):
    """Send a NOTIFY about *name* and return the answer."""
    message = dns.message.make_query(name, rdtype, use_edns=0)
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags |= dns.flags.AA
    message.flags &= ~dns.flags.RD
    if more is not None:
        message.answer.append(more)
    return parent.send(message, tcp=tcp)
