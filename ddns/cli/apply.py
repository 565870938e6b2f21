"""`ddns apply`: bring the registry to what a file says."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ddns.auth.sealing import Sealer
from ddns.cli.shell import count, database_options, json_option, principal, print_json, run, say, settle, wait_option
from ddns.database import Database, secrets_key
from ddns.operator import apply, registry_file
from ddns.operator.applied import Applied
from ddns.store.pool import Connection

MOST_LINES = 40  # of a plan on a terminal, and of its notes; --json has all
_MARKS = {"add": "+", "change": "~", "remove": "-"}
_WORDS = {"signing": ("signing policy", "signing policies"), "policy": ("policy", "policies")}


@click.command("apply")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@wait_option
@json_option
@database_options
def command(file: Path, dry_run: bool, wait: float, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Bring zones, keys, tenants, policies, bonds and the rest to what FILE says, and print what that takes.

    What FILE does not mention stays as it is, and nothing is changed twice. Paths in it are relative to it.
    """
    wanted = registry_file.read(file)

    async def work(conn: Connection, database: Database) -> tuple[Applied, bool]:
        sealer = Sealer(secrets_key(database.state))
        progress = None if as_json or dry_run or not sys.stderr.isatty() else _progress
        done = await apply.apply(conn, sealer, wanted, principal(), dry_run=dry_run, progress=progress)
        return done, await settle(conn, database, done.pending, wait)

    done, published = run(dsn, state, work)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "actions": [
                    {"verb": one.verb, "noun": one.noun, "name": one.name, "detail": one.detail} for one in done.actions
                ],
                "kept": dict(done.kept),
                "published": published and not dry_run,
                "notes": done.notes,
            }
        )
        return
    for note in done.notes[:MOST_LINES]:
        say(note)
    if len(done.notes) > MOST_LINES:
        say(f"and {len(done.notes) - MOST_LINES} notes more; --json has all")
    _print_plan(done, dry_run)


def _progress(zones: int, of: int) -> None:
    end = "\n" if zones == of else ""
    click.echo(f"\r{zones} of {of} zones", nl=False, err=True)
    click.echo(end, nl=False, err=True)


def _print_plan(done: Applied, dry_run: bool) -> None:
    for one in done.actions[:MOST_LINES]:
        click.echo(f"{_MARKS[one.verb]} {one.noun:<5} {one.name}{'  ' + one.detail if one.detail else ''}")
    if len(done.actions) > MOST_LINES:
        click.echo(f"… and {len(done.actions) - MOST_LINES} more")
    verbs = {"add": "added", "change": "changed", "remove": "removed"}
    parts = []
    for noun in ("signing", "key", "zone", "grant", "transfer", "tenant", "policy", "bond", "verifier", "webhook"):
        for verb, past in verbs.items():
            number = sum(1 for one in done.actions if one.noun == noun and one.verb == verb)
            if number:
                words = count(number, *_WORDS.get(noun, (noun,)))
                parts.append(f"{words} {'to be ' if dry_run else ''}{past}")
    kept = sum(done.kept.values())
    if kept:
        parts.append(f"{kept} as they should be")
    click.echo((", ".join(parts) or "The file asks for nothing") + ".")
