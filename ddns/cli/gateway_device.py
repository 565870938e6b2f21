"""`ddns gateway device` and `ddns gateway hook`: keys of devices that change without a client noticing."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ddns.cli import Failure
from ddns.cli.gateway_options import EPILOG, LONGEST_ATTEMPT, LONGEST_LEASE, LONGEST_TTL, Address, here, home, say
from ddns.cli.gateway_options import wait as wait_option
from ddns.dns.names import BadName
from ddns.gateway import agent, pin, state
from ddns.gateway import device as devices
from ddns.gateway import hook as hooks
from ddns.gateway.client import WAIT
from ddns.gateway.device import NotKnown, Stand
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.pin import BadPin
from ddns.gateway.state import BadState, Outcome, Pin

Done = TypeVar("Done")

HTTPS = 443
LONGEST_WAIT = 2_592_000  # seconds; nobody's TTL is longer
_AGAIN = frozenset({Status.UNREACHABLE, Status.LATER, Status.UNPROVED, Status.NOT_SAFE})  # while there is time left


class _Certificate(click.ParamType[tuple[int, Path]]):
    """FILE, or FILE@PORT."""

    name = "FILE[@PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, Path]:
        """Read FILE[@PORT]."""
        if isinstance(value, tuple):
            return value[0], value[1]
        path, mark, port = str(value).rpartition("@")
        if not mark or not port.isdecimal():
            return HTTPS, Path(str(value))
        if not path or not 0 < int(port) <= 65535:
            self.fail(f"{value!r} is not FILE@PORT, such as cam.pem@443", param, ctx)
        return int(port), Path(path)


_cert = click.option("--cert", type=_Certificate(), required=True, help="The next key's certificate; PORT is 443.")
_client = click.option("--client", is_flag=True, help="For what it does as a client: below _device, not at a port.")


@click.group(epilog=EPILOG)
def device() -> None:
    """Publish a device's keys, and change them without any client ever meeting one that it does not know."""


@device.command(epilog=EPILOG)
@click.argument("name")
@click.option("--cert", "certificates", type=_Certificate(), multiple=True, help="Publish this key; PORT is 443.")
@click.option("--ca", "authorities", type=_Certificate(), multiple=True, help="A CA of the home's own, at PORT.")
@_client
@click.option("--address", "addresses", type=Address(), multiple=True, help="Instead of all addresses so far.")
@click.option("--ttl", type=click.IntRange(0, LONGEST_TTL), help="Seconds that others may remember it (first: 300).")
@click.option("--lease", type=click.IntRange(0, LONGEST_LEASE), help="Seconds after which it is taken away; 0: never.")
@home
@wait_option
def add(
    name: str,
    certificates: tuple[tuple[int, Path], ...],
    authorities: tuple[tuple[int, Path], ...],
    client: bool,
    addresses: tuple[str, ...],
    ttl: int | None,
    lease: int | None,
    folder: Path,
    wait: float,
) -> None:
    """Publish NAME's first keys, or others beside them that stand by.

    Clients take a standby at once when it is needed. With --ca they take whatever that CA has issued for NAME.
    """
    if not certificates and not authorities:
        raise click.UsageError("say which keys: --cert or --ca")

    def published() -> Outcome:
        pins = [pin.from_file(0 if client else port, path) for port, path in certificates]
        pins += [pin.from_file(0 if client else port, path, usage=2) for port, path in authorities]
        return devices.add(
            folder, name, pins, addresses=tuple(dict.fromkeys(addresses)), ttl=ttl, lease=lease, wait=wait
        )

    say(_tried(published))


@device.command(epilog=EPILOG)
@click.argument("name")
@_cert
@_client
@click.option(
    "--wait",
    "patience",
    type=click.FloatRange(0, LONGEST_WAIT),
    default=0.0,
    help="Seconds to wait until the key may be used (first: not at all).",
)
@click.option("--exec", "program", metavar="COMMAND", help="Then run this, which has the device use the key.")
@home
def roll(name: str, cert: tuple[int, Path], client: bool, patience: float, program: str | None, folder: Path) -> None:
    """Publish NAME's next key, and say whether it may be used: 0 now, 9 not yet.

    With --exec the old keys' records retire by themselves when COMMAND has succeeded; else say `deployed` when the
    device uses the new one. The same command again goes on where it was.
    """
    _roll(folder, name, _tried(lambda: pin.from_file(0 if client else cert[0], cert[1])), patience, program)


@device.command(epilog=EPILOG)
@click.argument("name")
@home
@wait_option
def deployed(name: str, folder: Path, wait: float) -> None:
    """Say that NAME uses its next key now; the records of those before it retire by themselves."""
    say(_tried(lambda: devices.deployed(folder, name, wait=wait)))


@device.command(epilog=EPILOG)
@click.argument("name")
@click.option("--cert", type=_Certificate(), help="The certificate of the key that nobody may trust any more.")
@click.option("--tag", metavar="HEX", help="Or the beginning of its digest, as `state` shows it.")
@home
@wait_option
def revoke(name: str, cert: tuple[int, Path] | None, tag: str | None, folder: Path, wait: float) -> None:
    """Take a key of NAME away at once, at every port: somebody else may have it.

    A standby that was published before can be used in the same moment.
    """
    if (cert is None) == (tag is None):
        raise click.UsageError("say which key: --cert or --tag")

    def done() -> Outcome:
        digest = tag if cert is None else pin.from_file(*cert).digest
        return devices.revoke(folder, name, digest or "", wait=wait)

    say(_tried(done))


