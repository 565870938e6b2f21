"""`ddns home export`: everything of one home, in files that other registries and name servers read."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ddns.cli import Failure
from ddns.cli.shell import database_options, print_json, run, shown
from ddns.database import Database
from ddns.operator import exporting, words
from ddns.store.pool import Connection


@click.command("export")
@click.argument("name")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Where the files go, which must not be there yet. [JSON on standard output]",
)  # fmt: skip
@database_options
def command(name: str, folder: Path | None, dsn: str | None, state: Path | None) -> None:
    """Write everything of the home NAME: its zone, its signatures, its keys, and what happened to it."""
    home = words.read_name(name, "home")

    async def work(conn: Connection, _database: Database) -> exporting.Export:
        async with conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return await exporting.export(conn, home)

    found = run(dsn, state, work)
    if folder is None:
        print_json({**found.about, "zone": found.zone, "signed_zone": found.signed})
        return
    stem = shown(home).rstrip(".")
    written = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for ending, text in (
            ("zone", found.zone), ("signed.zone", found.signed), ("json", json.dumps(found.about, indent=2) + "\n"),
        ):  # fmt: skip
            if text:
                path = folder / f"{stem}.{ending}"
                with path.open("x") as file:
                    file.write(text)
                written.append(str(path))
    except FileExistsError:
        raise Failure(f"{path} is there already; name another folder.") from None
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror or error}.") from None
    click.echo(f"{shown(home)} is in {', '.join(written)}.")
    click.echo(f"Elsewhere: ddns zone import {stem}.zone --origin {stem}")
