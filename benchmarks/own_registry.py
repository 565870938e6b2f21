"""A registry of a benchmark's own: `ddns serve` with one worker, a desk and the embedded Postgres, in a new folder."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import processes
import psycopg

from ddns.gateway.invitation import Invitation
from ddns.postgres import DATABASE, OWNER

ZONE = "homes.example."
RECORDS = "$TTL 300\n@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 3600 NS ns1\nns1 A 127.0.0.1\n"
SETTINGS = (
    '[serve]\nname = "ns1.homes.example"\n[tls]\nhandshakes = 100000.0\n[watch]\nresolver = "127.0.0.1:9"\n'
    "[web]\nsource_burst = 1000000\nsource_rate = 1000000\nstrangers = 1.0\nprivate = true\n"
)
PARTS = {"worker": "ddns.worker", "desk": "ddns.desk", "signer": "zone_signer", "postgres": "postgres"}


class Registry:
    """A registry in a folder of its own, with *more* settings; a context manager."""

    def __init__(self, more: str = "") -> None:
        self.more = more
        self.folder = Path(tempfile.mkdtemp(prefix="nameplate-enrol-"))
        self.folder.chmod(0o755)
        self.state = self.folder / "state"
        self.dns, self.web, self.devices = _free_port(), _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.beside: list[subprocess.Popen[bytes]] = []  # what runs beside it, and ends with it

    def __enter__(self) -> Self:
        (self.folder / "ddns.toml").write_text(SETTINGS + self.more)
        (self.folder / "zone").write_text(RECORDS)
        (self.folder / "registry.toml").write_text(f'[[zone]]\nname = "{ZONE}"\nfile = "zone"\ndenial = "nsec"\n')
        log = (self.folder / "serve.log").open("wb")
        self.process = subprocess.Popen(
            [
                *("ddns", "serve", "--state", str(self.state), "--listen", f"127.0.0.1:{self.dns}", "--workers", "1"),
                *("--web", f"127.0.0.1:{self.web}", "--devices", f"127.0.0.1:{self.devices}"),
                *("--config", str(self.folder / "ddns.toml")),
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
        self.ddns("policy", "set", ZONE, "methods=invitation,qr,voucher,attested")
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.beside:
            one.terminate()
            one.communicate()
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

    def port(self) -> int:
        """Return a port that is free."""
        return _free_port()

    def ddns(self, *words: str) -> str:
        """Run a command of the operator's and return what it printed."""
        told = os.environ | {"DDNS_STATE": str(self.state)}
        done = subprocess.run(["ddns", *words], check=False, capture_output=True, text=True, env=told)
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
