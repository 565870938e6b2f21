"""A country's gateways come back after a power cut: python benchmarks/storm --server 127.0.0.1:PORT --homes N.

N homes, each a zone of its own as `make_homes.py` makes them, send their new addresses within --minutes, signed with
their own keys by SIG(0), each from an address that the server has not seen, while resolvers ask --questions a second.
The gateways follow the agent's own rules. One in a hundred has a clock that says 1970 and must first be told the time,
one has a wrong key and must be refused. --rate is how many come a second; what it leaves of N stays away.

All messages and questions are made, and the messages signed, before it begins. Then there are two processes on
--load-cpus: the gateways and the resolvers, who send and hear many datagrams in one system call. Prints how many good
updates were confirmed in time, how long they and the answers took, what was lost, and the CPU time of the server's
processes (--pids) and of the load. A million homes and ten minutes need 2 GiB. Nothing is left behind; the homes keep
the addresses.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import processes
from latency import Latencies
from storm import check, presign, resolvers
from storm.gateways import Gateways
from storm.presign import CLOCK, GOOD, KEY, Message

LEAD = 1.0  # seconds from now to the start
MADE = 10_000.0  # messages and questions that are made in a second, roughly: signatures are good for minutes
SPARE = 0.98  # part of the time in which the homes come, so that the last one too has time to be done
TELL = 10.0  # seconds between two lines
ENDING = 15.0  # seconds that the helpers get to end


class Teller:
    """Says once in a while how things stand."""

    def __init__(self, gateways: Gateways, pipe: Connection, start: float, every: float) -> None:
        self._gateways, self._pipe, self._start, self._every = gateways, pipe, start, every
        self._next = start + every
        self.last: object = None
        self._asked = False
        print("    s     begun      done   open  again   p50 / p99 ms   questions   p50 / p99 ms", flush=True)

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self.last is None:  # nobody waits for the resolvers: they say it when they look
            if not self._asked:
                self._asked = True
                with contextlib.suppress(OSError):
                    self._pipe.send(True)
            if not self._pipe.poll():
                return
        asked, since = self._resolvers()
        self._asked = False
        self._next = max(self._next + self._every, now)
        gateways = self._gateways
        print(
            f"{now - self._start:5.0f} {sum(gateways.begun.values()):9,} {sum(gateways.done.values()):9,} "
            f"{gateways.open:6,} {gateways.again:6,} {_pair(gateways.since):>14} {asked:11,} {_pair(since):>14}",
            flush=True,
        )
        gateways.since = Latencies()

    def _resolvers(self) -> tuple[int, Latencies]:
        with contextlib.suppress(OSError, EOFError):
            if self.last is None:
                found = self._pipe.recv()
                if found is not None:
                    return found
                self.last = self._pipe.recv()
        return 0, Latencies()


def _pair(waits: Latencies) -> str:
    return f"{1000 * waits.at(0.5):.1f} / {1000 * waits.at(0.99):.1f}" if waits.number else "-"


def storm(o: argparse.Namespace) -> dict[str, object]:
    """Have the storm, and return its figures."""
    seconds = 60 * o.minutes
    rate = o.rate or o.homes / (SPARE * seconds)
    take = min(o.homes, int(rate * seconds * SPARE))
    host, _, port = o.server.rpartition(":")
    server = (host, int(port))
    generation = int(time.time()) & 0xFFFF
    cpus = {int(cpu) for cpu in o.load_cpus.split(",")} & os.sched_getaffinity(0) or os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    asking = (theirs, server, o.homes, o.questions, (o.warm, seconds), cpus)
    helper = context.Process(target=resolvers.run, args=asking)
    print(f"{take:,} of {o.homes:,} homes come back, {rate:,.0f} a second; {o.questions:,.0f} questions a second")
    helper.start()
    messages = _messages(context, o, take, rate, generation, cpus)
    ours.recv()
    if o.warm:
        print(f"{o.warm:,.0f} s of questions before it begins", flush=True)
    ours.send(time.monotonic())
    ours.recv()
    ours.recv()
    gc.freeze()
    start = time.monotonic() + LEAD
    ours.send(start)
    gateways = Gateways(server, generation, hard - 200)
    teller = Teller(gateways, ours, start, min(TELL, seconds / 4))
    try:
        time.sleep(max(0.0, start - time.monotonic()))
        before, own = processes.cpu(o.pids), time.process_time()
        took = gateways.run(messages, start, seconds, teller)
        in_time = {kind: gateways.done[kind] for kind in (GOOD, CLOCK, KEY)}
        used, own = processes.cpu_between(before, processes.cpu(o.pids)), time.process_time() - own
        asked = _last(teller, ours, start + seconds)
    finally:
        gateways.close()
        helper.terminate()
        helper.join(ENDING)
    faults = [text for number in gateways.sample if (text := check.fault(server, number, generation))]
    kinds = Counter(kind for _, _, kind, _ in messages)
    expected = [kinds[kind] for kind in range(3)]
    waits = asked.pop("waits")
    assert isinstance(waits, Latencies)
    return {
        "label": "storm", "homes": o.homes, "minutes": o.minutes, "rate": round(rate, 1), "took_s": round(took, 1),
        "good": expected[GOOD], "good_done": in_time[GOOD], "clocks": expected[CLOCK], "clocks_done": in_time[CLOCK],
        "good_pct": round(100 * (in_time[GOOD] + in_time[CLOCK]) / max(expected[GOOD] + expected[CLOCK], 1), 3),
        "wrong_keys": expected[KEY], "wrong_keys_done": in_time[KEY], "refused": dict(gateways.refused),
        "updates": gateways.waits.summary(), "again": gateways.again, "by_tcp": gateways.streams,
        "later": gateways.later, "signed_anew": gateways.signed_anew, "most_open": gateways.most_open,
        "unproved_time": gateways.unproved_time, "held_back": gateways.held_back,
        "behind_ms": round(1000 * gateways.behind, 1), "questions": {**asked, **waits.summary()},
        "server_cpu_s": round(used, 2), "gateways_cpu_s": round(own, 2),
        "checked": len(gateways.sample), "faults": len(faults), "first_fault": faults[0] if faults else "",
    }  # fmt: skip


def _messages(
    context: SpawnContext, o: argparse.Namespace, take: int, rate: float, generation: int, cpus: set[int]
) -> list[Message]:
    """Return all messages in the order in which they are due, signed for about then."""
    begun = int(time.time() + o.warm + LEAD + take / (MADE * len(cpus)))
    tasks = presign.tasks(o.homes, take, rate, generation, begun)
    out: list[Message] = []
    with context.Pool(len(cpus), os.sched_setaffinity, (0, cpus)) as pool:
        for piece in pool.imap(presign.make, tasks):
            out += piece
    return out


def _last(teller: Teller, pipe: Connection, end: float) -> dict[str, object]:
    """Return the resolvers' figures once they have asked all, which they do to the end of the time."""
    with contextlib.suppress(EOFError, OSError):
        while teller.last is None and pipe.poll(max(end - time.monotonic(), 0) + ENDING):
            if pipe.recv() is None:
                teller.last = pipe.recv()
    if not isinstance(teller.last, dict):
        return {"asked": 0, "answered": 0, "lost": 0, "failed": 0, "waits": Latencies(), "cpu_s": 0.0}
    return teller.last


