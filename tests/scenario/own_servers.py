"""A registry whose homes may have servers of their own, and Knot as the server of one of them."""

import json
import subprocess

from peers import Peer
from ports import free_port
from registry import SECRETS, keygen, run
from service import Service, eventually
from tools import need

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

    def arrives(self, name, *states, timeout=60.0):
        """Wait until a home stands in one of *states*."""
        eventually(lambda: self.stands(name) in states, timeout=timeout, pause=0.3)


class Own(Peer):
    """Knot with the zone of a home, which it signs; its server's name is ns1 below the home's."""

    def __init__(self, folder, name, address, *, more="", signed=True):
        self.zone = name
        path = folder.parent / f"{folder.name}.zone"
        path.write_text(
            f"$ORIGIN {name}\n$TTL 1\n@ SOA ns1 hostmaster 5 60 60 600 1\n@ NS ns1\nns1 A {address}\n"
            f'@ TXT "theirs"\n{more}'
        )
        super().__init__(
            "knot", folder, {name: path}, key=KEY, signed=[name] if signed else [], address=address, port=PORT
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
        command = [need("knsupdate"), "-y", f"hmac-sha256:{KEY[0]}:{KEY[1]}"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
