"""`ddns phone`: the owner's side of a home, as a phone does it: keys, what they sign, and where that goes."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from ddns.cli import Failure
from ddns.cli.gateway_options import EPILOG, cafile, here, read_cafile, read_jwk
from ddns.dns import names
from ddns.dns.names import BadName
from ddns.gateway import agent, desk, enrolling, phone
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.enrolling import CannotEnrol
from ddns.gateway.invitation import BadInvitation, Invitation
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.phone import BadPhone, Phone
from ddns.gateway.reply import Unproved
from ddns.gateway.state import BadState
from ddns.proof import b64, jwk, statements
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey
from ddns.proof.statements import AnyStatement

BEARER = 32  # octets of a release's secret
LONGEST_RELEASE = 90  # days

_Result = TypeVar("_Result")


def _default_folder() -> Path:
    given = os.environ.get("DDNS_PHONE")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(given) if given else Path(base) / "ddns-phone"


_folder = click.option(
    "--phone",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_default_folder,
    help="Folder with the owner's keys (default: $DDNS_PHONE or ~/.local/state/ddns-phone).",
)
_key = click.option(
    "--as", "role", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="Which key signs."
)
_desk = click.option("--desk", "url", metavar="URL", help="Where the registry takes statements; it is remembered.")


@click.group(epilog=EPILOG)
def command() -> None:
    """Speak for a home's owner: hold the owner's keys, accept a gateway, and say what is to be done."""


@command.command(epilog=EPILOG)
@click.option("--role", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="What the key is for.")
@click.option("--curve", type=click.Choice(phone.CURVES), default="P-256", show_default=True, help="Its kind.")
@_folder
def make(role: str, curve: str, folder: Path) -> None:
    """Make an owner's key. A recovery key is for paper: print its file, and take it off the phone."""
    made = _tried(lambda: phone.make(folder, role, curve))
    click.echo(f"The {role} key {jwk.kid(jwk.of(made))} is in {folder / f'{role}.pem'}; keep a copy of it safe.")
    click.echo(f"Its public half, for the gateway: {folder / f'{role}.jwk'}")


@command.command(epilog=EPILOG)
@click.argument("code")
@cafile
@_folder
def scan(code: str, trust: Path | None, folder: Path) -> None:
    """Scan an invitation's CODE, the line or the link, and say what the gateway is told.

    The phone learns from it where the registry is, and keeps nothing else of it.
    """
    invitation = _tried(lambda: Invitation.from_text(code))
    where = _tried(lambda: enrolling.place(invitation, "" if trust is None else read_cafile(trust), Clock()))
    if isinstance(where, Unreachable):
        raise Failure(f"The registry could not be asked: {where.reason}; try again.", Status.UNREACHABLE)
    known = _tried(lambda: phone.read(folder))
    zone = names.to_text(invitation.zone)
    _tried(lambda: phone.write(folder, msgspec.structs.replace(known, registry=zone, desk=where)))
    click.echo(f"An invitation for {names.to_text(invitation.home)}, by the registry of {zone} at {where.said}.")
    click.echo(f"At the gateway: ddns gateway enrol - --owner {folder / 'owner.jwk'}")


