"""`ddns phone`: the owner's side of a home, as a phone does it: keys, what they sign, and where that goes."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from ddns.cli import Failure, phone_say
from ddns.cli.gateway_options import EPILOG, cafile, read_cafile
from ddns.cli.phone_options import (
    desk_option,
    folder_option,
    home_of,
    judged,
    key_option,
    load,
    offered,
    place,
    remember,
    said_by,
    tried,
    verb_options,
)
from ddns.dns import names
from ddns.gateway import desk, enrolling, maker_asking, paper_code, phone, scanning
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk
from ddns.gateway.invitation import Invitation
from ddns.gateway.key import write_private
from ddns.gateway.outcome import Status
from ddns.gateway.phone import BadPhone
from ddns.proof import jwk, statements
from ddns.proof.dpp import DppUri
from ddns.proof.jwk import PrivateKey
from ddns.proof.statements import AnyStatement


@click.group(epilog=EPILOG)
def command() -> None:
    """Speak for a home's owner: hold the owner's keys, accept a gateway, and say what is to be done."""


@command.command(epilog=EPILOG)
@click.option("--role", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="What the key is for.")
@click.option("--curve", type=click.Choice(phone.CURVES), default="P-256", show_default=True, help="Its kind.")
@click.option("--paper", is_flag=True, help="Show, this once, a code to write down from which the key is made anew.")
@click.option("--from-paper", is_flag=True, help="Make the key anew from such a code, which is asked for.")
@folder_option
def make(role: str, curve: str, paper: bool, from_paper: bool, folder: Path) -> None:
    """Make an owner's key. A recovery key is for paper: write down its code, and take its file off the phone."""
    if (paper or from_paper) and (curve != "P-256" or (paper and from_paper)):
        raise click.UsageError("--paper and --from-paper exclude each other, and are for P-256")
    if from_paper:
        code = click.prompt("The code on the paper", err=True)
        made: PrivateKey = tried(lambda: phone.keep(folder, role, paper_code.key_of(paper_code.read(code))))
    elif paper:
        chance = secrets.token_bytes(paper_code.CHANCE)
        made = tried(lambda: phone.keep(folder, role, paper_code.key_of(chance)))
        click.echo(f"Write this down, it is shown only now: {paper_code.write(chance)}")
    else:
        made = tried(lambda: phone.make(folder, role, curve))
    click.echo(f"The {role} key {jwk.kid(jwk.of(made))} is in {folder / f'{role}.pem'}; keep a copy of it safe.")
    click.echo(f"Its public half, for the gateway: {folder / f'{role}.jwk'}")


@command.command(epilog=EPILOG)
@click.argument("code")
@click.option("--box", metavar="HOST:PORT", help="Where the box waits whose code it is (`ddns gateway pair`).")
@click.option("--registry", metavar="ZONE", help="With --box: the registry's zone, if the phone has no home there yet.")
@click.option("--label", default="", help="With --box: the name that the home is to have; without it one is made.")
@click.option("--secret", default="", help="With --box: what the seller gave who lets the box go to its bearer.")
@click.option("--without-maker", is_flag=True, help="With --box: do not ask its maker for a voucher.")
@click.option(
    "--maker-cafile",
    "believed",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PEM",
    help="With --box: whom its maker's service is believed by.",
)
@desk_option
@cafile
@folder_option
def scan(
    code: str,
    box: str | None,
    registry: str | None,
    label: str,
    secret: str,
    without_maker: bool,
    believed: Path | None,
    url: str | None,
    trust: Path | None,
    folder: Path,
) -> None:
    """Scan CODE: that of an invitation, the line or the link, or with --box the one that is printed on a box.

    From an invitation the phone learns where the registry is, and keeps nothing else of it. A box has to show that it
    has the printed key; where the code names its maker's service, the phone has that say that the box is the owner's.
    Then `accept` is all that is left.
    """
    if box is not None:
        before = _before(code, box, registry, url, trust, folder)
        if before.uri.maker and not without_maker:
            _ask_maker(before, "" if believed is None else read_cafile(believed))
        _scan_box(before, label, secret, folder)
        return
    invitation = tried(lambda: Invitation.from_text(code))
    where = tried(lambda: enrolling.place(invitation, "" if trust is None else read_cafile(trust), Clock()))
    if isinstance(where, Unreachable):
        raise Failure(f"The registry could not be asked: {where.reason}; try again.", Status.UNREACHABLE)
    known = tried(lambda: phone.read(folder))
    zone = names.to_text(invitation.zone)
    tried(lambda: phone.write(folder, msgspec.structs.replace(known, registry=zone, desk=where)))
    click.echo(f"An invitation for {names.to_text(invitation.home)}, by the registry of {zone} at {where.said}.")
    click.echo(f"At the gateway: ddns gateway enrol - --owner {folder / 'owner.jwk'}")


