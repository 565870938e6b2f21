"""`ddns phone say`: each verb is one statement, signed by an owner's key."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.cli.gateway_options import EPILOG, read_jwk
from ddns.cli.phone_options import (
    home_of,
    said_by,
    tried,
    verb_options,
    zone_of,
)
from ddns.dns import names
from ddns.gateway import phone
from ddns.gateway.outcome import Status
from ddns.proof import b64, jwk, statements
from ddns.proof.statements import AnyStatement

BEARER = 32  # octets of a release's secret
LONGEST_RELEASE = 90  # days
LONGEST_KEY = 400  # days


@click.group(epilog=EPILOG)
def say() -> None:
    """Say something as the owner: each verb is one signed statement to the registry."""


def _plain(name: str, kind: type[Any], sentence: str, done: str) -> None:
    """Add the verb *name*, which says a home and nothing else."""

    @say.command(name, epilog=EPILOG, help=sentence)
    @click.argument("home")
    @verb_options
    def verb(home: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
        whole = home_of(home)
        said_by(folder, role, url, trust, lambda zone, now: kind(**phone.common(zone_of(zone, whole), whole, now)))
        click.echo(done.format(home=whole))


_plain(
    "object", statements.Object, "Object to a claim on the box of HOME.", "The claim on the box of {home} is closed."
)
_plain(
    "stolen",
    statements.Stolen,
    "Report the box of HOME as stolen.",
    "The box of {home} is reported; no key of it works.",
)
_plain("found", statements.Found, "Say that the stolen box of HOME is back.", "The box of {home} is back.")
_plain("leave", statements.Leave, "Close HOME; within 30 days it can return.", "{home} is closed.")
_plain("return", statements.Return, "Have HOME back, which was closed.", "{home} is back.")


@say.command(epilog=EPILOG)
@click.argument("home")
@click.option("--code", required=True, help="What the registry gave you for it: six letters and digits, four times.")
@verb_options
def adopt(home: str, code: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Be the first owner of HOME, which nobody owns, by a code from the registry. --desk says where that is."""
    whole = home_of(home)
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.Adopt(**phone.common(zone_of(zone, whole), whole, now), code=code),
        zone=zone_of("", whole),
    )  # fmt: skip
    click.echo(f"{whole} is yours.")


@say.command("approve-key", epilog=EPILOG)
@click.argument("home")
@click.option("--key", "thumbprint", required=True, help="The new key's thumbprint, as the gateway says it.")
@verb_options
def approve_key(home: str, thumbprint: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Trust a key of HOME that was announced, in the place of all others."""
    whole = home_of(home)
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.ApproveKey(**phone.common(zone_of(zone, whole), whole, now), key=thumbprint),
    )  # fmt: skip
    click.echo(f"{whole} has its new key; the others are dead.")


@say.command("revoke-key", epilog=EPILOG)
@click.argument("home")
@click.option("--key", "thumbprint", required=True, help="The key's thumbprint.")
@click.option("--reason", default="", help="Kept in the home's history.")
@verb_options
def revoke_key(
    home: str, thumbprint: str, reason: str, role: str, url: str | None, trust: Path | None, folder: Path
) -> None:
    """Take a key of HOME away: its next message is refused."""
    whole = home_of(home)
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.RevokeKey(
            **phone.common(zone_of(zone, whole), whole, now), key=thumbprint, reason=reason
        ),
    )  # fmt: skip
    click.echo(f"The key is dead. {whole} stays yours.")


@say.command("device-key", epilog=EPILOG)
@click.argument("home")
@click.argument("name")
@click.option("--new", "new", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Its key (PEM).")
@verb_options
def device_key(home: str, name: str, new: Path, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Give the device called NAME, below HOME, a key that changes its own name alone. That key signs, too."""
    whole, key = home_of(home), tried(lambda: phone.load(new))
    called = _within(whole, name)
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.DeviceKey(**phone.common(zone_of(zone, whole), whole, now), name=called),
        also=[key],
    )  # fmt: skip
    thumbprint = jwk.kid(jwk.of(key))
    click.echo(f"{called} has a key of its own, {thumbprint}.")
    click.echo(f"To take it away: ddns phone say revoke-key {whole} --key {thumbprint}")


