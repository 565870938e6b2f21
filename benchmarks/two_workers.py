#!/usr/bin/env python3
"""How much more two workers do than one, the load counted out: two_workers.py WORKDIR DATADIR [--questions FILE] ...

The load would share the two cores with the workers, and who measures it measures mostly that. So it does not run at
the same time: while the workers are stopped (SIGSTOP), a burst of questions is put into their receive buffers; then
they go on, and nobody else does anything until all is answered. The kernel says when each answer arrived
(SO_TIMESTAMPNS). A server with one worker on one core and a server with two workers on two cores take turns; the
latter gets twice as many questions in a burst, so that each worker has as many.

Printed are for each the questions a second (median of the bursts, and quartiles), and those in a CPU second of the
busiest worker, which is what it could do if nobody else used its core; then the ratios of two workers to one.

It starts both servers with `start_ours.sh WORKDIR/1 PORT` and `WORKDIR/2 PORT+10`, and ends them. DATADIR is as there;
each line of FILE (its q_hot.txt) is a name and a type. On a machine that others use only the second ratio counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import processes

from ddns.dns import names
from ddns.dns.codes import CLASS_IN, Type

HERE = Path(__file__).parent
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
BUFFER = 4 << 20  # octets of receive buffer of each client; the kernel may give less
SILENCE = 0.03  # seconds without a new answer after which a burst is over
LEAST = 8e-6  # seconds for a question before it is looked whether all are answered
WARM = 8  # bursts before it counts: a worker remembers what it is asked
LONGEST = 5.0  # seconds for a burst
ENDS = 20.0  # seconds for a server's end
STAMP = struct.Struct("qq")
OPT_DO = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"


class Clients:
    """Sockets that ask a server's port and keep when each answer came."""

    def __init__(self, port: int, number: int) -> None:
        self._socks = []
        for _ in range(number):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.setblocking(False)
            sock.connect(("127.0.0.1", port))
            self._socks.append(sock)

    def ask(self, questions: list[bytes]) -> None:
        """Send *questions*, one socket after the other."""
        for at, question in enumerate(questions):
            self._socks[at % len(self._socks)].send(question)

    def answers(self) -> list[int]:
        """Return when what has come did so, in nanoseconds since 1970."""
        out = []
        for sock in self._socks:
            while True:
                try:
                    _, control, _, _ = sock.recvmsg(4096, 64)
                except BlockingIOError:
                    break
                seconds, nanoseconds = STAMP.unpack(control[0][2][: STAMP.size])
                out.append(seconds * 1_000_000_000 + nanoseconds)
        return out


class Server:
    """A server with *workers* workers, each on a core of its own."""

    def __init__(self, work: Path, port: int, data: Path, workers: int, clients: int) -> None:
        self.workers = workers
        environment = os.environ | {"WORKERS": str(workers), "SERVER_CPU": ",".join(map(str, range(workers)))}
        subprocess.run([HERE / "start_ours.sh", work, str(port), data], check=True, env=environment)
        self._parent = int((work / "pid").read_text())
        self.pids = processes.workers([self._parent])
        for number, pid in enumerate(self.pids):
            os.sched_setaffinity(pid, {number})
        self._clients = Clients(port, clients)
        self.bursts: list[dict[str, float]] = []

    def burst(self, questions: list[bytes]) -> dict[str, float]:
        """Have *questions* answered, and return how that went."""
        self._signal(signal.SIGSTOP)
        try:
            while not all(_state(pid) == "T" for pid in self.pids):
                time.sleep(0.001)
            self._clients.ask(questions)
            before = [processes.cpu([pid]) for pid in self.pids]
        finally:
            began = time.time_ns()
            self._signal(signal.SIGCONT)
        stamps: list[int] = []
        ends = time.monotonic() + LONGEST
        # Nothing of this runs while they work, but for a look now and then once they should be done.
        time.sleep(len(questions) * LEAST)
        while len(stamps) < len(questions) and time.monotonic() < ends:
            time.sleep(SILENCE)
            more = self._clients.answers()
            if not more and stamps:
                break
            stamps += more
        after = [processes.cpu([pid]) for pid in self.pids]
        used = [processes.cpu_between(one, other) for one, other in zip(before, after, strict=True)]
        if not stamps:
            raise SystemExit("two_workers: no answer at all; see serve.log")
        return {
            "lost": len(questions) - len(stamps),
            "rate": len(stamps) * 1e9 / (max(stamps) - began),
            "per_cpu_s": len(stamps) / sum(used),
            "capacity": len(stamps) / max(used),
        }

    def end(self) -> None:
        """End the server, and wait until it has ended."""
        self._signal(signal.SIGCONT)
        os.kill(self._parent, signal.SIGTERM)
        ends = time.monotonic() + ENDS
        while _state(self._parent) and time.monotonic() < ends:  # a zombie's pid would stop the next start
            time.sleep(0.1)

    def figures(self) -> dict[str, object]:
        """Return quartiles of all bursts, and the sum of what was lost."""
        out: dict[str, object] = {"workers": self.workers, "bursts": len(self.bursts)}
        for name in ("rate", "capacity", "per_cpu_s"):
            out[name] = [round(one) for one in statistics.quantiles((one[name] for one in self.bursts), n=4)]
        return out | {"lost": sum(one["lost"] for one in self.bursts)}

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            os.kill(pid, number)