def _ask_maker(before: _Before, cafile: str) -> None:
    """Have the maker of the box say that it is this owner's. Raises `Failure`."""

    def work() -> bool:
        return maker_asking.fetch(
            before.uri, before.box, before.owner, before.nonce, before.now, secrets.token_bytes, cafile
        )

    try:
        found = tried(work)
    except maker_asking.MakerAway as error:
        raise Failure(f"{error} To go on without its word: --without-maker.", error.status) from None
    if found:
        click.echo("The maker of the box says that it may be yours.")


def _scan_box(before: _Before, label: str, secret: str, folder: Path) -> None:
    """Challenge the box whose printed code was scanned, and keep its wish until the owner accepts."""
    offer = scanning.Offer(before.zone, before.nonce, label, secret)
    found = tried(
        lambda: scanning.challenge(before.uri, before.box, before.owner, offer, before.now, secrets.token_bytes)
    )
    name = offered(before.where, found.wish.encode())
    write_private(folder / scanning.FILE, msgspec.json.encode(found) + b"\n")
    _know(folder, before)
    click.echo(
        f"The box has shown the printed key. It asks for {name or label or 'a home'}, by the registry of {before.zone}."
    )
    click.echo("If it is to be yours: ddns phone accept")


class _Before(msgspec.Struct, frozen=True):
    """A phone that stands before the box at *box*, with the code *uri* and a nonce of the registry of *zone*."""

    uri: DppUri
    box: tuple[str, int]
    zone: str
    where: Desk
    owner: PrivateKey
    nonce: str
    now: int


def _before(code: str, box: str, registry: str | None, url: str | None, trust: Path | None, folder: Path) -> _Before:
    """Read the code, and get from the registry what a box is to answer."""
    uri = tried(lambda: scanning.read(code))
    where, owner, ticking = tried(lambda: (place(folder, url, trust), load(folder, "owner"), Clock()))
    zone = registry or tried(lambda: phone.read(folder)).registry
    if not zone:
        raise click.UsageError("say which registry it is to be, with --registry ZONE")
    host, _, port = box.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError(f"--box {box!r}: write HOST:PORT")
    zone = home_of(zone)
    got = scanning.fresh_nonce(where, ticking)
    if not isinstance(got, str):
        judged(got, where)
        raise Failure("The registry gave no nonce; try again.", Status.LATER)
    return _Before(uri, (host.strip("[]"), int(port)), zone, where, owner, got, ticking.now)


def _know(folder: Path, before: _Before) -> None:
    """Have the phone remember the registry that it asked."""
    known = tried(lambda: phone.read(folder))
    tried(lambda: phone.write(folder, msgspec.structs.replace(known, registry=before.zone, desk=before.where)))


@command.command(epilog=EPILOG)
@click.argument("code")
@click.option("--box", required=True, metavar="HOST:PORT", help="Where the box waits (`ddns gateway pair`).")
@click.option("--registry", metavar="ZONE", help="The registry's zone, if the phone has no home there yet.")
@desk_option
@cafile
@folder_option
def claim(code: str, box: str, registry: str | None, url: str | None, trust: Path | None, folder: Path) -> None:
    """Claim the box with CODE on it, which somebody else enrolled who is silent. It takes weeks, and he is told.

    If he neither objects nor uses the box until then, it is yours to enrol: scan it again.
    """
    before = _before(code, box, registry, url, trust, folder)
    offer = scanning.Offer(before.zone, before.nonce)
    octets = tried(lambda: scanning.claim(before.uri, before.box, before.owner, offer, before.now, secrets.token_bytes))
    said = judged(phone.post(before.where, octets), before.where)
    _know(folder, before)
    day = _day(said.members.get("due")) or "the registry's waiting time is over"
    click.echo(f"The claim is filed, and the box's owner is told. If nobody objects until {day}, scan it again then.")