@device.command("state", epilog=EPILOG)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@home
@wait_option
def state_of(name: str, as_json: bool, folder: Path, wait: float) -> None:
    """Say how each key of NAME stands, by the registry's word: 0 where clients know all of them, 9 where not yet."""
    outcome, stands = _tried(lambda: devices.standing(folder, name, wait=wait))
    if outcome.status not in (Status.DONE, Status.NOT_SAFE):
        say(outcome)
    if as_json:
        click.echo(msgspec.json.encode({"ready": outcome.status == Status.DONE, "records": [*map(_row, stands)]}))
    else:
        for stand in stands:
            row = _row(stand)
            until = "" if stand.record is None or stand.record.safe_at is None else f", safe from {row['safe_at']}"
            click.echo(f"{row['owner']}  {str(row['digest'])[:16]}  {row['phase']}{until}  ({row['use']})")
        click.echo(outcome.sentence)
    click.get_current_context().exit(outcome.status)


@click.command(epilog=EPILOG)
@click.argument("kind", type=click.Choice(tuple(hooks.HOOKS)))
@click.argument("name")
@click.option("--exec", "program", metavar="COMMAND", help="What has the server read its certificate again.")
@click.option("--port", type=click.IntRange(1, 65535), default=HTTPS, show_default=True, help="Where it shows it.")
@click.option("--cert", type=click.Path(path_type=Path, dir_okay=False), help="Instead of the file that KIND names.")
@click.option(
    "--wait",
    "patience",
    type=click.FloatRange(0, LONGEST_WAIT),
    default=float(LONGEST_ATTEMPT),
    show_default=True,
    help="Seconds to wait until the key may be used.",
)
@home
def hook(
    kind: str, name: str, program: str | None, port: int, cert: Path | None, patience: float, folder: Path
) -> None:
    """Be the hook of a program of KIND that has renewed NAME's certificate: publish, wait, then have it read.

    Called by anybody else it says how to install it.
    """
    one = hooks.HOOKS[kind]
    path = cert or hooks.certificate(kind, os.environ)
    if path is None:
        words = ["ddns", "gateway", "hook", kind, name]
        words += [] if one.at_once else ["--exec", program or "systemctl reload nginx"]
        words += [] if port == HTTPS else ["--port", str(port)]
        said = shlex.join(words)
        click.echo(one.told.format(said.replace("'", '"') if "'{}'" in one.told else said))
        return
    new = _tried(lambda: pin.from_file(port, path))
    if one.at_once:
        _shown_at_once(folder, name, new)
        return
    if program is None:
        raise click.UsageError("say with --exec what has the server read its certificate again")
    _roll(folder, name, new, patience, program)


def _shown_at_once(folder: Path, name: str, new: Pin) -> None:
    """Say whether a key that is shown already is one that clients know."""
    outcome, _ = _tried(lambda: devices.look(folder, name, new))
    if outcome.status != Status.DONE:
        raise Failure(
            f"{outcome.sentence} Caddy shows it already; set reuse_private_keys in its tls block, so that it keeps its "
            "key",
            outcome.status,
        )
    say(outcome)


def _roll(folder: Path, name: str, new: Pin, patience: float, program: str | None) -> None:
    """Publish the key *new*, wait until it may be used, run *program*, and say that it is used."""
    end = time.monotonic() + patience
    outcome, left = _tried(lambda: devices.roll(folder, name, new))
    published = outcome.status in (Status.DONE, Status.NOT_SAFE)
    turn = 0
    while outcome.status in _AGAIN and time.monotonic() < end:
        shortest, longest = devices.PAUSES
        pause = max(shortest, min(longest, shortest * 2**turn if left is None else left))
        turn += 1
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        outcome, left = _tried(functools.partial(devices.look if published else devices.roll, folder, name, new))
        published = published or outcome.status in (Status.DONE, Status.NOT_SAFE)
    say(outcome)
    if program is None:
        return
    ended = subprocess.run(["/bin/sh", "-c", program], check=False)  # noqa: S603 - it is what its caller asked for
    if ended.returncode:
        raise Failure(
            f"{program!r} ended with {ended.returncode}, so the old key's record stays; run the same again when that "
            "works"
        )
    known = state.read(folder)
    wanted = None if known is None else devices.known_device(known, name)
    if wanted is not None and any(one.phase == devices.NEXT for one in wanted.pins):
        say(_tried(lambda: devices.deployed(folder, name, wait=WAIT)))


def _row(stand: Stand) -> dict[str, object]:
    """Return what `state` tells of one record; the names are stable."""
    record, mine = stand.record, stand.pin
    at = None if record is None or record.safe_at is None else time.gmtime(record.safe_at)
    return {
        "owner": stand.owner,
        "usage": None if mine is None else mine.usage,
        "digest": mine.digest if mine is not None else "" if record is None else record.data.hex(),
        "phase": "missing" if record is None else record.phase,
        "safe_at": None if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", at),
        "use": "somebody else's" if mine is None else mine.phase or "in use",
    }


def _tried(deed: Callable[[], Done]) -> Done:
    """Return what *deed* does. Raises `Failure` where something here cannot be used."""
    try:
        return deed()
    except (BadName, BadPin, NotKnown, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None
