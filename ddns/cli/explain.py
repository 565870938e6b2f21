"""`ddns explain`: why an update was refused, whether it would be today, and what cures it."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.cli.shell import (
    database_options,
    json_option,
    print_facts,
    print_json,
    print_table,
    run,
    when,
)
from ddns.database import Database
from ddns.dns.codes import Rcode
from ddns.dns.refusals import CATALOGUE, Row
from ddns.dns.refusals_page import TURNS
from ddns.operator import explain, words
from ddns.operator.explain import Explanation
from ddns.settings import load
from ddns.store.pool import Connection
from ddns.store.refusals import Listed
from ddns.zone.limits import Limits

MOST = 10_000  # refusals listed at a time
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MARKS = {"holds": "yes", "refused": "NO", "unknown": "?", "not asked": "-"}


class _Since(click.ParamType[int]):
    """How long ago, or when, as seconds since 1970."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read `90m`, `2h`, `3d`, or a date with or without a time, in UTC."""
        if isinstance(value, int):
            return value
        if ago := re.fullmatch(r"([0-9]{1,9})([smhdw])", str(value)):
            return max(0, int(time.time()) - int(ago[1]) * _UNITS[ago[2]])
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time; write 90m, 2h, 3d or 2026-01-31T12:00 (UTC)", param, ctx)
        return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())


