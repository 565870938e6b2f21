"""One measurement each: what goes in is a running server, what comes out is a number per CPU second of its processes.

The harness' own scripts do the asking and updating; what they cannot do (a first pass over all names, memory) is here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import processes
from run.contestants import CannotMeasure, Contestant, call

SLACK = 60.0  # seconds that a script may take longer than it was told to
MOST_UPDATING = 20  # seconds
_ANSWERED = re.compile(r"Queries completed:\s+(\d+)")


@dataclass(frozen=True)
class Load:
    """How to measure: where the harness is, for how many *seconds*, and on which CPUs server and load run."""

    harness: Path
    seconds: float
    server_cpu: str
    load_cpu: str
    scratch: Path


def _harness(load: Load, script: str, words: list[str], timeout: float) -> list[dict[str, Any]]:
    """Return the JSON lines that a script of the harness wrote. Raises `CannotMeasure`."""
    out = load.scratch / "measured.jsonl"
    out.unlink(missing_ok=True)
    call([sys.executable, str(load.harness / script), *words, "--json", str(out)], timeout=timeout + SLACK)
    if not out.exists():
        raise CannotMeasure(f"{script} wrote nothing")
    return [json.loads(line) for line in out.read_text().splitlines()]


@contextlib.contextmanager
def spinning(load: Load) -> Iterator[None]:
    """Have a busy loop share the server's CPU, so that a load that is hardly faster than the server saturates it."""
    words = ["taskset", "-c", load.server_cpu, "sh", "-c", "while :; do :; done"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as loop:
        try:
            yield
        finally:
            loop.kill()


def ask(who: Contestant, mode: str, load: Load) -> dict[str, Any]:
    """Return what bench_query.py measures in *mode*, which names a query file or is `tcp` or `dot`."""
    words = ["--label", who.label, "--port", str(who.port), "--pids", f"@{who.pid_file}", "--data", str(who.data)]
    words += ["--modes", mode, "--dur", str(load.seconds), "--repeat", "1", "--gen-cpu", load.load_cpu]
    (found,) = _harness(load, "bench_query.py", words, load.seconds)
    if not found["q_per_cpu_s"] or found["qps"] != found["qps"]:
        raise CannotMeasure(f"nothing was answered: {found}")
    return found


def update(who: Contestant, auth: str, clients: int, count: int, load: Load, *, per_home: bool) -> dict[str, Any]:
    """Return what bench_update.py measures of *count* updates; a wrong record afterwards is an error."""
    homes = (who.data / "meta").read_text().split()[0]
    words = ["--label", who.label, "--port", str(who.port), "--pids", f"@{who.pid_file}", "--homes", homes]
    words += ["--auth", auth, "--concurrency", str(clients), "--count", str(min(count, int(homes)))]
    words += ["--max-seconds", str(MOST_UPDATING), "--gen-cpu", load.load_cpu]
    (found,) = _harness(load, "bench_update.py", [*words, *(["--per-home-zone"] if per_home else [])], MOST_UPDATING)
    if found["bad"] or not found["checked"] or not found["u_per_cpu_s"]:
        raise CannotMeasure(f"updates were not confirmed, or not served afterwards: {found}")
    return found


def visible(who: Contestant, auth: str, count: int, load: Load, *, per_home: bool) -> dict[str, Any]:
    """Return what bench_visible.py measures: from sending an update to the first signed answer that has it."""
    homes = (who.data / "meta").read_text().split()[0]
    words = ["--label", who.label, "--port", str(who.port), "--homes", homes, "--count", str(count)]
    words += ["--auth", auth, "--gen-cpu", load.load_cpu, "--give-up", "10"]
    (found,) = _harness(load, "bench_visible.py", [*words, *(["--per-home-zone"] if per_home else [])], count * 0.5)
    if found["fails"]:
        raise CannotMeasure(f"{found['fails']} updates failed")
    return found


def whole_run(who: Contestant, questions: Path, seconds: float, load: Load, *, once: bool = False) -> dict[str, float]:
    """Return answers, CPU seconds and answers per CPU second of a run of dnsperf from its first question to its last.

    With *once* each line of *questions* is asked once, however long that takes, up to *seconds*.
    """
    words = ["taskset", "-c", load.load_cpu, "dnsperf", "-s", "127.0.0.1", "-p", str(who.port), "-d", str(questions)]
    words += ["-D", "-c", "20", "-q", "100", "-T", "1", "-t", "2", "-l", str(seconds), *(["-n", "1"] if once else [])]
    before = processes.cpu(who.pids)
    began = time.monotonic()
    said = call(words, timeout=seconds + SLACK)
    took = time.monotonic() - began
    used = processes.cpu_between(before, processes.cpu(who.pids))
    found = _ANSWERED.search(said)
    if found is None or not int(found[1]) or used < 0.01:
        raise CannotMeasure(f"dnsperf: {said.strip()[-300:]}")
    answered = int(found[1])
    return {"answered": answered, "seconds": took, "cpu_s": used, "per_cpu_s": answered / used}


def worker_memory(who: Contestant) -> float:
    """Return the MiB of our largest worker, what it shares with others divided among them."""
    found = processes.workers(who.pids)
    if not found:
        raise CannotMeasure(f"{who.name} has no worker")
    return max(processes.memory([pid]) for pid in found)


def disk(folder: Path) -> float:
    """Return the MiB of all files below *folder*."""
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_blocks * 512
    return total / 2**20
