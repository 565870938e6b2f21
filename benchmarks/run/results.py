"""What was measured, one JSON object a line, and the table that says what it means.

Law: the table is made of the lines alone, so that runs of some rows on some days are put together by `--table`, and a
sceptic can make it of other lines.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run.contestants import NAMES

Line = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What the issue asks of *what*: *who* divided by *against* is *goal*, or *floor* at least.

    Without *against* the value itself is meant. *less*: goal and floor are the most that it may be. *versus* is what of
    the other is meant, if another thing.
    """

    what: str
    goal: float
    floor: float
    against: str = ""
    who: str = "ours"
    less: bool = False
    versus: str = ""


TARGETS = (
    *(Target(what, 1.3, 1.0, peer) for what in ("UDP, hot", "UDP, uniform") for peer in ("knot", "nsd")),
    *(Target(what, 1.3, 1.0, "knot") for what in ("UDP, NXDOMAIN in one gap", "UDP, NXDOMAIN spread")),
    *(
        Target(what, 1.0, 1.0, "bind", "ours-pure")
        for what in ("UDP, hot", "UDP, uniform", "UDP, NXDOMAIN in one gap", "UDP, NXDOMAIN spread")
    ),
    Target("TCP", 1.0, 0.0, "knot"),
    Target("TCP", 0.0, 1.0, "bind"),
    Target("DoT", 2.0, 1.0, "bind"),
    Target("TSIG updates, 32 clients", 10.0, 5.0, "bind"),
    Target("SIG(0) updates, 32 clients", 8.0, 3.0, "bind", versus="TSIG updates, 32 clients"),
    Target("TSIG updates, 1 client", 1.5, 1.0, "bind"),
    Target("update to visible, p50 ms", 0.8, 1.5, "bind", less=True),
    Target("update to visible, p99 ms", 0.5, 1.0, "bind", less=True),
    *(
        Target(f"zone per home, {homes:,} homes, {state}", 0.85, floor, "ours-one")
        for homes in (10_000, 100_000)
        for state, floor in (("cold", 0.7), ("warm", 0.85))
    ),
    Target("1,000,000 homes: ready, s", 2.0, 10.0, less=True),
    Target("1,000,000 homes: memory a worker, MiB", 512.0, 1536.0, less=True),
    Target("storm: good updates in time, %", 100.0, 95.0),
    Target("storm: questions p99, ms", 5.0, 50.0, less=True),
    Target("two workers, times one", 1.9, 1.6),
)


class Results:
    """The lines of a file, and those that come."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._run = round(time.time())

    def add(self, row: str, what: str, who: str, value: float, unit: str, **more: object) -> None:
        """Keep one measured value; *more* is what a reader of the lines may want to know beside it."""
        self._write({"row": row, "what": what, "who": who, "value": value, "unit": unit, **more})

    def failed(self, row: str, who: str, reason: str) -> None:
        """Keep that something could not be measured."""
        self._write({"row": row, "who": who, "failed": reason})

    def lines(self) -> list[Line]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines() if line.strip()]

    def _write(self, line: Line) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps({"run": self._run, **line}) + "\n")


def newest(lines: Iterable[Line]) -> list[Line]:
    """Return *lines* without those of a row that was measured again later (its lines have another `run`)."""
    lines = list(lines)
    last = {line["row"]: line.get("run", 0) for line in lines}
    return [line for line in lines if line.get("run", 0) == last[line["row"]]]


def table(lines: list[Line]) -> str:
    """Return Markdown: for each thing measured the median of each server with its spread, then what was asked for."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    units: dict[str, str] = {}
    for line in lines:
        if "value" in line:
            values[line["what"]][line["who"]].append(line["value"])
            units[line["what"]] = line["unit"]
    whos = [who for who in NAMES if any(who in found for found in values.values())]
    out = [f"| | {' | '.join(NAMES[who] for who in whos)} |", "|---" * (len(whos) + 1) + "|"]
    for what, found in values.items():
        cells = [_cell(found.get(who, [])) for who in whos]
        out.append(f"| {what}{f', {units[what]}' if units[what] else ''} | {' | '.join(cells)} |")
    medians = {what: {who: statistics.median(all_) for who, all_ in found.items()} for what, found in values.items()}
    out += ["", "| asked for | is | goal | floor | |", "|---|---|---|---|---|"]
    out += [line for target in TARGETS if (line := _judged(target, medians))]
    failures = [line for line in lines if "failed" in line]
    if failures:
        out += ["", "Could not be measured:", ""]
        out += [f"- {line['row']}, {NAMES.get(line['who'], line['who'])}: {line['failed']}" for line in failures]
    return "\n".join(out)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    if len(values) == 1:
        return _number(values[0])
    return f"{_number(statistics.median(values))} ({_number(min(values))}..{_number(max(values))})"


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _judged(target: Target, medians: dict[str, dict[str, float]]) -> str:
    ours = medians.get(target.what, {}).get(target.who)
    if ours is None:
        return ""
    is_ = ours
    name = f"{target.what}, {NAMES[target.who]}"
    if target.against:
        other = medians.get(target.versus or target.what, {}).get(target.against)
        if not other:
            return ""
        is_ = ours / other
        name += f" / {NAMES[target.against]}{' ' + target.versus if target.versus else ''}"

    def reached(bound: float) -> bool:
        return is_ <= bound if target.less else is_ >= bound

    verdict = "below the floor"
    if reached(target.goal) and target.goal:
        verdict = "goal"
    elif reached(target.floor):
        verdict = "floor" if target.floor else "below the goal"
    bounds = [f"{bound:g}" if bound else "-" for bound in (target.goal, target.floor)]
    return f"| {name} | {is_:.3g} | {' | '.join(bounds)} | {verdict} |"
