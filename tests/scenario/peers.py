"""NSD, BIND and Knot as they come from Debian, serving given zone files on the loopback and cut off from all else.

With a key they also take updates of these zones and hand them out whole, to whoever signs with it.
"""

import contextlib
import functools
import re
import socket
import struct
import subprocess
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.query
from ports import free_port
from tools import need

PROGRAMS = {"nsd": ("nsd", "-v"), "bind": ("named", "-v"), "knot": ("knotd", "-V")}
READ = {
    "nsd": "4.6",
    "bind": "9.18",
    "knot": "3.2",
}  # the releases whose answers docs/reference/differences.md tells of


@functools.cache
def as_read(name):
    """Tell whether the server *name* is of the release that the page of differences was written from."""
    program, option = PROGRAMS[name]
    done = subprocess.run([need(program), option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+", done.stdout + done.stderr)
    return found is not None and found[0] == READ[name]


class Peer:
    """One server with its zones, started in *folder*; *key* (name, hmac-sha256 secret) may update and transfer them.

    It signs those in *signed* itself, which only BIND and Knot can. It listens at *address*, one of the loopback's.
    """

    def __init__(self, name, folder, zones, key=None, signed=(), address="127.0.0.1", port=None):
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir()
        self.key = key
        self.signed = frozenset(signed)
        self.address = address
        self.port = port or free_port()
        self.process = None
        command = getattr(self, f"_{name}")(zones)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        try:
            self._wait(zones)
            self.stream = socket.create_connection((self.address, self.port), 5)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait(self, zones):
        """Wait until every zone is answered for."""
        end = time.monotonic() + 30
        for origin in zones:
            query = dns.message.make_query(origin, "SOA")
            while True:
                with contextlib.suppress(dns.exception.Timeout, OSError):
                    reply = dns.query.udp(query, self.address, timeout=0.5, port=self.port)
                    if reply.answer:
                        break
                    time.sleep(0.1)
                assert time.monotonic() < end, f"{self.name} does not serve {origin}: {self.log()}"
                assert self.process.poll() is None, f"{self.name} ended: {self.log()}"

    def log(self):
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def ask(self, wire):
        """Return the answer to *wire* over the one stream that is open."""
        self.stream.sendall(struct.pack("!H", len(wire)) + wire)
        return self._read(struct.unpack("!H", self._read(2))[0])

    def again(self):
        """Open the stream anew, as after a message at which the server hung up."""
        self.stream.close()
        self.stream = socket.create_connection((self.address, self.port), 5)

    def _read(self, size):
        out = b""
        while len(out) < size:
            piece = self.stream.recv(size - len(out))
            assert piece, f"{self.name} closed the connection: {self.log()}"
            out += piece
        return out

    def stop(self):
        with contextlib.suppress(AttributeError):
            self.stream.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _nsd(self, zones):
        lines = [
            "server:",
            f" ip-address: {self.address}@{self.port}",
            ' username: ""',
            ' chroot: ""',
            ' database: ""',
            f' zonesdir: "{self.folder}"',
            f' pidfile: "{self.folder}/pid"',
            f' xfrdir: "{self.folder}"',
            f' xfrdfile: "{self.folder}/xfrd"',
            f' zonelistfile: "{self.folder}/list"',
            " server-count: 1",
            " rrl-ratelimit: 0",
            " minimal-responses: yes",
            " tcp-query-count: 0",
            " tcp-timeout: 600",
            "remote-control:",
            " control-enable: no",
        ]
        for origin, path in zones.items():
            lines += ["zone:", f' name: "{origin}"', f' zonefile: "{path}"']
        config = self.folder / "nsd.conf"
        config.write_text("\n".join(lines) + "\n")
        return [need("nsd"), "-d", "-c", config]

    def _bind(self, zones):
        # Hints and forwarders lead to a dead port of the loopback: this named cannot reach anybody.
        (self.folder / "hints").write_text(". 3600000 NS dead.invalid.\ndead.invalid. 3600000 A 127.0.0.1\n")
        root = "" if "." in zones else 'zone "." { type hint; file "hints"; };'
        key = ""
        if self.key is not None:
            key = 'key "{}" {{ algorithm hmac-sha256; secret "{}"; }};'.format(*self.key)
        blocks = "".join(self._bind_zone(origin, path) for origin, path in zones.items())
        (self.folder / "named.conf").write_text(f"""
            options {{
              directory "{self.folder}"; pid-file "{self.folder}/pid"; session-keyfile none;
              listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};
              recursion no; forward only; forwarders {{ 127.0.0.1 port 9; }}; dnssec-validation no;
              minimal-responses yes; minimal-any no; zero-no-soa-ttl no; notify no; allow-transfer {{ none; }};
              empty-zones-enable no;
              check-names primary ignore; check-integrity no; check-wildcard no; check-mx ignore; check-sibling no;
              check-mx-cname ignore; check-srv-cname ignore; check-dup-records ignore; check-spf ignore;
              tcp-idle-timeout 1200; max-cache-size 16m; geoip-directory none;
            }};
            controls {{ }};
            {key}
            {root}
            {blocks}""")
        return [need("named"), "-g", "-n", "1", "-c", self.folder / "named.conf"]

    def _bind_zone(self, origin, path):
        allowed = signing = ""
        if self.key is not None:
            allowed = f'allow-update {{ key "{self.key[0]}"; }}; allow-transfer {{ key "{self.key[0]}"; }};'
        if origin in self.signed:
            signing = "dnssec-policy default; inline-signing no;"
        return f'zone "{origin}" {{ type primary; file "{path}"; {allowed} {signing} }};\n'

    def _knot(self, zones):
        lines = [
            "server:",
            f"  rundir: {self.folder}",
            f"  listen: {self.address}@{self.port}",
            "  tcp-idle-timeout: 600",
            "  udp-workers: 1",
            "  tcp-workers: 1",
            "  background-workers: 1",
            "database:",
            f"  storage: {self.folder}",
            *self._knot_key(),
            "template:",
            "  - id: default",
            "    semantic-checks: off",
            "    zonefile-load: whole",
            "    journal-content: none",
            "    zonefile-sync: -1",
            *(["    acl: owner"] if self.key is not None else []),
            "zone:",
        ]
        for origin, path in zones.items():
            lines += [f'  - domain: "{origin}"', f"    file: {path}"]
            if origin in self.signed:
                lines += ["    dnssec-signing: on"]
        config = self.folder / "knot.conf"
        config.write_text("\n".join(lines) + "\n")
        return [need("knotd"), "-c", config]

    def _knot_key(self):
        if self.key is None:
            return []
        name, secret = self.key
        lines = ["key:", f"  - id: {name}", "    algorithm: hmac-sha256", f"    secret: {secret}"]
        return [*lines, "acl:", "  - id: owner", f"    key: {name}", "    action: [update, transfer]"]
