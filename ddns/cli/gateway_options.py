"""What the verbs of `ddns gateway` have in common: options, and how their outcome is said."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.gateway.client import WAIT
from ddns.gateway.outcome import Status
from ddns.gateway.state import Outcome

LONGEST_LEASE = 31_536_000  # seconds; the registry grants what it will
LONGEST_ATTEMPT = 86400  # seconds; what is published a day later is no news
LONGEST_TTL = 86400  # seconds; a home that moves should not be found at its old address for longer

EPILOG = (
    "Exit statuses: 0 done; 1 a file or folder here cannot be used; 2 wrong usage; 3 the registry refuses; "
    "4 it cannot be reached; 5 it does not accept the key or signature; 6 this machine's clock is wrong; "
    "7 the registry says later; 8 the answer is not proved to be the registry's; 9 not safe to deploy yet."
)


def _default_folder() -> Path:
    given = os.environ.get("DDNS_GATEWAY")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(given) if given else Path(base) / "ddns-gateway"


home = click.option(
    "--home",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_default_folder,
    help="Folder with the key and what is published (default: $DDNS_GATEWAY or ~/.local/state/ddns-gateway).",
)
wait = click.option(
    "--wait",
    type=click.FloatRange(1, LONGEST_ATTEMPT),
    default=WAIT,
    show_default=True,
    help="Seconds to keep trying.",
)


class Address(click.ParamType[str]):
    """An address that can be reached by somebody else."""

    name = "IP"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read an IPv4 or IPv6 address."""
        try:
            address = ipaddress.ip_address(str(value))
        except ValueError:
            self.fail(f"{value!r} is no IPv4 or IPv6 address", param, ctx)
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            self.fail(f"{address} means nothing to others; publish an address that reaches the device", param, ctx)
        return str(address)


def here(error: Exception) -> Failure:
    """Return the failure of something on this machine."""
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return Failure(f"{text[:1].upper()}{text[1:]}", Status.FAILED)


def say(outcome: Outcome) -> None:
    """Say how it ended. Raises `Failure` where it was not done."""
    if outcome.status != Status.DONE:
        raise Failure(outcome.sentence, outcome.status)
    click.echo(outcome.sentence)
