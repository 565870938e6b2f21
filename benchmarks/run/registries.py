"""The rows about whole registries: a zone per home beside one zone, beside the peers, at every size, in the storm."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import homes as home_data
import processes
from run import measures
from run.bench import Bench, say
from run.contestants import HERE, CannotMeasure, Contestant

PASS = 600.0  # seconds in which every home must have been asked for once
STORM_ENDS = 300.0  # seconds that the storm may take longer than it is told to
COLD = 400_000  # questions that count as the first ones
ALL_ASKED = 100_000  # homes, up to which all their names are asked for in that time
UPDATES = 3000  # of 32 clients
ONE_START = 10_000  # homes of a zone per home that the peers get: BIND takes five minutes to sign them


def zone_per_home(bench: Bench, row: str, count: int) -> None:
    """Ask a zone per home and one zone the same questions, at once after the start and when all has been asked for."""
    bench.stop()
    several = bench.contestant("ours", bench.homes_data(count))
    one = bench.contestant("ours-one", bench.zone_data(count), SIG0="0")
    what = f"zone per home, {count:,} homes"
    for number in range(bench.rounds):
        for who in (several, one):
            try:
                if bench.start(who, row) is None:
                    return
                asked = replace(who, data=several.data)
                cold = measures.whole_run(asked, first_questions(asked.data), PASS, bench.load, once=True)
                measures.whole_run(asked, all_names(asked.data), PASS, bench.load, once=True)
                with measures.spinning(bench.load):
                    warm = measures.ask(asked, "uniform", bench.load)["q_per_cpu_s"]
            except CannotMeasure as error:
                _failed(bench, row, who, error)
                continue
            finally:
                who.stop()
            say(f"  {number + 1}. {who.name}: cold {cold['per_cpu_s']:,.0f}, warm {warm:,.0f} a CPU second")
            bench.results.add(row, f"{what}, cold", who.label, cold["per_cpu_s"], "a CPU s")
            bench.results.add(row, f"{what}, warm", who.label, warm, "a CPU s")


def zone_per_home_seconds(bench: Bench, count: int) -> float:
    return count * 0.004 + 2 * bench.rounds * (bench.load.seconds + 25 + count / 10_000)


def first_questions(data: Path) -> Path:
    """Return a file of questions that are asked once right after a start: so many, however fast the machine is."""
    file = data / "q_cold.txt"
    if not file.exists():
        with (data / "q_uniform.txt").open() as lines, file.open("w") as out:
            out.writelines(itertools.islice(lines, COLD))
    return file


def all_names(data: Path) -> Path:
    """Return a file that asks once for all that there is, in an order that has nothing to do with the homes' names.

    Of many homes only one question each: no memory holds all their answers.
    """
    file = data / "q_each.txt"
    if not file.exists():
        count = int((data / "meta").read_text().split()[0])
        numbers = list(range(1, count + 1))
        random.Random(1).shuffle(numbers)
        kinds = 4 if count <= ALL_ASKED else 1
        with file.open("w") as out:
            for kind in range(kinds):
                out.writelines(home_data.questions(number)[kind] + "\n" for number in numbers)
    return file


def peers(bench: Bench) -> None:
    """Ten thousand small zones: what the peers do with them, and we with as many imported homes."""
    bench.stop()
    data = bench.zone_data(ONE_START)
    contestants = [bench.contestant(label, data, many=True) for label in ("bind", "knot") if label in bench.peers]
    contestants.append(bench.contestant("ours", bench.homes_data(ONE_START)))
    for who in contestants:
        ours = who.label == "ours"
        try:
            if not _started_twice(bench, "peersmany", "10,000 zones", who):
                continue
            for _ in range(bench.rounds):
                with measures.spinning(bench.load):
                    found = measures.ask(who, "uniform" if ours else "many", bench.load)
                bench.results.add("peersmany", "10,000 zones: UDP, uniform", who.label, found["q_per_cpu_s"], "a CPU s")
                found = measures.update(who, "sig0" if ours else "tsig", 32, UPDATES, bench.load, per_home=True)
                what = "10,000 zones: updates, 32 clients (ours SIG(0), others TSIG)"
                bench.results.add("peersmany", what, who.label, found["u_per_cpu_s"], "a CPU s")
        except CannotMeasure as error:
            _failed(bench, "peersmany", who, error)
        finally:
            who.stop()


def starts(bench: Bench) -> None:
    """How long each takes to its first signed answer, the first time and the next, and its memory."""
    bench.stop()
    data = bench.zone_data(100_000)
    for label in (*bench.peers, "ours"):
        who = bench.contestant(label, data, SIG0="0")
        try:
            _started_twice(bench, "start", "100,000 homes in one zone", who)
        finally:
            who.stop()


def _started_twice(bench: Bench, row: str, what: str, who: Contestant) -> bool:
    """Start, stop and start *who*, keep how long that took and its memory, and tell whether it is up."""
    if (cold := bench.start(who, row)) is None:
        return False
    who.stop()
    if (warm := bench.start(who, row)) is None:
        return False
    memory = processes.memory(processes.tree(who.pids))
    say(f"  {who.name}: first start {cold}, again {warm}, {memory:,.0f} MiB")
    seconds = [sum(found.get(name, 0.0) for name in ("load_s", "signed_after_s")) for found in (cold, warm)]
    bench.results.add(row, f"{what}: first start, s", who.label, seconds[0], "")
    bench.results.add(row, f"{what}: start, s", who.label, seconds[1], "")
    bench.results.add(row, f"{what}: memory of all processes, MiB", who.label, memory, "")
    return True


def size(bench: Bench, count: int) -> None:
    """What a registry of *count* homes costs: to import, to start, to ask, to update, in memory and on disk."""
    bench.stop()
    row, what = f"size{count}", f"{count:,} homes"
    who = bench.contestant("ours", bench.homes_data(count))

    def keep(name: str, value: float, unit: str = "") -> None:
        say(f"  {what}: {name} {value:,.4g} {unit}")
        bench.results.add(row, f"{what}: {name}", "ours", value, unit)

    try:
        fresh = not (who.folder / "loaded").exists()
        if bench.start(who, row) is None:
            return
        if fresh:
            made = json.loads((who.folder / "import.json").read_text())
            keep("import, ms a home", 1000 * made["seconds"] / max(made["made"], 1))
            keep("disk, KiB a home", 1024 * measures.disk(who.folder) / count)
        for _ in range(bench.rounds):
            who.stop()
            if (again := bench.start(who, row)) is None:
                return
            keep("ready, s", again["signed_after_s"])
            keep("memory a worker at the start, MiB", measures.worker_memory(who))
            cold = measures.whole_run(who, first_questions(who.data), PASS, bench.load, once=True)
            keep("UDP, uniform, cold", cold["per_cpu_s"], "a CPU s")
        measures.whole_run(who, all_names(who.data), PASS, bench.load, once=True)
        for _ in range(bench.rounds):
            for mode, name in (("uniform", "uniform, warm"), ("zipf", "Zipf"), ("nxs", "NXDOMAIN spread")):
                with measures.spinning(bench.load):
                    found = measures.ask(who, mode, bench.load)
                keep(f"UDP, {name}", found["q_per_cpu_s"], "a CPU s")
            found = measures.update(who, "sig0", 32, UPDATES, bench.load, per_home=True)
            keep("SIG(0) updates, 32 clients", found["u_per_cpu_s"], "a CPU s")
            keep("SIG(0) updates, 32 clients, p99 ms", found["p99_ms"])
        keep("memory a worker, MiB", measures.worker_memory(who))
    except CannotMeasure as error:
        _failed(bench, row, who, error)
    finally:
        who.stop()


def size_seconds(bench: Bench, count: int) -> float:
    made = (bench.work / f"ours-homes-{count}" / "loaded").exists()
    return (0 if made else count * 0.002) + count / 20_000 + bench.rounds * (4 * (bench.load.seconds + 2) + 20)


def storm(bench: Bench) -> None:
    """Have `benchmarks/storm` come over a registry."""
    bench.stop()
    count, minutes, workers, cpus = bench.storm
    who = bench.contestant("ours", bench.homes_data(count))
    who = replace(who, env=who.env | {"SERVER_CPU": cpus, "WORKERS": str(workers)})
    try:
        if bench.start(who, "storm") is not None:
            _keep_storm(bench, _storm(bench, who, count, minutes))
    except CannotMeasure as error:
        _failed(bench, "storm", who, error)
    finally:
        who.stop()


def _storm(bench: Bench, who: Contestant, count: int, minutes: float) -> dict[str, Any]:
    """Return the figures of the storm, which tells of its progress itself. Raises `CannotMeasure`."""
    out = bench.load.scratch / "storm.jsonl"
    out.unlink(missing_ok=True)
    words = [sys.executable, str(HERE / "storm"), "--server", f"127.0.0.1:{who.port}", "--homes", str(count)]
    words += ["--minutes", str(minutes), "--pids", f"@{who.pid_file}", "--load-cpus", bench.load.load_cpu]
    try:
        subprocess.run(
            [*words, "--json", str(out)], timeout=60 * minutes + STORM_ENDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise CannotMeasure("the storm did not end") from None
    if not out.exists():
        raise CannotMeasure("the storm printed no figures")
    return json.loads(out.read_text())


def _keep_storm(bench: Bench, found: dict[str, Any]) -> None:
    questions = found["questions"]
    for name, value in (
        ("good updates in time, %", found["good_pct"]),
        ("updates p50, ms", found["updates"]["p50_ms"]),
        ("updates p99, ms", found["updates"]["p99_ms"]),
        ("questions p50, ms", questions["p50_ms"]),
        ("questions p99, ms", questions["p99_ms"]),
        ("questions lost, %", 100 * questions["lost"] / max(questions["asked"], 1)),
        ("server's CPU, cores", found["server_cpu_s"] / max(found["took_s"], 0.1)),
    ):
        bench.results.add("storm", f"storm: {name}", "ours", value, "", whole=found)


def _failed(bench: Bench, row: str, who: Contestant, error: CannotMeasure) -> None:
    bench.results.failed(row, who.label, str(error))
    say(f"  {who.name}: {error}")
