"""What a run says in the end: a line a check for people, and JSON of a form that stays for programs.

`python -m ddns.selftest.report > docs/reference/selftest.md` writes the page of all checks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ddns.selftest.catalogue import CHECKS, Told, status
from ddns.selftest.check import Result

VERSION = 1  # of the JSON
_MARKS = {Result.MET: "✓", Result.MISSED: "✗", Result.NOT_SEEN: "-"}
_HEAD = """\
# What the selftest looks at

<!-- Written from the tables in ddns/selftest: change a row there, then
     python -m ddns.selftest.report > docs/reference/selftest.md -->

`ddns gateway selftest` watches a box and judges it by these rows: [how to run it](../howto/ship-a-gateway.md). A row is
*required*, *recommended*, or *conditional*: required of a box that does this at all. It is *met*, *missed*, or *not
seen*. An identifier never means anything else; one that is gone is not used again.

| | The box … | | By | In the method |
|---|---|---|---|---|
"""


def lines(told: Sequence[Told]) -> Iterable[str]:
    """Yield what people read."""
    width = max(len(one.check.id) for one in told)
    for one in told:
        check, verdict = one.check, one.verdict
        said = f"{_MARKS[verdict.result]} {check.id:{width}}  {check.sentence} ({check.level})"
        yield said if verdict.result == Result.MET else f"{said}: {verdict.result}"
        if verdict.why:
            yield f"  {'':{width}}  {verdict.why} By {check.source}."
    counts = {result: sum(one.verdict.result == result for one in told) for result in Result}
    yield f"{counts[Result.MET]} met, {counts[Result.MISSED]} missed, {counts[Result.NOT_SEEN]} not seen."


def members(methods: Sequence[str], told: Sequence[Told]) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "version": VERSION,
        "methods": list(methods),
        "exit_status": int(status(told)),
        "checks": [
            {
                "id": one.check.id,
                "level": one.check.level.value,
                "source": one.check.source,
                "sentence": one.check.sentence,
                "result": one.verdict.result.value,
                "why": one.verdict.why,
            }
            for one in told
        ],
    }


def page() -> str:
    """Return the page of all checks."""
    rows = (
        f"| `{one.id}` | {one.sentence} | {one.level} | {one.source} | {', '.join(one.methods)} |\n" for one in CHECKS
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(page())
