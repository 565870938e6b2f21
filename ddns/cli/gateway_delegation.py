"""`ddns gateway leave` and `return`: the home has servers of its own, or has its registry serve it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.cli.gateway_options import EPILOG, Address, here, home, say
from ddns.cli.gateway_options import wait as wait_option
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName
from ddns.dns.records import BadRdata
from ddns.dns.text import rdata_from_text
from ddns.gateway import agent, delegation
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.state import BadState


class _Host(click.ParamType[bytes]):
    """The name of a server."""

    name = "HOST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Read a host name."""
        try:
            return names.from_text(str(value))
        except BadName as error:
            self.fail(f"{value!r} is no host name: {error}", param, ctx)


class _Glue(click.ParamType[tuple[bytes, str]]):
    """HOST=IP."""

    name = "HOST=IP"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[bytes, str]:
        """Read HOST=IP."""
        if isinstance(value, tuple):
            return value[0], value[1]
        host, mark, address = str(value).partition("=")
        if not mark:
            self.fail(f"{value!r} is not HOST=IP, such as ns1.smith.homes.example=192.0.2.7", param, ctx)
        return _Host().convert(host, param, ctx), Address().convert(address, param, ctx)


class _Ds(click.ParamType[bytes]):
    """A DS record's data."""

    name = "'TAG ALG 2 HEX'"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """Read TAG ALGORITHM DIGEST-TYPE HEX."""
        try:
            return rdata_from_text(Type.DS, str(value).encode().split(), names.ROOT)
        except (BadRdata, ValueError) as error:
            self.fail(f"{value!r} is no DS ({error})", param, ctx)


@click.command("leave", epilog=EPILOG)
@click.option("--ns", "servers", type=_Host(), multiple=True, required=True, help="A server of the home's own.")
@click.option("--glue", type=_Glue(), multiple=True, help="Where a server below the home is.")
@click.option("--ds", type=_Ds(), multiple=True, help="The DS of a key that signs the home there.")
@click.option("--insecure", is_flag=True, help="It is not signed there, and is to have no DS.")
@home
@wait_option
def leave(
    servers: tuple[bytes, ...],
    glue: tuple[tuple[bytes, str], ...],
    ds: tuple[bytes, ...],
    insecure: bool,
    folder: Path,
    wait: float,
) -> None:
    """Have the home leave for servers of its own, or change them where it has left.

    The registry asks them first: all must answer for the home, alike, and be signed as the DS say.
    """
    if bool(ds) == insecure:
        raise click.UsageError("say with --ds how the home is signed there, or with --insecure that it is not")
    try:
        outcome = delegation.leave(folder, servers, glue, ds, wait=wait)
    except (BadName, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None
    say(outcome)


@click.command("return", epilog=EPILOG)
@home
@wait_option
def return_(folder: Path, wait: float) -> None:
    """Have the registry serve the home again."""
    try:
        outcome = delegation.come_home(folder, wait=wait)
    except agent.NotEnrolled as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None
    say(outcome)