def _accept_box(folder: Path, url: str | None, trust: Path | None) -> None:
    """Sign the wish of the box that was scanned last, post it, and bring the box what came of it."""

    def work() -> tuple[scanning.Scanned, PrivateKey, Desk]:
        try:
            found = msgspec.json.decode((folder / scanning.FILE).read_bytes(), type=scanning.Scanned)
        except (OSError, msgspec.DecodeError):
            raise BadPhone("nothing waits to be accepted; scan the code on the box, or give a REQUEST") from None
        return found, load(folder, "owner"), place(folder, url, trust)

    found, owner, where = tried(work)
    said = judged(scanning.accept(found, owner, where), where)
    home = str(said.members.get("home", ""))
    remember(folder, phone.read(folder).registry, where, home)
    click.echo(f"Done: {home} is yours.")
    click.echo(tried(lambda: scanning.bring(found, owner, where, said)))
    (folder / scanning.FILE).unlink(missing_ok=True)


@command.command(epilog=EPILOG)
@click.argument("request", required=False, type=click.Path(path_type=Path, dir_okay=False))
@key_option
@desk_option
@cafile
@folder_option
def accept(request: Path | None, role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Say what REQUEST asks for, a statement that a gateway has signed; sign beside it, and send it.

    Without REQUEST it is what the box asks for whose code was scanned.
    """
    if request is None:
        _accept_box(folder, url, trust)
        return
    wanted = request

    def work() -> tuple[AnyStatement, bytes, Desk]:
        octets, statement = phone.read_request(wanted)
        signers = statements.SIGNERS[statement.act]
        if len(signers) < 2 or "owner" not in signers[1]:
            raise BadPhone(f"{wanted} is no statement for an owner to accept; `ddns phone carry` sends what is signed")
        statements.timely(statement, int(time.time()))
        return statement, phone.beside(octets, load(folder, role)), place(folder, url, trust)

    statement, octets, where = tried(work)
    # Not having a name is no refusal here: what was accepted before is answered again as it was then.
    name = offered(where, octets, needed=False) if isinstance(statement, statements.Enrol) else ""
    click.echo(_words(statement, name))
    said = judged(phone.post(where, octets), where)
    home = str(said.members.get("home") or said.members.get("zone") or statement.sub)
    remember(folder, statement.aud, where, home)
    click.echo(f"Done: {home} is yours." if statement.act != "replace" else f"Done: {home} has its new gateway.")


@command.command(epilog=EPILOG)
@click.argument("request", type=click.Path(path_type=Path, dir_okay=False))
@desk_option
@cafile
@folder_option
def carry(request: Path, url: str | None, trust: Path | None, folder: Path) -> None:
    """Send the statement in REQUEST, signed by all who have to sign it, from wherever the registry can be reached."""
    octets, _ = tried(lambda: phone.read_request(request))
    where = tried(lambda: place(folder, url, trust))
    judged(phone.post(where, octets), where)
    click.echo("Done.")


@command.command(epilog=EPILOG)
@verb_options
def notices(role: str, url: str | None, trust: Path | None, folder: Path) -> None:
    """Show what the registry has to tell the owner."""
    said = said_by(folder, role, url, trust, lambda zone, now: statements.Token(**phone.common(zone, "", now)))
    token = str(said.members.get("token", ""))
    where = tried(lambda: place(folder, url, trust))
    answer = judged(
        desk.ask(where, "GET", "/v1/notices?limit=100", headers={"Authorization": f"Bearer {token}"}), where
    )
    found = answer.members.get("notices") or []
    if not found:
        click.echo("There is nothing new.")
    for one in found:
        click.echo(_notice(one))


def _notice(one: dict[str, Any]) -> str:
    """Return a notice as a line: when, what, about which home, and until when something waits."""
    about = one.get("data") or {}
    due = about.get("due")
    words = [_day(one.get("at")), str(one.get("kind", "")), str(about.get("home", ""))]
    return "  ".join([*words, f"until {_day(due)}" if due else ""]).rstrip()


def _day(at: object) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at)) if isinstance(at, int) else ""


def _words(statement: AnyStatement, name: str) -> str:
    """Return what *statement* does, for the one who is to sign it; *name* is what its home would be called."""
    if isinstance(statement, statements.Enrol):
        home = name or statement.label or "a home"
        return f"A gateway asks to enrol {home} at the registry of {statement.aud}, with you as its owner."
    if isinstance(statement, statements.Replace):
        return f"A gateway asks to take over {statement.sub}; every other key of it is dead from then on."
    return f"The gateway of {statement.sub} asks that you be its owner."


command.add_command(phone_say.say)
