#!/usr/bin/env python3
"""How many homes a second come to be by each method, and at what cost: enrol.py [--homes 400] [--clients 16] [WAY...].

A registry of its own is started (`ddns serve --web`, one worker, one desk, the embedded Postgres on this disk, signed
with NSEC), and homes come to be by

  import  `ddns home import` of a file, 400 a commit
  update  a gateway's UPDATE over TCP, signed with its invitation (RFC 2136, RFC 8945)
  https   a statement with the invitation's signature, POST /v1/enrol, each over a TLS connection of its own
  owner   the same with the signature of an owner whom nobody knows yet

so many clients at once, whose own work does not count. Printed are homes a second, and milliseconds of CPU a home of
the whole registry (Postgres and signer included) and of its parts; then what that makes of a million homes. The
statements and updates are made before the clock runs. On a machine that others use only the CPU counts.
"""

from __future__ import annotations

import argparse
import base64
import csv
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))

import processes
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.auth import keys, tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.postgres import DATABASE, OWNER
from ddns.proof import statements
from ddns.proof.statements import Enrol

ZONE = "homes.example."
RECORDS = "$TTL 300\n@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 3600 NS ns1\nns1 A 127.0.0.1\n"
SETTINGS = (
    '[serve]\nname = "ns1.homes.example"\n[tls]\nhandshakes = 100000.0\n[watch]\nresolver = "127.0.0.1:9"\n'
    "[web]\nsource_burst = 1000000\nsource_rate = 1000000\n"
)
MILLION = 1_000_000
YEARS = 10  # that a box lives
HOUR, DAY = 3600, 86_400
PARTS = {"worker": "ddns.worker", "desk": "ddns.desk", "signer": "zone_signer", "postgres": "postgres"}
WAYS = ("import", "update", "https", "owner")


