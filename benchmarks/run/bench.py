"""What all rows of a run share: options, data, the servers that are up, and where results go."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from run.contestants import HERE, CannotMeasure, Contestant, call
from run.measures import Load
from run.results import Results

FIRST = 10_000  # homes in the zone that most rows are about
MAKING = 3600.0  # seconds in which data must be made
IMPORTING = 3.0  # milliseconds a home, at most
STARTING = 900.0  # seconds for a server's first start on a zone
PORTS = 10  # from one server's port to the next


@dataclass
class Bench:
    """One run."""

    load: Load
    results: Results
    work: Path  # where servers and data are
    ddns: str
    port: int
    peers: tuple[str, ...]
    rounds: int
    jobs: int
    py_spy: str
    storm: tuple[int, float, int, str]  # homes, minutes, workers, their CPUs
    sizes: tuple[int, ...]
    data: Path | None = None  # of the first rows, if made already
    up: dict[str, Contestant] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)

    # -- data -----------------------------------------------------------------------------------------------

    def first_data(self) -> Path:
        """Return the folder of the zone that most rows are about."""
        return self.zone_data(FIRST) if self.data is None else self.data

    def zone_data(self, homes: int) -> Path:
        """Return the folder of one zone of *homes*, made by the harness where it is not there."""
        if self.data is not None and (self.data / "meta").read_text().split()[0] == str(homes):
            return self.data
        folder = self.work / f"zone-{homes}"
        if not (folder / "tsig.secret").exists():
            say(f"making one zone of {homes:,} homes")
            words = [sys.executable, str(self.load.harness / "gen_zone.py"), "--homes", str(homes)]
            call([*words, "--out", str(folder), "--many", str(min(homes, 10_000))], timeout=MAKING)
        return folder

    def homes_data(self, homes: int) -> Path:
        """Return the folder of *homes* to import, made where it is not there."""
        folder = self.work / f"homes-{homes}"
        if not (folder / "q_nxh.txt").exists():
            say(f"making {homes:,} homes")
            words = [sys.executable, str(HERE / "make_homes.py"), str(homes), "--out", str(folder)]
            call(words, timeout=MAKING)
        return folder

    # -- servers --------------------------------------------------------------------------------------------

    def contestant(self, label: str, data: Path, *, many: bool = False, **env: str) -> Contestant:
        """Return a server on *data*, not started; the same folder and port each time that it is asked for."""
        name = f"{label}-{data.name}{'-many' if many else ''}"
        port = self._ports.setdefault(name, self.port + PORTS * len(self._ports))
        settings = {"SERVER_CPU": self.load.server_cpu, "MANY": str(int(many)), "JOBS": str(self.jobs), **env}
        homes = int((data / "meta").read_text().split()[0])
        found = Contestant(
            label, self.work / name, port, data, self.load.harness, self.ddns, settings,
            STARTING + homes * IMPORTING / 1000,
        )  # fmt: skip
        return self.up.setdefault(name, found)

    def next_port(self) -> int:
        """Return the first of fifty ports that no contestant has."""
        return self.port + 500

    def start(self, who: Contestant, row: str) -> dict[str, float] | None:
        """Start a server; None where it cannot be, which the results then say."""
        say(f"starting {who.name} on {who.data.name}, port {who.port}")
        try:
            return who.start()
        except CannotMeasure as error:
            self.results.failed(row, who.label, str(error))
            say(f"  {error}")
            return None

    def field(self, labels: Iterable[str], row: str) -> list[Contestant]:
        """Return those of *labels* that run on the first data, starting whoever does not run yet."""
        data = self.first_data()
        found = []
        for label in labels:
            who = self.contestant(label, data)
            if who.pid_file.exists() or self.start(who, row) is not None:
                found.append(who)
        return found

    def stop(self, but: Iterable[Contestant] = ()) -> None:
        """Stop all servers but some: what is measured alone shall be alone."""
        for who in self.up.values():
            if who not in but:
                who.stop()


def say(text: str) -> None:
    print(text, flush=True)
