"""Measure it again: python benchmarks/run --harness DIR --work DIR [--rows ID,ID...].

Each row of the table in docs/reference/performance.md, ours beside BIND, Knot and NSD where they can do it: all on the
same data, one core each for server and load, taking turns. Prints Markdown with medians, spread and ratios, and keeps
every measured value as a JSON line in WORK/results.jsonl; --table prints the table of what is there. --list says what
rows there are and how long each takes. Whatever is started is stopped in the end, interrupted or not; a row that fails
is said so and the others go on. WORK holds data and databases: run again, rows start from them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from run.bench import Bench, say
from run.contestants import CannotMeasure
from run.measures import Load
from run.results import Results, newest, table
from run.rows import Row, rows


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--harness", type=Path, help="the folder of the comparison harness (bench_query.py and others)")
    parser.add_argument("--work", type=Path, help="where data, servers and results are; open to other accounts")
    parser.add_argument("--data", type=Path, help="10,000 homes of the harness' gen_zone.py (default: made in WORK)")
    parser.add_argument("--rows", help="which, by id, with commas (default: all)")
    parser.add_argument("--list", action="store_true", help="say what rows there are and how long each takes")
    parser.add_argument("--table", action="store_true", help="only print the table of what has been measured")
    parser.add_argument("--peers", default="bind,knot,nsd", help="beside whom (default: bind,knot,nsd)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="each measurement of questions (default: 5)")
    parser.add_argument("--server-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--port", type=int, default=5600, help="the first of some hundred (default: 5600)")
    parser.add_argument("--ddns", default=shutil.which("ddns", path=str(Path(sys.executable).parent)) or "ddns")
    parser.add_argument("--py-spy", default="py-spy", help="for the flame graphs")
    parser.add_argument("--jobs", type=int, default=2, help="of imports (default: 2)")
    parser.add_argument("--sizes", default="10000,100000,1000000", help="of the row growth")
    parser.add_argument("--storm-homes", type=int, default=1_000_000)
    parser.add_argument("--storm-minutes", type=float, default=10.0)
    parser.add_argument("--storm-workers", type=int, default=1)
    parser.add_argument("--storm-cpus", default="0", help="where the server runs in the storm (default: 0)")
    return parser


def chosen(text: str | None, parser: argparse.ArgumentParser) -> list[Row]:
    there = list(rows())
    if text is None:
        return there
    wanted = text.split(",")
    unknown = set(wanted) - {row.id for row in there}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; --list names them")
    return [row for row in there if row.id in wanted]


def measure(bench: Bench, wanted: list[Row]) -> None:
    """Measure *wanted*, and stop whatever was started."""
    left = sum(row.seconds(bench) for row in wanted)
    for row in wanted:
        say(f"== {row.id}: {row.title}; about {took(row.seconds(bench))} of {took(left)} that are left")
        left -= row.seconds(bench)
        began = time.monotonic()
        try:
            row.run(bench)
        except CannotMeasure as error:
            bench.results.failed(row.id, "ours", str(error))
            say(f"  {error}")
        say(f"   took {took(time.monotonic() - began)}")


def took(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds))


def ended(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    parser = arguments()
    o = parser.parse_args()
    wanted = chosen(o.rows, parser)
    if o.work is None:
        parser.error("say with --work where data, servers and results shall be")
    work = o.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    results = Results(work / "results.jsonl")
    if o.table:
        print(table(newest(results.lines())))
        return
    if o.harness is None or not (o.harness / "bench_query.py").exists():
        parser.error("say with --harness where bench_query.py, bench_update.py and the peers' start scripts are")
    load = Load(o.harness.resolve(), o.seconds, o.server_cpu, o.load_cpu, work)
    bench = Bench(
        load, results, work, o.ddns, o.port, tuple(o.peers.split(",")), o.rounds, o.jobs, o.py_spy,
        (o.storm_homes, o.storm_minutes, o.storm_workers, o.storm_cpus),
        tuple(int(size) for size in o.sizes.split(",")), o.data.resolve() if o.data else None,
    )  # fmt: skip
    if o.list:
        for row in wanted:
            print(f"{row.id:10} {took(row.seconds(bench))}  {row.title}")
        print(f"{'':10} {took(sum(row.seconds(bench) for row in wanted))}  together")
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    os.umask(0o022)  # a Postgres of another account must reach its data
    try:
        measure(bench, wanted)
    except KeyboardInterrupt:
        say("interrupted")
    finally:
        bench.stop()
    print(table(newest(results.lines())))


if __name__ == "__main__":
    main()
