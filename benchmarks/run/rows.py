"""The rows of the issue's table, each with what measures it and how long that takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from run import measures, registries
from run.bench import Bench, say
from run.contestants import HERE, CannotMeasure, Contestant, call

MANY_UPDATES = 3000  # of 32 clients
FEW_UPDATES = 500  # of one
VISIBLE = 150  # updates whose way to the answer is measured
START = 10.0  # seconds for which each server's first start is accounted in estimates
WORKERS = 300.0  # seconds for both starts and all bursts
FLAMES = 180.0  # seconds in which one must be drawn
ALL = ("bind", "knot", "nsd", "ours", "ours-pure")


@dataclass(frozen=True)
class Row:
    """One row: *run* measures it, *seconds* guesses how long that takes."""

    id: str
    title: str
    run: Callable[[Bench], None]
    seconds: Callable[[Bench], float]


def _present(bench: Bench, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if label.startswith("ours") or label in bench.peers)


def _each(bench: Bench, row: str, labels: tuple[str, ...], measure: Callable[[Contestant, int], None]) -> None:
    """Have all *labels* take turns, so that the machine's noise hits all alike."""
    contestants = bench.field(_present(bench, labels), row)
    for number in range(bench.rounds):
        for who in contestants:
            try:
                measure(who, number)
            except CannotMeasure as error:
                bench.results.failed(row, who.label, str(error))
                say(f"  {who.name}: {error}")


def question_row(mode: str, title: str, labels: tuple[str, ...]) -> Row:
    def run(bench: Bench) -> None:
        def measure(who: Contestant, number: int) -> None:
            with measures.spinning(bench.load):
                found = measures.ask(who, mode, bench.load)
            value = found["q_per_cpu_s"]
            say(f"  {number + 1}. {who.name}: {value:,.0f} a CPU second")
            bench.results.add(mode, title, who.label, value, "a CPU s", qps=found["qps"], lost_pct=found["lost_pct"])

        _each(bench, mode, labels, measure)

    def seconds(bench: Bench) -> float:
        return len(_present(bench, labels)) * (bench.rounds * (bench.load.seconds + 2) + START)

    return Row(mode, title, run, seconds)


def update_row(name: str, auth: str, clients: int, labels: tuple[str, ...]) -> Row:
    title = f"{'SIG(0)' if auth == 'sig0' else 'TSIG'} updates, {clients} client{'s' if clients > 1 else ''}"
    count = MANY_UPDATES if clients > 1 else FEW_UPDATES

    def run(bench: Bench) -> None:
        def measure(who: Contestant, number: int) -> None:
            found = measures.update(who, auth, clients, count, bench.load, per_home=False)
            value, rate = found["u_per_cpu_s"], found["ups"]
            p50, p99 = found["p50_ms"], found["p99_ms"]
            say(f"  {number + 1}. {who.name}: {value:,.0f} a CPU second, {rate:,.0f} a second, p99 {p99} ms")
            bench.results.add(name, title, who.label, value, "a CPU s", p50_ms=p50, p99_ms=p99)
            bench.results.add(name, f"{title}, a second", who.label, rate, "")

        _each(bench, name, labels, measure)

    def seconds(bench: Bench) -> float:
        return len(_present(bench, labels)) * bench.rounds * 10

    return Row(name, title, run, seconds)


def _visible(bench: Bench) -> None:
    def measure(who: Contestant, number: int) -> None:
        found = measures.visible(who, "tsig", VISIBLE, bench.load, per_home=False)
        say(f"  {number + 1}. {who.name}: p50 {found['visible_p50_ms']} ms, p99 {found['visible_p99_ms']} ms")
        for part in ("p50", "p99"):
            bench.results.add("visible", f"update to visible, {part} ms", who.label, found[f"visible_{part}_ms"], "")

    _each(bench, "visible", ("bind", "knot", "ours"), measure)


