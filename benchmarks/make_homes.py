"""Write the import file of N homes, and questions about them for dnsperf: make_homes.py N --out DIR.

DIR gets

  homes.jsonl    what `ddns home import` reads: one JSON object a line with label, key and records
  registry.zone  the registry's own zone, still without homes
  q_hot.txt      250 homes' four questions each
  q_uniform.txt  questions about all homes alike
  q_zipf.txt     the same, the k-th most wanted home asked for 1/k as often as the first
  q_nx.txt       names that do not exist and sort before the first home
  q_nxs.txt      the same spread among the homes: the denying record differs from question to question
  q_nxh.txt      names that do not exist inside homes
  meta, tsig.*   what benchmarks/start_ours.sh and the comparison harness read

A million homes take about a minute on one core and 330 MB of disk; memory does not grow with N.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path

import homes

CHUNK = 1000  # lines that one task makes: some 330 kB
AHEAD = 4  # tasks per process that may be under way or wait to be written
HOT = 250  # homes in q_hot.txt

Task = tuple[int, int, int]  # the number of homes, the first line, the number of lines


def zipf(dice: random.Random, count: int) -> int:
    """Return a number from 1 to *count*, k about 1/k as often as 1."""
    return min(int((count + 1) ** dice.random()), count)


def by_rank(rank: int, count: int) -> int:
    """Return the home that is the *rank*-th most wanted of *count*: neighbours in rank are far apart in name."""
    return rank * 2_654_435_761 % count + 1


def import_lines(task: Task) -> str:
    _, first, size = task
    out = []
    for number in range(first + 1, first + size + 1):
        line = {"label": homes.label(number), "key": homes.key_text(number), "records": homes.records(number)}
        out.append(json.dumps(line, separators=(",", ":")))
    return "\n".join(out) + "\n"


def _asking(task: Task, line: Callable[[random.Random, int], str]) -> str:
    count, first, size = task
    dice = random.Random(first)
    return "".join(line(dice, count) + "\n" for _ in range(size))


def uniform_lines(task: Task) -> str:
    return _asking(task, lambda dice, count: dice.choice(homes.questions(dice.randint(1, count))))


def zipf_lines(task: Task) -> str:
    return _asking(task, lambda dice, count: dice.choice(homes.questions(by_rank(zipf(dice, count), count))))


def nx_lines(task: Task) -> str:
    origin = homes.ORIGIN.rstrip(".")
    return _asking(task, lambda dice, _: f"{dice.getrandbits(64):016x}.{origin} A")


def nx_spread_lines(task: Task) -> str:
    origin = homes.ORIGIN.rstrip(".")
    return _asking(
        task, lambda dice, count: f"{homes.label(dice.randint(1, count))}-{dice.getrandbits(48):012x}.{origin} A"
    )


def nx_inside_lines(task: Task) -> str:
    origin = homes.ORIGIN.rstrip(".")
    return _asking(
        task, lambda dice, count: f"{dice.getrandbits(48):012x}.{homes.label(dice.randint(1, count))}.{origin} A"
    )


def in_order(pool: Pool, work: Callable[[Task], str], tasks: Iterator[Task], ahead: int) -> Iterator[str]:
    """Yield what *work* makes of each task, in their order, with at most *ahead* of them not yet taken."""
    waiting: deque[AsyncResult[str]] = deque()
    for task in tasks:
        waiting.append(pool.apply_async(work, (task,)))
        if len(waiting) >= ahead:
            yield waiting.popleft().get()
    while waiting:
        yield waiting.popleft().get()


def tasks(count: int, lines: int) -> Iterator[Task]:
    for first in range(0, lines, CHUNK):
        yield count, first, min(CHUNK, lines - first)


def write(path: Path, pieces: Iterator[str], lines: int) -> None:
    """Write *pieces* to *path*, which is whole or absent afterwards, and say how far it is."""
    fresh = path.with_name(path.name + ".new")
    began = said = time.monotonic()
    done = 0
    with fresh.open("w", encoding="ascii") as file:
        for piece in pieces:
            file.write(piece)
            done = min(done + CHUNK, lines)
            if time.monotonic() - said > 5:
                said = time.monotonic()
                print(f"{path.name}: {done:,} of {lines:,} lines", file=sys.stderr, flush=True)
    fresh.replace(path)
    print(f"{path}: {lines:,} lines, {path.stat().st_size / 1e6:.0f} MB, {time.monotonic() - began:.1f} s")


def small_files(out: Path, count: int) -> None:
    """Write what does not grow with the number of homes."""
    (out / "registry.zone").write_text(
        f"$ORIGIN {homes.ORIGIN}\n$TTL 300\n@ 3600 SOA ns1 hostmaster 1 7200 3600 1209600 300\n"
        "@ 3600 NS ns1\n@ 3600 NS ns2\nns1 3600 A 127.0.0.1\nns2 3600 A 127.0.0.1\n"
    )
    (out / "meta").write_text(f"{count} {homes.ORIGIN}\n")
    key = homes.TSIG_NAME.rstrip(".")
    (out / "tsig.bind").write_text(f'key "{key}" {{ algorithm hmac-sha256; secret "{homes.TSIG_SECRET}"; }};\n')
    (out / "tsig.name").write_text(homes.TSIG_NAME + "\n")
    (out / "tsig.secret").write_text(homes.TSIG_SECRET + "\n")
    dice = random.Random(1)
    hot = [line for _ in range(min(HOT, count)) for line in homes.questions(dice.randint(1, count))]
    dice.shuffle(hot)
    (out / "q_hot.txt").write_text("\n".join(hot) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("homes", type=int, metavar="N")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--queries", type=int, help="lines of q_uniform and q_zipf; N, and 400,000 at least")
    parser.add_argument("--nx", type=int, default=1_500_000, help="lines of each file of names that do not exist")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    o = parser.parse_args()
    if o.homes < 1 or o.jobs < 1:
        parser.error("N and --jobs are 1 or more")
    o.out.mkdir(parents=True, exist_ok=True)
    queries = o.queries or max(o.homes, 400_000)
    files = (
        ("homes.jsonl", import_lines, o.homes),
        ("q_uniform.txt", uniform_lines, queries),
        ("q_zipf.txt", zipf_lines, queries),
        ("q_nx.txt", nx_lines, o.nx),
        ("q_nxs.txt", nx_spread_lines, o.nx),
        ("q_nxh.txt", nx_inside_lines, o.nx),
    )
    small_files(o.out, o.homes)
    with multiprocessing.Pool(o.jobs) as pool, contextlib.suppress(KeyboardInterrupt):
        for name, work, lines in files:
            write(o.out / name, in_order(pool, work, tasks(o.homes, lines), AHEAD * o.jobs), lines)
        return
    sys.exit(130)


if __name__ == "__main__":
    main()