@click.command(name="explain")
@click.argument("what", metavar="[NUMBER | CODE]", required=False)
@click.option("--zone", metavar="NAME", help="List only refusals of this zone and of those below it.")
@click.option("--key", metavar="NAME", help="List only refusals of the key of this name.")
@click.option("--code", metavar="CODE", help="List only refusals of this code.")
@click.option("--since", type=_Since(), help="List only refusals from then on: 90m, 2h, 3d, 2026-01-31 (UTC).")
@click.option("--limit", type=click.IntRange(1, MOST), default=20, show_default=True, help="List so many, the newest.")
@click.option("--config", type=click.Path(path_type=Path), help="Judge by the limits of this settings file.")
@json_option
@database_options
def command(
    what: str | None,
    zone: str | None,
    key: str | None,
    code: str | None,
    since: int | None,
    limit: int,
    config: Path | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Say why updates were refused: list the latest, judge the one of NUMBER again, or say what CODE means."""
    if what is not None and (zone or key or code or since is not None):
        raise click.UsageError("--zone, --key, --code and --since are for the list; leave NUMBER or CODE out")
    if what is None:
        _list(limit, zone, key, _code(code) if code else None, since, as_json, dsn, state)
    elif what.isdecimal():
        _explain(int(what), config, as_json, dsn, state)
    else:
        _show_code(CATALOGUE[_code(what)], as_json)


def _code(text: str) -> str:
    """Return the code that *text* names, brackets or not. Raises `Failure`."""
    code = text.strip("[]`").lower()
    if code not in CATALOGUE:
        near = difflib.get_close_matches(code, CATALOGUE, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/refusals.md lists them all"
        raise Failure(f"There is no refusal code {text!r}; {hint}")
    return code


def _show_code(row: Row, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "code": row.code, "response": row.says, "ede": int(row.ede), "turn": str(row.turn),
                "meaning": row.meaning, "cure": row.cure,
            }
        )  # fmt: skip
        return
    print_facts(
        [
            ("code", row.code),
            ("answered", f"{row.says}, extended error {int(row.ede)}"),
            ("meaning", row.meaning),
            ("cure", row.cure.replace("`", "")),
            ("turn", f"{row.turn}: {TURNS[row.turn]}"),
        ]
    )


def _list(
    limit: int,
    zone: str | None,
    key: str | None,
    code: str | None,
    since: int | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    origin = None if zone is None else words.read_name(zone, "zone name")
    signer = None if key is None else words.read_name(key, "key name")

    async def work(conn: Connection, _database: Database) -> list[Listed]:
        return await explain.listing(conn, limit, origin, signer, code, since)

    found = run(dsn, state, work)
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    print_table(
        ("NUMBER", "WHEN", "CODE", "KEY", "ZONE", "FROM"),
        [
            (
                str(one.id), when(int(one.refused.at)), one.refused.code, _key(one), one.refused.zone or "-",
                f"{one.refused.source} {one.refused.transport}",
            )
            for one in found
        ],
        "No refusals that fit are kept; nothing was refused, or it is forgotten by now ([refusals] in the settings).",
    )  # fmt: skip
    untold = sum(one.refused.untold for one in found)
    if untold:
        click.echo(f"\nBeside these {untold} were counted and not written, because they came too fast.")
    if found:
        click.echo("\n`ddns explain NUMBER` judges one again and says what cures it.")


def _key(one: Listed) -> str:
    """Return the key of a row, in doubt where nobody proved to be it."""
    if one.refused.key is None:
        return "-"
    return one.refused.key if one.refused.verified else f"{one.refused.key} ?"


def _explain(number: int, config: Path | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    chosen = load(config).update
    limits = Limits(**{field: getattr(chosen, field) for field in Limits.__struct_fields__})

    async def work(conn: Connection, _database: Database) -> Explanation:
        return await explain.explain(conn, number, limits, int(time.time()))

    found = run(dsn, state, work)
    if as_json:
        print_json(_explained(found))
        return
    refused = found.listed.refused
    rcode = _rcode(refused.rcode)
    print_facts(
        [
            ("refusal", f"{number}, {when(int(refused.at))}, from {refused.source} by {refused.transport}"),
            ("key", _signer(found)),
            ("zone", refused.zone or ""),
            ("answered", f"{rcode}: {refused.text} [{refused.code}]"),
        ]
    )
    if found.asks:
        _print_section("What was asked", found.asks)
    if refused.held or found.holds or found.revoked_at is not None:
        _print_section("What the key held then", refused.held or ("nothing in this zone",))
        if found.revoked_at is not None:
            _print_section("What it holds now", (f"nothing: revoked {when(found.revoked_at)}",))
        elif found.holds != refused.held:
            _print_section("What it holds now", found.holds or ("nothing in this zone",))
        else:
            _print_section("What it holds now", ("the same",))
    _print_section("The decision, made again today", ())
    width = max(len(mark) for mark in _MARKS.values())
    for step in found.steps:
        says = f"  {step.says}" if step.says else ""
        click.echo(f"  {_MARKS[step.verdict].ljust(width)}  {step.question}{says}")
    click.echo(f"\n{_verdict(found)}")
    _print_section("What cures it", found.cures)


def _print_section(title: str, lines: Sequence[str]) -> None:
    click.echo(f"\n{click.style(title, bold=True)}")
    for line in lines:
        click.echo(f"  {line.replace('`', '')}")


def _signer(found: Explanation) -> str:
    refused = found.listed.refused
    if refused.key is None:
        return "none: the update was not signed"
    tag = "" if refused.tag is None else f", tag {refused.tag}"
    kind = "TSIG" if refused.kind == "tsig" else "SIG(0)"
    proved = "" if refused.verified else "; not proved to be it"
    return f"{refused.key} ({kind}, {refused.algorithm}{tag}{proved})"


def _verdict(found: Explanation) -> str:
    if not found.judged:
        return "It cannot be judged again."
    if found.today is not None:
        same = found.today.code == found.listed.refused.code
        return f"It would be refused today{'' if same else f', for another reason: [{found.today.code}]'}."
    if found.listed.refused.verified:
        return "It would be accepted today."
    return "It would be accepted today, if its signature were good."


def _rcode(number: int) -> str:
    return Rcode(number).name if number in Rcode.__members__.values() else str(number)


def _as_json(one: Listed) -> dict[str, Any]:
    refused = one.refused
    return {
        "number": one.id, "at": int(refused.at), "code": refused.code, "rcode": _rcode(refused.rcode),
        "text": refused.text, "transport": refused.transport, "source": refused.source, "zone": refused.zone,
        "key": refused.key, "kind": refused.kind, "algorithm": refused.algorithm, "tag": refused.tag,
        "verified": refused.verified, "asked": list(refused.asked), "size": refused.size,
        "kept_whole": refused.message is not None, "untold": refused.untold,
    }  # fmt: skip


def _explained(found: Explanation) -> dict[str, Any]:
    accepted = found.today is None if found.judged else None
    return _as_json(found.listed) | {
        "asked": list(found.asks), "held": list(found.listed.refused.held), "holds": list(found.holds),
        "revoked_at": found.revoked_at,
        "steps": [{"question": one.question, "verdict": one.verdict, "says": one.says} for one in found.steps],
        "today": {
            "accepted": accepted, "code": None if found.today is None else found.today.code,
            "text": None if found.today is None else found.today.text,
        },
        "cures": list(found.cures),
    }  # fmt: skip
