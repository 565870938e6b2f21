"""`ddns gateway selftest`: a registry in the lab that watches a box, and tells what it did."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from ddns.cli import Failure

METHODS = ("invitation", "owner", "voucher", "qr")
STEP = 600.0  # seconds for a person and a box to do one step

_EPILOG = (
    "Exit statuses: 0 all that is required is met; 1 something was missed, or the selftest could not run; "
    "2 wrong usage; 4 something required was not seen."
)


class _Address(click.ParamType[str]):
    """An address of this machine that a box can reach."""

    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read an IPv4 or IPv6 address."""
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            self.fail(f"{value!r} is no IPv4 or IPv6 address", param, ctx)
        if address.is_unspecified or address.is_multicast or address.is_link_local:
            self.fail(f"{address} is none that a box can be told; give one of this machine's", param, ctx)
        return str(address)


class _Place(click.ParamType[tuple[str, int]]):
    """ADDR:PORT."""

    name = "ADDR:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read an address or a name, and a port."""
        if isinstance(value, tuple):
            return value[0], value[1]
        host, _, port = str(value).rpartition(":")
        if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65535):
            self.fail(f"{value!r}: write ADDR:PORT", param, ctx)
        return host.strip("[]"), int(port)


@click.command(epilog=_EPILOG)
@click.option(
    "--method",
    "chosen",
    type=click.Choice([*METHODS, "all"]),
    multiple=True,
    default=["all"],
    show_default=True,
    help="How the box enrols; repeat it for several ways.",
)
@click.option(
    "--listen",
    "host",
    type=_Address(),
    default="127.0.0.1",
    show_default=True,
    help="This machine's address that the box reaches.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=STEP,
    show_default=True,
    help="Seconds for each step.",
)
@click.option("--target", type=click.Choice(["self"]), help="Take our own gateway for the box.")
@click.option("--code", metavar="DPP:…", help="For the method qr: the code that is printed on the box.")
@click.option("--box", type=_Place(), help="For the method qr: where the box waits for a phone.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def selftest(
    chosen: tuple[str, ...],
    host: str,
    timeout: float,
    target: str | None,
    code: str | None,
    box: tuple[str, int] | None,
    as_json: bool,
) -> int:
    """Check a box, of whatever make: start a registry that watches, say what the box is to do, tell what it did.

    Needs no root; all that it made is removed in the end.
    """
    session, lab, _ = (import_module(f"ddns.selftest.{name}") for name in ("session", "lab", "report"))
    broken: type[Exception] = import_module("ddns.demo.screen").Broken
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    scanned = None if code is None or box is None else (code, box)
    if target is not None and (code is not None or box is not None):
        raise click.UsageError("--code and --box are those of a box; leave them out with --target self")
    if target is None and scanned is None and ("qr" in chosen or code is not None or box is not None):
        raise click.UsageError("the method qr goes with --code and --box: what is printed on the box, and where it is")
    methods = tuple(one for one in METHODS if one in chosen or "all" in chosen)
    if target is None and scanned is None:
        methods = tuple(one for one in methods if one != "qr")
    there = lab.Lab(host)
    there.scanned = scanned
    try:
        click.echo("Starting a registry …", err=True)
        with there:
            skip = _never if target else _asked_to_go_on()
            if not target:
                click.echo("Enter goes on without the step that is being waited for.", err=True)
            found = session.run(
                there, methods, timeout, lambda text: click.echo(text, err=True), own=target is not None, skip=skip
            )
    except broken as error:
        log = f" Its log is {there.kept_log}" if there.kept_log is not None and there.kept_log.exists() else ""
        raise Failure(f"{error}{log}") from None
    except KeyboardInterrupt:
        raise click.Abort from None
    return end(methods, found, as_json=as_json)


def end(methods: Sequence[str], found: Sequence[Any], *, as_json: bool) -> int:
    """Tell what the transcripts *found* say, and return the exit status."""
    report, catalogue = (import_module(f"ddns.selftest.{name}") for name in ("report", "catalogue"))
    told = catalogue.judge(found)
    if as_json:
        click.echo(json.dumps(report.members(methods, told), indent=2))
    else:
        for line in report.lines(told):
            click.echo(line)
    return int(catalogue.status(told))


def _never() -> bool:
    return False


def _asked_to_go_on() -> Callable[[], bool]:
    """Return what tells, once for each line on stdin, that a person wants to go on."""
    asked = threading.Semaphore(0)

    def listen() -> None:
        # Without Python's own buffer, whose lock a thread that waits here would keep until the end, and past it.
        while octets := os.read(0, 1024):
            asked.release(octets.count(b"\n") or 1)

    threading.Thread(target=listen, daemon=True).start()
    return lambda: asked.acquire(blocking=False)


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
