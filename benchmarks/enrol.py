#!/usr/bin/env python3
"""How many homes a second come to be by each way, and at what cost: enrol.py [--homes 400] [--clients 16] [WAY...].

A registry of its own is started (`ddns serve --web --devices`, one worker, one desk, the embedded Postgres on this
disk, signed with NSEC), and homes come to be by

  import    `ddns home import` of JSON lines, 400 a commit
  csv       the same of a file with commas
  update    a gateway's UPDATE over TCP, signed with its invitation (RFC 2136, RFC 8945)
  https     a statement with the invitation's signature, POST /v1/enrol, each over a TLS connection of its own
  owner     the same with the signature of an owner whom nobody knows yet
  qr        the same with what the key that is printed on the box has signed, in place of an invitation
  voucher   a box with its maker's certificate: POST requestvoucher, which asks the maker's server, and then EST
  attested  a statement with the token of a verifier about the gateway's key

so many clients at once, whose own work does not count, nor a maker's server. Printed are homes a second, and
milliseconds of CPU a home of the whole registry and of its parts; how long questions took meanwhile, and without (200 a
second over UDP, which the worker answers); then what that makes of a million homes. Keys, statements and updates are
made, and nonces had, before the clock runs. On a machine that others use only the CPU counts.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import processes
from own_registry import PARTS, Registry
from ways import IN_BULK, ONE_BY_ONE, Deed

MILLION = 1_000_000
YEARS = 10  # that a box lives
HOUR = 3600
RATE = 200  # questions a second
QUIET = 5  # seconds of questions alone
WAYS = (*IN_BULK, *ONE_BY_ONE)
COLUMNS = ("homes/s", "CPU ms", *PARTS, "others", "p50 ms", "p99 ms")

Cpu = dict[str, dict[int, int]]


def at_once(clients: int, deeds: Sequence[Deed]) -> None:
    """Have *clients* threads do all of *deeds*."""
    waiting: Iterator[Deed] = iter(deeds)
    lock = threading.Lock()
    faults: list[BaseException] = []

    def run() -> None:
        while not faults:
            with lock:
                one = next(waiting, None)
            if one is None:
                return
            try:
                one()
            except BaseException as error:  # noqa: BLE001 - told below, by the thread that measures
                faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


@contextmanager
def asked(registry: Registry) -> Iterator[dict[str, float]]:
    """Ask questions meanwhile; what is yielded says afterwards how long they took."""
    words = [sys.executable, str(Path(__file__).parent / "asker.py"), str(registry.dns), str(RATE)]
    found: dict[str, float] = {}
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield found
        out, _ = process.communicate("\n")
    found.update(json.loads(out))


def measured(
    registry: Registry, way: str, number: int, clients: int
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Make *number* homes; return how many a second, each part's milliseconds of CPU a home, and the questions'."""
    labels = [f"{way}-{secrets.token_hex(5)}" for _ in range(number)]
    deeds = [IN_BULK[way](registry, labels)] if way in IN_BULK else ONE_BY_ONE[way](registry, labels)
    before, began, own = registry.cpu(), time.monotonic(), os.times()
    with asked(registry) as questions:
        at_once(clients, deeds)
        took, now, after = time.monotonic() - began, os.times(), registry.cpu()
    parts = {part: processes.cpu_between(before[part], after[part]) * 1000 / number for part in before}
    if way in IN_BULK:
        used = now.children_user + now.children_system - own.children_user - own.children_system
        parts["others"] += used * 1000 / number
    return number / took, parts, questions


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
    parser.add_argument("--at-once", type=int, help="what `[enrol] at_once` is to be; 1: each home has its own commit")
    parser.add_argument("ways", nargs="*", metavar="WAY")
    given = parser.parse_args()
    ways = given.ways or WAYS
    if unknown := set(ways) - set(WAYS):
        parser.error(f"no such way: {', '.join(sorted(unknown))}; choose from {', '.join(WAYS)}")
    with Registry(f"[enrol]\nat_once = {given.at_once}\n" if given.at_once else "") as registry:
        measured(registry, "owner", 20, 4)  # so that all programs have done it once
        with asked(registry) as alone:
            time.sleep(QUIET)
        print(f"{'way':9}" + "".join(f"{column:>10}" for column in COLUMNS))
        print(f"{'(none)':9}" + " " * 70 + f"{alone['p50_ms']:10.1f}{alone['p99_ms']:10.1f}", flush=True)
        for way in ways:
            octets, homes = registry.size()
            rate, parts, questions = measured(registry, way, given.homes, given.clients)
            later, more = registry.size()
            cost = sum(parts.values())
            figures = [rate, cost, *(parts[part] for part in (*PARTS, "others"))]
            figures += [questions["p50_ms"], questions["p99_ms"]]
            print(f"{way:9}" + "".join(f"{figure:10.2f}" for figure in figures))
            told(way, rate, cost, (later - octets) / max(1, more - homes))


if __name__ == "__main__":
    main()
