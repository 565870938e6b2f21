"""`ddns home import`: many homes from a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ddns.cli import DONE, FAILED, Failure
from ddns.cli.shell import ROLE, database_options, json_option, principal, print_json, run, say, tenant_option
from ddns.database import Database
from ddns.operator import home_csv
from ddns.operator.fault import CannotDo
from ddns.operator.home_import import Import, Lane, Report
from ddns.operator.tenants import the_tenant
from ddns.operator.words import read_name
from ddns.operator.zones import the_zone
from ddns.program import program
from ddns.signing.client import SignerClient
from ddns.store import zones
from ddns.store.pool import Connection, connect
from ddns.store.zones import Zone

SIGNER_WAIT = 120.0  # seconds for a batch: helpers of the signer step back behind everything else
SIGNER_START = 60.0  # seconds for a signer that we start ourselves
REGISTRY_WAIT = 10.0  # seconds for a registry's zone that waits for its first signature
LINE_EVERY = 10.0  # seconds between two lines of progress where there is no terminal
_PAUSE = 0.1
_SHOWN = 50  # refused lines that are printed

Tell = Callable[[Report], None]


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--registry", "zone", metavar="ZONE", required=True, help="The registry's zone that the homes are in.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=max(2, os.cpu_count() or 1),
    show_default="one for each processor",
    help="Batches of homes that are on their way at a time.",
)
@click.option("--signer", type=click.Path(path_type=Path), help="The signer's socket. [run/signer.sock in the state]")
@click.option("--csv", "as_csv", is_flag=True, help="FILE is CSV, its head names the columns label, key and records.")
@tenant_option
@json_option
@database_options
def command(
    file: Path,
    zone: str,
    jobs: int,
    signer: Path | None,
    as_csv: bool,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Make the homes of FILE, one JSON object a line: {"label": ..., "key": "512 3 13 BASE64", "records": "..."}.

    Run it again after it ended in the middle, however it did: homes that are there are left as they are. Lines that
    cannot be homes are named in the end, and then the exit status is 1.
    """
    origin = read_name(zone, "registry")
    began = time.monotonic()
    with _opened(file) as (stream, size), _progress(size) as tell:

        async def work(conn: Connection, database: Database) -> Report:
            number = (await the_tenant(conn, tenant)).id
            found = await the_zone(conn, origin)
            if found.home:
                raise CannotDo(f"{zone} is a home; homes are put into the registry's zone.")
            path = signer or database.state / "run" / "signer.sock"
            with _signer(database, path, found) as there:
                if there:
                    await _first_signed(conn, found)

                async def lane() -> Lane:
                    return Lane(await connect(database.dsn_for(ROLE), ROLE), SignerClient(path, SIGNER_WAIT, bulk=True))

                lines = home_csv.Lines(stream) if as_csv else stream
                return await Import(found, principal(), tell, number).run(lines, jobs, lane)

        report = run(dsn, state, work)
    return _conclude(report, file, time.monotonic() - began, as_json=as_json)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the file and its length in octets, 0 where nobody knows. Raises `Failure`."""
    if str(file) == "-":
        yield sys.stdin.buffer, 0
        return
    try:
        with file.open("rb", buffering=1 << 20) as stream:
            yield stream, os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}") from None


@contextlib.contextmanager
def _signer(database: Database, path: Path, registry: Zone) -> Iterator[bool]:
    """Tell whether there is a signer; on an embedded database that nobody serves one is started meanwhile."""
    if registry.denial == "none":
        yield False
        return
    if not database.owned:
        there = path.exists()
        if not there:
            say(f"No signer listens on {path}; the homes are stored, and signed when one is there.")
        yield there
        return
    signing = program("zone_signer.cli", "run", "--state", str(database.state), "--socket", str(path))
    kept = {name: value for name, value in os.environ.items() if name != "DDNS_DSN"}
    with subprocess.Popen(  # noqa: S603 - our own program
        program("ddns.demo.leash", str(os.getpid()), *signing),  # it ends when we do, however we do
        env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if ready.strip() != b"ready":
                raise Failure("The signer cannot be started; `zone-signer once` says why.")
            yield True
        finally:
            process.terminate()


async def _first_signed(conn: Connection, registry: Zone) -> None:
    """Wait until a registry's zone that has just been made is published."""
    end = time.monotonic() + REGISTRY_WAIT
    while time.monotonic() < end:
        found = (await zones.get(conn, [registry.id])).get(registry.id)
        if found is None or not found.signed_pending:
            return
        await asyncio.sleep(_PAUSE)


@contextlib.contextmanager
def _progress(size: int) -> Iterator[Tell]:
    """Yield what shows how far an import of *size* octets is: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines(size).tell
        return
    from rich.console import Console  # noqa: PLC0415 - only here, and it takes a while
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = [BarColumn(), TaskProgressColumn(), TimeRemainingColumn()] if size else []
    counted = TextColumn("{task.fields[homes]}")
    with Progress(counted, *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size or None, homes="")
        yield lambda report: bar.update(task, completed=report.read, homes=_counted(report))


class _Lines:
    """Tells on stderr how far an import is, every few seconds."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._began = self._last = time.monotonic()

    def tell(self, report: Report) -> None:
        now = time.monotonic()
        if now < self._last + LINE_EVERY:
            return
        self._last = now
        part = f", {100 * report.read // self._size} % of the file" if self._size else ""
        say(f"{_counted(report)}{part}, {report.made / (now - self._began):.0f} a second")


def _counted(report: Report) -> str:
    words = [f"{report.made} homes made"]
    if report.there:
        words.append(f"{report.there} were there")
    if report.refused:
        words.append(f"{report.refused} lines refused")
    return ", ".join(words)


def _conclude(report: Report, file: Path, seconds: float, *, as_json: bool) -> int:
    """Say what became of the file; return the exit status."""
    refused = sorted(report.reasons, key=lambda one: one.line)
    if as_json:
        facts: dict[str, Any] = {
            "made": report.made,
            "there": report.there,
            "unsigned": report.unsigned,
            "refused": report.refused,
            "seconds": round(seconds, 1),
            "reasons": [{"line": one.line, "reason": one.reason} for one in refused],
        }
        print_json(facts)
        return FAILED if report.refused else DONE
    for one in refused[:_SHOWN]:
        say(f"{file}, line {one.line}: {one.reason}.")
    if report.refused > _SHOWN:
        say(f"{report.refused - _SHOWN} more lines were refused; bring in what is left of them again.")
    click.echo(f"{_counted(report)}, in {seconds:.1f} s.")
    if report.unsigned:
        click.echo(f"{report.unsigned} of them are published when the signer has signed them.")
    return FAILED if report.refused else DONE
