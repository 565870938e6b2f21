"""Knot, NSD and BIND as they come from Debian, as secondaries of our service, cut off from all else."""

import contextlib
import subprocess
import time

import dns.exception
import dns.message
import dns.query
import dns.zone
from ports import free_port
from tools import need


class Secondary:
    """One server in *folder* that follows *zones* from *primary*, a port of the loopback, with a TSIG key.

    It listens at *address*, one of the loopback's.

    The snippets of docs/howto/secondaries.md are the settings here.
    """

    def __init__(self, name, folder, zones, primary, key, secret, address="127.0.0.1", port=None):
        self.name = name
        self.folder = folder
        self.folder.mkdir()
        self.zones = zones
        self.primary = primary
        self.key = key
        self.secret = secret
        self.address = address
        self.port = port or free_port()
        self.process = None

    def start(self):
        command = getattr(self, f"_{self.name}")()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        return self

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def serial(self, zone):
        """Return the serial that is served here, None where the zone is not."""
        assert self.process.poll() is None, f"{self.name} ended: {self.log()[-3000:]}"
        with contextlib.suppress(dns.exception.Timeout, OSError):
            answer = dns.query.udp(dns.message.make_query(zone, "SOA"), self.address, timeout=0.5, port=self.port)
            if answer.answer:
                return answer.answer[0][0].serial
        return None

    def follow(self, zone, serial, timeout=60.0):
        """Wait until *serial* of *zone* is served here."""
        end = time.monotonic() + timeout
        while (at := self.serial(zone)) != serial:
            assert time.monotonic() < end, f"{self.name} has {at} of {zone}, not {serial}: {self.log()[-3000:]}"
            time.sleep(0.05)

    def _knot(self):
        lines = [
            "server:",
            f"  rundir: {self.folder}",
            f"  listen: {self.address}@{self.port}",
            "  udp-workers: 1",
            "  tcp-workers: 1",
            "  background-workers: 2",
            "log:",
            "  - target: stderr",
            "    any: info",
            "database:",
            f"  storage: {self.folder}",
            "key:",
            f"  - id: {self.key}",
            "    algorithm: hmac-sha256",
            f"    secret: {self.secret}",
            "remote:",
            "  - id: registry",
            f"    address: 127.0.0.1@{self.primary}",
            f"    key: {self.key}",
            "acl:",
            "  - id: registry",
            "    address: 127.0.0.1",
            "    action: notify",
            f"    key: {self.key}",
            "  - id: readers",
            "    address: 127.0.0.1",
            "    action: transfer",
            "template:",
            "  - id: default",
            f"    storage: {self.folder}",
            "    master: registry",
            "    acl: [registry, readers]",
            "zone:",
        ]
        lines += [f'  - domain: "{zone}"' for zone in self.zones]
        config = self.folder / "knot.conf"
        config.write_text("\n".join(lines) + "\n")
        return [need("knotd"), "-c", config]

    def _nsd(self):
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
            " verbosity: 2",
            " xfrd-reload-timeout: 1",
            "remote-control:",
            " control-enable: no",
            "key:",
            f' name: "{self.key}"',
            " algorithm: hmac-sha256",
            f' secret: "{self.secret}"',
            "pattern:",
            ' name: "registry"',
            f" request-xfr: 127.0.0.1@{self.primary} {self.key}",
            f" allow-notify: 127.0.0.1 {self.key}",
            " provide-xfr: 127.0.0.1 NOKEY",
            " max-retry-time: 1",  # NSD 4.6 may drop what it took while it reloads, and the SOA's retry time is long
        ]
        for zone in self.zones:
            lines += ["zone:", f' name: "{zone}"', f' zonefile: "{zone}zone"', ' include-pattern: "registry"']
        config = self.folder / "nsd.conf"
        config.write_text("\n".join(lines) + "\n")
        return [need("nsd"), "-d", "-c", config]

    def _bind(self):
        # Hints and forwarders lead to a dead port of the loopback: this named cannot reach anybody else.
        (self.folder / "hints").write_text(". 3600000 NS dead.invalid.\ndead.invalid. 3600000 A 127.0.0.1\n")
        blocks = "".join(
            f'zone "{zone}" {{ type secondary; file "{zone}zone"; masterfile-format text;\n'
            f'  primaries {{ 127.0.0.1 port {self.primary} key "{self.key}"; }};\n'
            f'  allow-notify {{ key "{self.key}"; }}; allow-transfer {{ 127.0.0.1; }}; notify no; }};\n'
            for zone in self.zones
        )
        (self.folder / "named.conf").write_text(f"""
            key "{self.key}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
            options {{
              directory "{self.folder}"; pid-file "{self.folder}/pid"; session-keyfile none;
              listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};
              recursion no; forward only; forwarders {{ 127.0.0.1 port 9; }}; dnssec-validation no;
              empty-zones-enable no; geoip-directory none; max-cache-size 16m;
            }};
            controls {{ }};
            zone "." {{ type hint; file "hints"; }};
            {blocks}""")
        return [need("named"), "-g", "-n", "1", "-c", self.folder / "named.conf"]