def _workers(bench: Bench) -> None:
    """Compare two workers on two cores with one on one; the load does not run while they do."""
    bench.stop()
    words = [sys.executable, str(HERE / "two_workers.py"), str(bench.work / "two-workers"), str(bench.first_data())]
    said = call([*words, "--port", str(bench.next_port()), "--json"], timeout=WORKERS, env={"DDNS": bench.ddns})
    found = json.loads(said.splitlines()[-1])
    for one in found["servers"]:
        for value in one["capacity"]:
            title = f"{one['workers']} worker{'s' * (one['workers'] > 1)}, of the busiest one's"
            bench.results.add("workers", title, "ours", value, "a CPU s", lost=one["lost"])
    for name, title in (("rate", "two workers, times one"), ("capacity", "two workers, times one, by their CPU")):
        say(f"  {title}: {found['ratios'][name]} (quartiles)")
        for value in found["ratios"][name]:
            bench.results.add("workers", title, "ours", value, "")


def _flames(bench: Bench) -> None:
    """Draw what the worker, the signer and Postgres do while questions and updates come."""
    bench.stop()
    for who in bench.field(("ours",), "flames"):
        for path in ("query", "update"):
            out = bench.work / f"{path}.svg"
            words = [sys.executable, str(HERE / "flame.py"), path, "--port", str(who.port), "--data", str(who.data)]
            words += ["--pids", f"@{who.pid_file}", "--out", str(out), "--py-spy", bench.py_spy]
            words += ["--harness", str(bench.load.harness), "--load-cpu", bench.load.load_cpu]
            try:
                say("  " + call(words, timeout=FLAMES).strip())
            except CannotMeasure as error:
                bench.results.failed("flames", "ours", str(error))
                say(f"  {error}")


def _growth(bench: Bench) -> None:
    for count in bench.sizes:
        registries.size(bench, count)


def _zone_per_home_row(count: int) -> Row:
    name = f"many{count // 1000}k"
    return Row(
        name, f"a zone per home, {count:,} homes, cold and warm, beside one zone",
        lambda bench: registries.zone_per_home(bench, name, count),
        lambda bench: registries.zone_per_home_seconds(bench, count),
    )  # fmt: skip


def rows() -> Iterator[Row]:
    """Yield all rows in the order in which they are measured."""
    yield question_row("hot", "UDP, hot", ALL)
    yield question_row("uniform", "UDP, uniform", ALL)
    yield question_row("nx", "UDP, NXDOMAIN in one gap", ALL)
    yield question_row("nxs", "UDP, NXDOMAIN spread", ALL)
    yield question_row("tcp", "TCP", ALL)
    yield question_row("dot", "DoT", ("bind", "ours", "ours-pure"))
    yield update_row("tsig32", "tsig", 32, ("bind", "knot", "ours", "ours-pure"))
    yield update_row("sig32", "sig0", 32, ("ours", "ours-pure"))
    yield update_row("tsig1", "tsig", 1, ("bind", "knot", "ours", "ours-pure"))
    yield update_row("sig1", "sig0", 1, ("ours", "ours-pure"))
    yield Row("visible", "update to visible", _visible, lambda bench: 3 * bench.rounds * VISIBLE * 0.1)
    yield Row("workers", "two workers on two cores", _workers, lambda _: 60)
    yield Row("flames", "flame graphs of a question and of an update", _flames, lambda _: 90)
    yield _zone_per_home_row(10_000)
    yield _zone_per_home_row(100_000)
    yield Row("peersmany", "peers with a zone per home", registries.peers, lambda bench: 600 + bench.rounds * 60)
    yield Row("start", "start and memory, 100,000 homes in one zone", registries.starts, lambda _: 900)
    yield Row(
        "growth", "how cost grows with the homes", _growth,
        lambda bench: sum(registries.size_seconds(bench, count) for count in bench.sizes),
    )  # fmt: skip
    yield Row("storm", "the storm", registries.storm, lambda bench: 60 * bench.storm[1] + 120)
