"""What the verbs of `ddns gateway` have in common: options, and how their outcome is said."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from pathlib import Path
from typing import Any

import click
import msgspec

from ddns.cli import Failure
from ddns.gateway import desk
from ddns.gateway.client import WAIT
from ddns.gateway.outcome import Status
from ddns.gateway.state import Outcome
from ddns.proof import jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk

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


class Server(msgspec.Struct, frozen=True):
    """A registry's server: *host* and *port*, and the port for TLS, 0: none."""

    host: str
    port: int = 53
    tls: int = 0


class _ServerText(click.ParamType[Server]):
    """HOST, HOST:PORT or [ADDRESS]:PORT, and `+tls` behind where it is spoken to over TLS."""

    name = "HOST[:PORT][+tls]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Server:
        """Read where a registry's server is."""
        if isinstance(value, Server):
            return value
        text, tls, _ = str(value).partition("+tls")
        try:
            parts = urllib.parse.urlsplit(f"//{text}")
            port = parts.port or (853 if tls else 53)
        except ValueError:
            self.fail(f"{value!r} is not HOST, HOST:PORT or [ADDRESS]:PORT", param, ctx)
        if not parts.hostname or parts.path or parts.username:
            self.fail(f"{value!r} is not HOST, HOST:PORT or [ADDRESS]:PORT", param, ctx)
        return Server(parts.hostname, port, port if tls else 0)


server = click.option(
    "--server", "where", type=_ServerText(), help="Where the home's registry is, HOST:PORT; +tls: over TLS."
)
cafile = click.option(
    "--cafile",
    "trust",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Believe an HTTPS server that these certificates (PEM) vouch for.",
)


def read_cafile(path: Path) -> str:
    """Return the certificates in *path*. Raises `Failure`."""
    try:
        return desk.read_cafile(path)
    except OSError as error:
        raise here(error) from None
    except ValueError:
        raise Failure(f"{path} holds no certificates in PEM", Status.USAGE) from None


def read_jwk(path: Path) -> PublicJwk:
    """Return the public key in *path*, as `ddns phone make` writes it. Raises `Failure`."""
    try:
        return jwk.from_json(path.read_bytes().strip())
    except OSError as error:
        raise here(error) from None
    except BadProof as error:
        raise Failure(f"{path} holds no public key as JWK: {error.sentence}", Status.USAGE) from None


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
