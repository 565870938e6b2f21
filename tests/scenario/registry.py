"""The registry that the scenarios share: its zones and keys, and the clients that speak to it."""

import base64
import subprocess

import dns.tsigkeyring
import dns.update
from messages import KeyFile
from service import Service
from tools import need

SECRETS = {
    key: base64.b64encode(bytes([seed]) * 32).decode() for seed, key in enumerate(("k256", "k384", "k512", "narrow"))
}
ALGORITHMS = {"k256": "hmac-sha256", "k384": "hmac-sha384", "k512": "hmac-sha512", "narrow": "hmac-sha256"}
ZONES = {"hash.example.": "nsec3", "walk.example.": "nsec", "plain.example.": "none"}
SIGNED = [zone for zone, denial in ZONES.items() if denial != "none"]
A, AAAA, TXT = 1, 28, 16

ZONE_FILE = """\
$TTL 300
@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 3600 NS ns1
@ 3600 NS ns2
@ MX 10 www
ns1 A 127.0.0.1
ns2 A 127.0.0.1
www A 192.0.2.1
www A 192.0.2.2
alias CNAME www
deep.er.name TXT "leaf"
*.wild A 192.0.2.9
cut NS ns.cut
ns.cut A 192.0.2.53
"""


class Registry(Service):
    """The service with the zones and keys of this file."""

    def set_up(self):
        """Make the SIG(0) keys with BIND's tool, write the zones, and bring all of it in by `ddns apply`."""
        self.keys = {
            "p256": keygen(self.folder, "gw.hash.example.", "ECDSAP256SHA256"),
            "ed25519": keygen(self.folder, "gw.walk.example.", "ED25519"),
            "stranger": keygen(self.folder, "stranger.hash.example.", "ECDSAP256SHA256"),
        }
        enrolled = [self.keys["p256"], self.keys["ed25519"]]
        parts = [f'[[key]]\nname = "{key.name}"\nsig0 = "{key.rdata}"\n' for key in enrolled]
        parts += [
            f'[[key]]\nname = "{key}."\nalgorithm = "{ALGORITHMS[key]}"\nsecret = "{secret}"\n'
            for key, secret in SECRETS.items()
        ]
        for zone, denial in ZONES.items():
            (self.folder / f"{zone}zone").write_text(ZONE_FILE)
            grants = ['{ key = "k256." }', '{ key = "k384." }', '{ key = "k512." }']
            grants += [f'{{ key = "{key.name}", name = "{key.name}" }}' for key in enrolled if key.name == f"gw.{zone}"]
            if zone == "hash.example.":
                grants.append('{ key = "narrow.", name = "sub.hash.example.", types = ["A", "AAAA"] }')
            parts.append(f'[[zone]]\nname = "{zone}"\nfile = "{zone}zone"\ndenial = "{denial}"\n')
            parts.append(f"grants = [{', '.join(grants)}]\n")
        self.apply("".join(parts))

    def key_file(self, key):
        """Return the path of a TSIG key file for `nsupdate -k`."""
        path = self.folder / f"{key}.tsig"
        path.write_text(f'key "{key}" {{ algorithm {ALGORITHMS[key]}; secret "{SECRETS[key]}"; }};\n')
        path.chmod(0o600)
        return path

    def path(self, key):
        """Return the path of a SIG(0) key's private file."""
        return next(self.folder.glob(f"K{key}+*.private"))


def keygen(folder, name, algorithm):
    command = [need("dnssec-keygen"), "-q", "-K", folder, "-T", "KEY", "-n", "HOST", "-a", algorithm, name]
    base = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return KeyFile(folder / f"{base}.private")


def nsupdate(registry, credentials, zone, *lines, options=()):
    """Run nsupdate and return its exit status and words."""
    script = [f"server 127.0.0.1 {registry.port}", f"zone {zone}", *lines, "send", ""]
    command = [need("nsupdate"), "-t", "40", *options, *credentials]
    done = subprocess.run(command, input="\n".join(script), capture_output=True, text=True, timeout=90, check=False)
    return done.returncode, done.stdout + done.stderr


def knsupdate(registry, credentials, zone, *lines, options=()):
    """Run knsupdate and return its exit status and words."""
    script = [f"server 127.0.0.1 {registry.port}", f"zone {zone}", *lines, "send", ""]
    command = [need("knsupdate"), "-t", "40", *options, *credentials]
    done = subprocess.run(command, input="\n".join(script), capture_output=True, text=True, timeout=90, check=False)
    return done.returncode, done.stdout + done.stderr


def tsig(key):
    """Return the words that make nsupdate and knsupdate sign with a TSIG key."""
    return ["-y", f"{ALGORITHMS[key]}:{key}:{SECRETS[key]}"]


def change(zone, key="k256", secret=None):
    """Return an empty dnspython update of *zone*, to be signed with a TSIG key."""
    ring = dns.tsigkeyring.from_text({f"{key}.": secret or SECRETS[key]})
    return dns.update.UpdateMessage(
        zone, keyring=ring, keyname=f"{key}.", keyalgorithm=ALGORITHMS.get(key, "hmac-sha256")
    )


def run(*command, status=0):
    """Run a program and return what it printed; its exit status must be *status*."""
    words = [need(command[0]), *map(str, command[1:])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def anchor(registry, zone):
    """Return the owner and the words of the zone's DS as `ddns zone ds` prints it."""
    line = next(line for line in registry.ddns("zone", "ds", zone).splitlines() if "DS" in line.split())
    words = line.split()
    return words[0], words[words.index("DS") + 1 :]


def unbound_settings(registry, port, signed=SIGNED, zones=ZONES):
    """Return unbound's settings: our zones by stub, their DS as anchors, and no way to any other server."""
    lines = [
        "server:",
        f"  directory: {registry.folder}",
        '  chroot: ""',
        '  username: ""',
        '  pidfile: ""',
        "  interface: 127.0.0.1",
        f"  port: {port}",
        "  do-daemonize: no",
        "  use-syslog: no",
        "  do-not-query-localhost: no",
        "  num-threads: 1",
        '  module-config: "validator iterator"',
    ]
    for zone in signed:
        owner, ds = anchor(registry, zone)
        lines.append(f'  trust-anchor: "{owner} DS {" ".join(ds)}"')
    for zone in zones:
        lines += ["stub-zone:", f"  name: {zone}", f"  stub-addr: 127.0.0.1@{registry.port}"]
    lines += ["stub-zone:", '  name: "."', "  stub-addr: 127.0.0.1@9", "remote-control:", "  control-enable: no"]
    path = registry.folder / "unbound.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def full(owner, zone):
    """Return the full name of *owner* as a master file of *zone* writes it."""
    return zone if owner == "@" else f"{owner}.{zone}"