@say.command("mint-key", epilog=EPILOG)
@click.argument("home")
@click.argument("name")
@click.option(
    "--days", type=click.IntRange(1, LONGEST_KEY), default=LONGEST_KEY, show_default=True, help="How long it holds."
)
@verb_options
def mint_key(home: str, name: str, days: int, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Make a shared secret that answers the ACME challenges of NAME, which is HOME or below, and does nothing else."""
    whole = home_of(home)
    called = _within(whole, name)
    said = said_by(
        folder, role, url, trust,
        lambda zone, now: statements.MintKey(
            **phone.common(zone_of(zone, whole), whole, now), name=called, days=days
        ),
    )  # fmt: skip
    made = said.members.get("key")
    if not isinstance(made, dict):
        raise Failure("The registry said nothing of the key; ask for another one.", Status.LATER)
    until = time.strftime("%Y-%m-%d", time.gmtime(int(made["expires"])))
    click.echo(f"The key is good until {until}. Its secret is shown only now:")
    click.echo(f"{made['algorithm']}:{made['name']}:{made['secret']}")


def _within(home: str, name: str) -> str:
    """Return the whole of *name*, which may be said without the *home* that it is in."""
    full = home_of(name)
    inside = names.is_subdomain(names.from_text(full), names.from_text(home))
    return full if inside else home_of(f"{name.rstrip('.')}.{home}")


@say.command(epilog=EPILOG)
@click.argument("home")
@click.option("--to", "receiver", type=click.Path(path_type=Path, dir_okay=False), help="The buyer's public key (JWK).")
@click.option("--bearer", is_flag=True, help="To whoever has a secret, which is shown once.")
@click.option(
    "--days", type=click.IntRange(1, LONGEST_RELEASE), default=30, show_default=True, help="How long it holds."
)
@verb_options
def release(
    home: str,
    receiver: Path | None,
    bearer: bool,
    days: int,
    role: str,
    url: str | None,
    trust: Path | None,
    folder: Path,
) -> None:
    """Let the box of HOME go to a buyer. The name stays yours."""
    if bearer == (receiver is not None):
        raise click.UsageError("say to whom: --to FILE.jwk, or --bearer")
    whole = home_of(home)
    secret = secrets.token_bytes(BEARER)
    to = None if receiver is None else jwk.kid(read_jwk(receiver))
    digest = b64.encode(hashlib.sha256(secret).digest()) if receiver is None else None

    def made(zone: str, now: int) -> AnyStatement:
        until = now + days * 86_400
        return statements.Release(
            **phone.common(zone_of(zone, whole), whole, now), until=until, bearer=digest, receiver=to
        )

    said_by(folder, role, url, trust, made)
    click.echo(f"The box of {whole} is free, and its keys are dead. The name stays yours.")
    if bearer:
        click.echo(f"The buyer's secret, shown only now: {b64.encode(secret)}")


@say.command("add-owner-key", epilog=EPILOG)
@click.option("--new", "new", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new key (PEM).")
@click.option(
    "--for", "purpose", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="What it may."
)
@click.option("--note", default="", help="What you call it.")
@verb_options
def add_owner_key(
    new: Path, purpose: statements.Role, note: str, role: str, url: str | None, trust: Path | None, folder: Path
) -> None:
    """Add a key: a second one of yours, an administrator's, or one for recovery. It signs, too."""
    key = tried(lambda: phone.load(new))
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.AddOwnerKey(**phone.common(zone, "", now), role=purpose, note=note),
        also=[key],
    )  # fmt: skip
    click.echo(f"The {purpose} key {jwk.kid(jwk.of(key))} is yours now, too.")


@say.command("remove-owner-key", epilog=EPILOG)
@click.option("--key", "thumbprint", required=True, help="The key's thumbprint.")
@verb_options
def remove_owner_key(thumbprint: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Take an owner's key away."""
    said_by(
        folder, role, url, trust,
        lambda zone, now: statements.RemoveOwnerKey(**phone.common(zone, "", now), key=thumbprint),
    )  # fmt: skip
    click.echo("The key is no more one of yours.")


@say.command(epilog=EPILOG)
@click.option("--new", "new", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new key (PEM).")
@click.option("--registry", metavar="ZONE", help="The registry's zone, on a phone that had no home there yet.")
@verb_options
def recover(new: Path, registry: str | None, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Begin to replace lost keys by a new one, with --as recovery or admin. It takes days, and all keys are told."""
    key = tried(lambda: phone.load(new))
    said_by(
        folder, role, url, trust, lambda zone, now: statements.Recover(**phone.common(zone, "", now)), also=[key],
        zone=home_of(registry) if registry else "",
    )  # fmt: skip
    click.echo("The recovery has begun. Until it is over nothing changes, and every key that is left may object.")


@say.command("object-recovery", epilog=EPILOG)
@verb_options
def object_recovery(role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Object to a recovery that somebody else has begun."""
    said_by(folder, role, url, trust, lambda zone, now: statements.ObjectRecovery(**phone.common(zone, "", now)))
    click.echo("The recovery is stopped.")