@command.command(epilog=EPILOG)
@click.argument("request", type=click.Path(path_type=Path, dir_okay=False))
@_key
@_desk
@cafile
@_folder
def accept(request: Path, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Say what REQUEST asks for, a statement that a gateway has signed; sign beside it, and send it."""

    def work() -> tuple[AnyStatement, bytes, Desk]:
        octets, statement = phone.read_request(request)
        signers = statements.SIGNERS[statement.act]
        if len(signers) < 2 or "owner" not in signers[1]:
            raise BadPhone(f"{request} is no statement for an owner to accept; `ddns phone carry` sends what is signed")
        statements.timely(statement, int(time.time()))
        return statement, phone.beside(octets, _load(folder, role)), _place(folder, url, trust)

    statement, octets, where = _tried(work)
    click.echo(_words(statement))
    said = _judged(phone.post(where, octets), where)
    home = str(said.members.get("home") or said.members.get("zone") or statement.sub)
    _remember(folder, statement.aud, where, home)
    click.echo(f"Done: {home} is yours." if statement.act != "replace" else f"Done: {home} has its new gateway.")


@command.command(epilog=EPILOG)
@click.argument("request", type=click.Path(path_type=Path, dir_okay=False))
@_desk
@cafile
@_folder
def carry(request: Path, url: str | None, trust: Path | None, folder: Path) -> None:
    """Send the statement in REQUEST, signed by all who have to sign it, from wherever the registry can be reached."""
    octets, _ = _tried(lambda: phone.read_request(request))
    where = _tried(lambda: _place(folder, url, trust))
    _judged(phone.post(where, octets), where)
    click.echo("Done.")


@command.group(epilog=EPILOG)
def say() -> None:
    """Say something as the owner: each verb is one signed statement to the registry."""


def _said(
    folder: Path,
    role: str,
    url: str | None,
    trust: Path | None,
    make_statement: Callable[[str, int], AnyStatement],
    *,
    also: Sequence[PrivateKey] = (),
) -> Said:
    """Sign and send what *make_statement* makes of the registry's zone and the time, and return the answer."""

    def work() -> tuple[Said | Unproved | Unreachable, Desk]:
        where = _place(folder, url, trust)
        registry = phone.read(folder).registry
        if not registry and not make_statement("", 0).sub:
            raise BadPhone("nobody has said which registry this is about; scan an invitation or accept a home first")
        keys = [_load(folder, role), *also]
        return phone.say(where, lambda now: make_statement(registry, now), keys), where

    said, where = _tried(work)
    return _judged(said, where)


def _verb(deed: Callable[..., None]) -> Callable[..., None]:
    for option in (_folder, cafile, _desk, _key):
        deed = option(deed)
    return deed


def _plain(name: str, kind: type[Any], sentence: str, done: str) -> None:
    """Add the verb *name*, which says a home and nothing else."""

    @say.command(name, epilog=EPILOG, help=sentence)
    @click.argument("home")
    @_verb
    def verb(home: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
        whole = _home(home)
        _said(folder, role, url, trust, lambda zone, now: kind(**phone.common(_zone(zone, whole), whole, now)))
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


@say.command("approve-key", epilog=EPILOG)
@click.argument("home")
@click.option("--key", "thumbprint", required=True, help="The new key's thumbprint, as the gateway says it.")
@_verb
def approve_key(home: str, thumbprint: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Trust a key of HOME that was announced, in the place of all others."""
    whole = _home(home)
    _said(
        folder, role, url, trust,
        lambda zone, now: statements.ApproveKey(**phone.common(_zone(zone, whole), whole, now), key=thumbprint),
    )  # fmt: skip
    click.echo(f"{whole} has its new key; the others are dead.")


@say.command("revoke-key", epilog=EPILOG)
@click.argument("home")
@click.option("--key", "thumbprint", required=True, help="The key's thumbprint.")
@click.option("--reason", default="", help="Kept in the home's history.")
@_verb
def revoke_key(
    home: str, thumbprint: str, reason: str, role: str, url: str | None, trust: Path | None, folder: Path
) -> None:
    """Take a key of HOME away: its next message is refused."""
    whole = _home(home)
    _said(
        folder, role, url, trust,
        lambda zone, now: statements.RevokeKey(
            **phone.common(_zone(zone, whole), whole, now), key=thumbprint, reason=reason
        ),
    )  # fmt: skip
    click.echo(f"The key is dead. {whole} stays yours.")


@say.command(epilog=EPILOG)
@click.argument("home")
@click.option("--to", "receiver", type=click.Path(path_type=Path, dir_okay=False), help="The buyer's public key (JWK).")
@click.option("--bearer", is_flag=True, help="To whoever has a secret, which is shown once.")
@click.option(
    "--days", type=click.IntRange(1, LONGEST_RELEASE), default=30, show_default=True, help="How long it holds."
)
@_verb
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
    whole = _home(home)
    secret = secrets.token_bytes(BEARER)
    to = None if receiver is None else jwk.kid(read_jwk(receiver))
    digest = b64.encode(hashlib.sha256(secret).digest()) if receiver is None else None

    def made(zone: str, now: int) -> AnyStatement:
        until = now + days * 86_400
        return statements.Release(
            **phone.common(_zone(zone, whole), whole, now), until=until, bearer=digest, receiver=to
        )

    _said(folder, role, url, trust, made)
    click.echo(f"The box of {whole} is free, and its keys are dead. The name stays yours.")
    if bearer:
        click.echo(f"The buyer's secret, shown only now: {b64.encode(secret)}")


@say.command("add-owner-key", epilog=EPILOG)
@click.option("--new", "new", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new key (PEM).")
@click.option(
    "--for", "purpose", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="What it may."
)
@click.option("--note", default="", help="What you call it.")
@_verb
def add_owner_key(
    new: Path, purpose: statements.Role, note: str, role: str, url: str | None, trust: Path | None, folder: Path
) -> None:
    """Add a key: a second one of yours, an administrator's, or one for recovery. It signs, too."""
    key = _tried(lambda: phone.load(new))
    _said(
        folder, role, url, trust,
        lambda zone, now: statements.AddOwnerKey(**phone.common(zone, "", now), role=purpose, note=note),
        also=[key],
    )  # fmt: skip
    click.echo(f"The {purpose} key {jwk.kid(jwk.of(key))} is yours now, too.")


@say.command("remove-owner-key", epilog=EPILOG)
@click.option("--key", "thumbprint", required=True, help="The key's thumbprint.")
@_verb
def remove_owner_key(thumbprint: str, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Take an owner's key away."""
    _said(
        folder, role, url, trust,
        lambda zone, now: statements.RemoveOwnerKey(**phone.common(zone, "", now), key=thumbprint),
    )  # fmt: skip
    click.echo("The key is no more one of yours.")


@say.command(epilog=EPILOG)
@click.option("--new", "new", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new key (PEM).")
@_verb
def recover(new: Path, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Begin to replace lost keys by a new one, with --as recovery or admin. It takes days, and all keys are told."""
    key = _tried(lambda: phone.load(new))
    _said(
        folder, role, url, trust, lambda zone, now: statements.Recover(**phone.common(zone, "", now)), also=[key]
    )  # fmt: skip
    click.echo("The recovery has begun. Until it is over nothing changes, and every key that is left may object.")


@say.command("object-recovery", epilog=EPILOG)
@_verb
def object_recovery(role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Object to a recovery that somebody else has begun."""
    _said(folder, role, url, trust, lambda zone, now: statements.ObjectRecovery(**phone.common(zone, "", now)))
    click.echo("The recovery is stopped.")


@command.command(epilog=EPILOG)
@_verb
def notices(role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Show what the registry has to tell the owner."""
    said = _said(folder, role, url, trust, lambda zone, now: statements.Token(**phone.common(zone, "", now)))
    token = str(said.members.get("token", ""))
    where = _tried(lambda: _place(folder, url, trust))
    answer = _judged(
        desk.ask(where, "GET", "/v1/notices?limit=100", headers={"Authorization": f"Bearer {token}"}), where
    )
    found = answer.members.get("notices") or answer.members.get("items") or []
    if not found:
        click.echo("There is nothing new.")
    for one in found:
        click.echo(f"{one.get('at', '')}  {one.get('kind', '')}  {one.get('home') or one.get('name') or ''}".rstrip())


def _words(statement: AnyStatement) -> str:
    """Return what *statement* does, for the one who is to sign it."""
    if isinstance(statement, statements.Enrol):
        home = statement.label or "a home"
        return f"A gateway asks to enrol {home} at the registry of {statement.aud}, with you as its owner."
    if isinstance(statement, statements.Replace):
        return f"A gateway asks to take over {statement.sub}; every other key of it is dead from then on."
    return f"The gateway of {statement.sub} asks that you be its owner."


def _home(text: str) -> str:
    try:
        return names.to_text(names.from_text(text))
    except BadName as error:
        raise click.UsageError(f"{text!r} is no name of a home: {error}") from None


def _zone(registry: str, home: str) -> str:
    """Return the registry's zone: the one that is known, if *home* is below it, else what is above *home*."""
    whole = names.from_text(home)
    if registry and names.is_subdomain(whole, names.from_text(registry)):
        return registry
    return names.to_text(names.parent(whole))


def _load(folder: Path, role: str) -> PrivateKey:
    return phone.load(folder / f"{role}.pem")


def _place(folder: Path, url: str | None, trust: Path | None) -> Desk:
    """Return where statements go: what *url* says, or what is remembered. Raises `BadPhone`."""
    known = phone.read(folder)
    if url is None:
        if known.desk is None:
            raise BadPhone("nobody has said where the registry is; scan an invitation, or give --desk URL")
        return known.desk if trust is None else msgspec.structs.replace(known.desk, cafile=read_cafile(trust), pins=())
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise BadPhone(f"{url} is no address such as https://registry.example") from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise BadPhone(f"{url} is no address such as https://registry.example")
    return Desk(parts.hostname, port, parts.hostname, cafile="" if trust is None else read_cafile(trust))


def _remember(folder: Path, registry: str, where: Desk, home: str) -> None:
    known: Phone = _tried(lambda: phone.read(folder))
    homes = tuple(dict.fromkeys((*known.homes, home)))
    _tried(lambda: phone.write(folder, Phone(registry, where, homes)))


def _judged(said: Said | Unproved | Unreachable, where: Desk) -> Said:
    """Return the answer of a registry that did it. Raises `Failure` where it did not."""
    status, sentence = judge_said(said, where)
    if status != Status.DONE or not isinstance(said, Said):
        raise Failure(sentence, status)
    return said


def _tried(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except BadProof as error:
        raise Failure(error.sentence, Status.USAGE) from None
    except (BadPhone, BadInvitation, CannotEnrol, BadName, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}.", Status.USAGE) from None
    except (BadState, OSError) as error:
        raise here(error) from None