def _state(pid: int) -> str:
    """Return the letter for what a process does (proc(5)); empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def questions(file: Path, number: int) -> list[bytes]:
    """Return *number* questions with DO, one for each line of *file*, over and over."""
    out = []
    with file.open() as lines:
        for ident, line in zip(range(number), itertools.cycle(lines.read().splitlines()), strict=False):
            name, rdtype = line.split()
            out.append(
                struct.pack("!6H", ident & 0xFFFF, 0, 1, 0, 0, 1)
                + names.from_text(name)
                + struct.pack("!2H", Type[rdtype], CLASS_IN)
                + OPT_DO
            )
    return out


def main() -> None:
    """Start both servers, let them take turns, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=Path, help="lines of name and type; DATADIR/q_hot.txt")
    parser.add_argument("--port", type=int, default=5480)
    parser.add_argument("--bursts", type=int, default=40, help="of each server")
    parser.add_argument(
        "--size",
        type=int,
        default=8000,
        help="questions in a burst for each worker",
    )
    parser.add_argument("--clients", type=int, default=20, help="sockets that ask")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    asked = questions(chosen.questions or chosen.data / "q_hot.txt", 2 * chosen.size)
    servers = []
    try:
        for workers in (1, 2):
            work = chosen.work / str(workers)
            servers.append(Server(work, chosen.port + 10 * workers, chosen.data, workers, chosen.clients))
        for number in range(WARM + chosen.bursts):
            for server in servers:
                burst = server.burst(asked[: chosen.size * server.workers])
                if number >= WARM:
                    server.bursts.append(burst)
    finally:
        for server in servers:
            server.end()
    found = [server.figures() for server in servers]
    ratios = {
        name: [round(ratio, 2) for ratio in statistics.quantiles(_ratios(servers, name), n=4)]
        for name in ("rate", "capacity")
    }
    if chosen.json:
        print(json.dumps({"servers": found, "ratios": ratios}))
        return
    for one in found:
        print(
            f"{one['workers']} worker(s): {one['rate'][1]:,.0f} questions/s"
            f" ({one['rate'][0]:,.0f}..{one['rate'][2]:,.0f});"
            f" {one['capacity'][1]:,.0f} in a CPU second of the busiest, {one['per_cpu_s'][1]:,.0f} of all;"
            f" lost {one['lost']}"
        )
    for name, words in (("rate", "by the clock"), ("capacity", "by CPU time of the busiest")):
        print(f"two workers / one, {words}: {ratios[name][1]:.2f} ({ratios[name][0]:.2f}..{ratios[name][2]:.2f})")


def _ratios(servers: list[Server], name: str) -> Iterator[float]:
    for one, two in zip(servers[0].bursts, servers[1].bursts, strict=True):
        yield two[name] / one[name]


if __name__ == "__main__":
    main()