class Registry:
    """A registry in a folder of its own; a context manager."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nameplate-enrol-"))
        self.folder.chmod(0o755)
        self.state = self.folder / "state"
        self.dns, self.web = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        (self.folder / "ddns.toml").write_text(SETTINGS)
        (self.folder / "zone").write_text(RECORDS)
        (self.folder / "registry.toml").write_text(f'[[zone]]\nname = "{ZONE}"\nfile = "zone"\ndenial = "nsec"\n')
        log = (self.folder / "serve.log").open("wb")
        self.process = subprocess.Popen(
            [
                *("ddns", "serve", "--state", str(self.state), "--listen", f"127.0.0.1:{self.dns}", "--workers", "1"),
                *("--web", f"127.0.0.1:{self.web}", "--config", str(self.folder / "ddns.toml")),
            ],
            stdout=log,
            stderr=log,
        )
        end = time.monotonic() + 60
        while not self._is_up():
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit((self.folder / "serve.log").read_text())
            time.sleep(0.2)
        self.ddns("apply", str(self.folder / "registry.toml"))
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.web), 5).close()
        except OSError:
            return False
        return (self.state / "tls" / "certificate.pem").exists()

    def ddns(self, *words: str) -> str:
        """Run a command of the operator's and return what it printed."""
        done = subprocess.run(["ddns", *words, "--state", str(self.state)], check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"ddns {' '.join(words)}: {done.stderr}")
        return done.stdout

    def invite(self, labels: list[str]) -> list[Invitation]:
        """Invite homes from a list."""
        wanted, made = self.folder / "labels.csv", self.folder / "invitations.csv"
        wanted.write_text("label\n" + "".join(f"{label}\n" for label in labels))
        made.unlink(missing_ok=True)
        server = f"127.0.0.1:{self.dns}"
        self.ddns("home", "invite", "--zone", ZONE, "--file", str(wanted), "--csv", str(made), "--server", server)
        with made.open(newline="") as rows:
            lines = [next(cell for cell in row.values() if cell.startswith("ddns://")) for row in csv.DictReader(rows)]
        return [Invitation.from_text(line) for line in lines]

    def size(self) -> tuple[int, int]:
        """Return the octets of the database, and how many homes there are."""
        dsn = f"host={self.state / 'pg' / 'run'} user={OWNER} dbname={DATABASE}"
        with psycopg.connect(dsn) as conn:
            row = conn.execute("SELECT pg_database_size(current_database()), (SELECT count(*) FROM homes)").fetchone()
        assert row is not None
        return row[0], row[1]

    def cpu(self) -> dict[str, dict[int, int]]:
        """Return the CPU time of each part's threads."""
        assert self.process is not None
        out: dict[str, dict[int, int]] = {part: {} for part in (*PARTS, "others")}
        for pid in processes.tree([self.process.pid]):
            title = processes.title(pid)
            part = next((part for part, word in PARTS.items() if word in title), "others")
            for task in (processes.PROC / str(pid) / "task").iterdir():
                out[part][int(task.name)] = int((task / "schedstat").read_text().split()[0])
            # What its children used that have ended: the database has a process for each connection.
            ended = (processes.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[13:15]
            out[part][-pid] = sum(map(int, ended)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        return out


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def at_once(clients: int, work: list[bytes], do: Callable[[bytes], None]) -> None:
    """Have *clients* threads do all of *work*."""
    waiting: Iterator[bytes] = iter(work)
    lock = threading.Lock()
    faults: list[BaseException] = []

    def run() -> None:
        while not faults:
            with lock:
                one = next(waiting, None)
            if one is None:
                return
            try:
                do(one)
            except BaseException as error:  # noqa: BLE001 - told below, by the thread that measures
                faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def imported(_registry: Registry, labels: list[str]) -> list[bytes]:
    """Return the lines of a file that brings homes in."""
    lines = []
    for label in labels:
        key = base64.b64encode(keys.key_rdata(ec.generate_private_key(ec.SECP256R1()))[4:]).decode()
        lines.append(json.dumps({"label": label, "key": f"512 3 13 {key}"}).encode() + b"\n")
    return lines


def updates(registry: Registry, labels: list[str]) -> list[bytes]:
    """Return UPDATE messages that spend an invitation each."""
    out = []
    for one in registry.invite(labels):
        rdata = keys.key_rdata(ec.generate_private_key(ec.SECP256R1()))
        record = one.home + struct.pack("!HHIH", 25, 1, 0, len(rdata)) + rdata
        head = struct.pack("!6H", secrets.randbits(16), 0x2800, 1, 0, 1, 0)
        wire = head + one.zone + struct.pack("!HH", 6, 1) + record
        credential = Credential(0, one.key, "tsig", one.algorithm, secret=Secret(one.secret))
        out.append(tsig.sign_request(wire, credential, int(time.time()))[0])
    return out


def wishes(registry: Registry, labels: list[str], *, owners: bool) -> list[bytes]:
    """Return statements that spend an invitation each, signed by an owner, too, or by the gateway alone."""
    out = []
    now = int(time.time())
    for one in registry.invite(labels):
        said = Enrol(aud=ZONE, iat=now, exp=now + 900, jti=secrets.token_urlsafe(16), method="invitation")
        signers = [ec.generate_private_key(ec.SECP256R1()) for _ in range(1 + owners)]
        out.append(statements.sign(said, *signers, (names.to_text(one.key), one.secret)))
    return out


def update(registry: Registry, wire: bytes) -> None:
    """Send an UPDATE over a connection of its own."""
    with socket.create_connection(("127.0.0.1", registry.dns), 120) as sock:
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        answer = sock.recv(4096)
    if answer[5] & 15:
        raise RuntimeError(f"an update was answered with RCODE {answer[5] & 15}")


def wish(registry: Registry, context: ssl.SSLContext, octets: bytes) -> None:
    """Send a statement over a connection of its own."""
    connection = http.client.HTTPSConnection("127.0.0.1", registry.web, timeout=120, context=context)
    try:
        connection.request("POST", "/v1/enrol", octets, {"Content-Type": "application/jose+json"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.CREATED:
        raise RuntimeError(f"an enrolment was answered with {answer.status}: {body[:300]!r}")


def measured(registry: Registry, way: str, number: int, clients: int) -> tuple[float, dict[str, float]]:
    """Make *number* homes and return how many a second, and the milliseconds of CPU a home of each part."""
    labels = [f"{way}-{secrets.token_hex(5)}" for _ in range(number)]
    context = ssl.create_default_context(cafile=str(registry.state / "tls" / "certificate.pem"))
    context.check_hostname = False  # the certificate is known itself
    before: dict[str, dict[int, int]]
    used = 0.0
    if way == "import":
        file = registry.folder / "homes.jsonl"
        file.write_bytes(b"".join(imported(registry, labels)))
        before, began = registry.cpu(), time.monotonic()
        own = os.times()
        registry.ddns("home", "import", str(file), "--registry", ZONE)
        took = time.monotonic() - began
        now = os.times()
        used = now.children_user + now.children_system - own.children_user - own.children_system
    else:
        work = updates(registry, labels) if way == "update" else wishes(registry, labels, owners=way == "owner")
        do = (lambda one: update(registry, one)) if way == "update" else (lambda one: wish(registry, context, one))
        before, began = registry.cpu(), time.monotonic()
        at_once(clients, work, do)
        took = time.monotonic() - began
    after = registry.cpu()
    parts = {part: processes.cpu_between(before[part], after[part]) * 1000 / number for part in before}
    parts["others"] += used * 1000 / number
    return number / took, parts


def told(way: str, rate: float, cost: float, octets: float) -> None:
    """Print what a million homes are by *way*."""
    bought, back = MILLION / (YEARS * 365), MILLION / HOUR
    words = [
        f"{MILLION * cost / 1000 / HOUR:.1f} hours of CPU in {MILLION / rate / HOUR:.1f} hours",
        f"{bought:.0f} new boxes a day: {bought * cost / 1000:.1f} s of CPU",
        f"all at once after an outage, spread over an hour: {back:.0f}/s, {back / rate:.1f} times what was measured",
        f"{MILLION * octets / 1e9:.1f} GB",
    ]
    print(f"  a million by {way}: " + "; ".join(words), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--homes", type=int, default=400)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("ways", nargs="*", metavar="WAY")
    given = parser.parse_args()
    ways = given.ways or WAYS
    if unknown := set(ways) - set(WAYS):
        parser.error(f"no such way: {', '.join(sorted(unknown))}; choose from {', '.join(WAYS)}")
    with Registry() as registry:
        measured(registry, "owner", 20, 4)  # so that all programs have done it once
        print(f"{'way':8}{'homes/s':>9}{'CPU ms':>9}" + "".join(f"{part:>10}" for part in (*PARTS, "others")))
        for way in ways:
            octets, homes = registry.size()
            rate, parts = measured(registry, way, given.homes, given.clients)
            later, more = registry.size()
            cost = sum(parts.values())
            print(f"{way:8}{rate:9.1f}{cost:9.2f}" + "".join(f"{parts[part]:10.2f}" for part in (*PARTS, "others")))
            told(way, rate, cost, (later - octets) / max(1, more - homes))


if __name__ == "__main__":
    main()
