"""`ddns home`: hold, suspend, release, and history: what the registry does to a home, and why."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    settle,
    shown,
    wait_option,
    when,
)
from ddns.database import Database
from ddns.homes.carrying import Outcome
from ddns.operator import holding, homes, words
from ddns.operator.holding import QUARANTINED, RELEASED, SUSPENDED
from ddns.signing.client import SignerClient
from ddns.store.home_exports import Happened
from ddns.store.pool import Connection

SIGNER_WAIT = 5.0  # seconds
BY_OPERATOR = "by the operator"  # the reason of who writes none, where none has to be written

_ZONE = click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")


@click.command()
@click.argument("label")
@_ZONE
@click.option("--suspend", "state_", flag_value=SUSPENDED, help="It takes no updates; its names go on being answered.")
@click.option("--quarantine", "state_", flag_value=QUARANTINED, help="It leaves the DNS, too.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line of 400 characters: its owner reads it.")
@wait_option
@json_option
@database_options
def hold(
    label: str,
    zone: str | None,
    state_: str | None,
    reason: str,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Hold the home LABEL (or its full name) until it is released."""
    if state_ is None:
        raise click.UsageError("say --suspend or --quarantine")
    _set(label, zone, state_, reason, wait, as_json, dsn, state)


def _set(
    label: str,
    zone: str | None,
    wanted: str,
    reason: str,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    async def work(conn: Connection, database: Database) -> tuple[bytes, Outcome | None]:
        name = await home_called(conn, label, zone)
        signer = SignerClient(database.state / "run" / "signer.sock", SIGNER_WAIT)
        try:
            done = await holding.hold(conn, signer, name, wanted, reason, principal(), int(time.time()))
        finally:
            await signer.close()
        if done is not None:
            await settle(conn, database, done.pending, wait)
        return name, done

    name, done = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(name), "state": wanted, "changed": done is not None})
    else:
        click.echo(f"{shown(name)} is {wanted}{' already' if done is None else ''}.")


def _having(name: str, wanted: str, told: str) -> click.Command:
    """Return the command *name*, which has a home be as *wanted*; *told* is what its help says."""

    @click.command(name, help=told)
    @click.argument("label")
    @_ZONE
    @click.option("--reason", default=BY_OPERATOR, metavar="TEXT", help="Why, in one line: its owner reads it.")
    @wait_option
    @json_option
    @database_options
    def having(
        label: str, zone: str | None, reason: str, wait: float, as_json: bool, dsn: str | None, state: Path | None
    ) -> None:
        _set(label, zone, wanted, reason, wait, as_json, dsn, state)

    return having


suspend = _having(
    "suspend", SUSPENDED, "Refuse the updates of the home LABEL until it is released; its names go on being answered."
)
release = _having("release", RELEASED, "Let the home LABEL, which was suspended or in quarantine, be as it was.")


@click.command()
@click.argument("label")
@_ZONE
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="NUMBER", help="What came after that number.")
@json_option
@database_options
def history(label: str, zone: str | None, after: int, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Say what happened to the home LABEL, whoever did it, from its beginning."""

    async def work(conn: Connection, _database: Database) -> tuple[bytes, list[Happened]]:
        name = await home_called(conn, label, zone)
        return name, await holding.history(conn, name, after)

    name, found = run(dsn, state, work)
    if as_json:
        print_json(
            [
                {
                    "home": shown(name), "number": one.id, "at": one.at, "event": one.event, "who": one.who,
                    "before": one.before, "after": one.after, "why": one.why or None,
                    "statement": one.statement.hex() if one.statement else None,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("NUMBER", "AT", "EVENT", "WHO", "BEFORE", "AFTER", "WHY"),
        [(str(one.id), when(one.at), one.event, one.who, one.before, one.after, one.why) for one in found],
        "Nothing is written down about it: it was made before homes had a history.",
    )


async def home_called(conn: Connection, label: str, zone: str | None) -> bytes:
    """Return the full name of a home that a person named by its label or in full."""
    if zone is None and "." in label.rstrip("."):
        return words.read_name(label, "home")
    return (await homes.find_registry(conn, label, zone))[1]