def lines(found: dict[str, object]) -> str:
    """Return the figures for people."""
    updates, questions = found["updates"], found["questions"]
    assert isinstance(updates, dict)
    assert isinstance(questions, dict)
    seconds = float(str(found["took_s"])) or 1.0
    lost = 100 * questions["lost"] / max(questions["asked"], 1)
    return "\n".join(
        (
            (
                f"good updates confirmed in time: {found['good_done']:,} of {found['good']:,}, "
                f"after a wrong clock {found['clocks_done']:,} of {found['clocks']:,}: {found['good_pct']} %"
            ),
            (
                f"  p50 {updates['p50_ms']} ms, p99 {updates['p99_ms']} ms, longest {updates['max_ms']} ms; "
                f"sent again {found['again']:,}, by TCP {found['by_tcp']:,}, told to wait {found['later']:,}, "
                f"most at a time {found['most_open']:,}"
            ),
            f"wrong keys accepted: {found['wrong_keys_done']} of {found['wrong_keys']}; refused: {found['refused']}",
            (
                f"questions answered: {questions['answered']:,} of {questions['asked']:,} (lost {lost:.3f} %, "
                f"failed {questions['failed']:,}), p50 {questions['p50_ms']} ms, p99 {questions['p99_ms']} ms, "
                f"p99.9 {questions['p999_ms']} ms"
            ),
            (
                f"CPU: server {float(str(found['server_cpu_s'])) / seconds:.2f} of a core; load: gateways "
                f"{float(str(found['gateways_cpu_s'])) / seconds:.2f}, resolvers {questions['cpu_s'] / seconds:.2f}; "
                f"the load was {found['behind_ms']} ms late at most"
            ),
            f"looked up afterwards: {found['checked']} homes, {found['faults']} wrong {found['first_fault']}",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1:5300", metavar="ADDRESS:PORT")
    parser.add_argument("--homes", type=int, required=True, metavar="N", help="homes that the server has")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, help="homes a second (default: all of them within the time)")
    parser.add_argument("--questions", type=float, default=20_000.0, metavar="A_SECOND")
    parser.add_argument("--warm", type=float, default=60.0, help="seconds of questions before the storm (default: 60)")
    parser.add_argument("--pids", type=processes.read_pids, default=[], help="the server's: 12,34 or @FILE")
    parser.add_argument("--load-cpus", default="1", help="where the load runs (default: 1)")
    parser.add_argument("--json", type=Path, help="a file that gets the figures as one more line")
    o = parser.parse_args()
    if o.homes < 1 or o.minutes <= 0 or (o.rate is not None and o.rate <= 0) or min(o.questions, o.warm) < 0:
        parser.error("N, --minutes and --rate are more than 0")
    found = storm(o)
    print(lines(found))
    if o.json:
        with o.json.open("a") as file:
            file.write(json.dumps(found) + "\n")
    sys.exit(1 if found["faults"] or found["wrong_keys_done"] else 0)


if __name__ == "__main__":
    main()
