"""What the verbs of `ddns phone` have in common: options, where statements go, and how the answer is said."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from ddns.cli import Failure
from ddns.cli.gateway_options import cafile, here, read_cafile
from ddns.dns import names
from ddns.dns.names import BadName
from ddns.gateway import agent, desk, phone, scanning
from ddns.gateway.client import Unreachable
from ddns.gateway.desk import Desk, Said
from ddns.gateway.enrolling import CannotEnrol
from ddns.gateway.invitation import BadInvitation
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.paper_code import BadCode
from ddns.gateway.phone import BadPhone, Phone
from ddns.gateway.reply import Unproved
from ddns.gateway.state import BadState
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey
from ddns.proof.statements import AnyStatement

_Result = TypeVar("_Result")
_UNSAID = (404, 429)  # a registry without such offers, and one that has shown too many names


def _default_folder() -> Path:
    given = os.environ.get("DDNS_PHONE")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(given) if given else Path(base) / "ddns-phone"


folder_option = click.option(
    "--phone",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=_default_folder,
    help="Folder with the owner's keys (default: $DDNS_PHONE or ~/.local/state/ddns-phone).",
)
key_option = click.option(
    "--as", "role", type=click.Choice(phone.ROLES), default="owner", show_default=True, help="Which key signs."
)
desk_option = click.option(
    "--desk", "url", metavar="URL", help="Where the registry takes statements; it is remembered."
)


def said_by(
    folder: Path,
    role: str,
    url: str | None,
    trust: Path | None,
    make_statement: Callable[[str, int], AnyStatement],
    *,
    also: Sequence[PrivateKey] = (),
    zone: str = "",
) -> Said:
    """Sign and send what *make_statement* makes of the registry's zone and the time, and return the answer.

    *zone* is the registry's where the phone cannot know it yet; then it is remembered, with the desk.
    """

    def work() -> tuple[Said | Unproved | Unreachable, Desk]:
        where = place(folder, url, trust)
        known = phone.read(folder)
        registry = zone or known.registry
        if not registry and not make_statement("", 0).sub:
            raise BadPhone("nobody has said which registry this is about; scan an invitation or accept a home first")
        keys = [load(folder, role), *also]
        said = phone.say(where, lambda now: make_statement(registry, now), keys)
        if zone and isinstance(said, Said):
            phone.write(folder, msgspec.structs.replace(known, registry=zone, desk=where))
        return said, where

    said, where = tried(work)
    return judged(said, where)


def verb_options(deed: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every verb of an owner has."""
    for option in (folder_option, cafile, desk_option, key_option):
        deed = option(deed)
    return deed


def home_of(text: str) -> str:
    """Return the whole name of a home. Raises `click.UsageError`."""
    try:
        return names.to_text(names.from_text(text))
    except BadName as error:
        raise click.UsageError(f"{text!r} is no name of a home: {error}") from None


def zone_of(registry: str, home: str) -> str:
    """Return the registry's zone: the one that is known, if *home* is below it, else what is above *home*."""
    whole = names.from_text(home)
    if registry and names.is_subdomain(whole, names.from_text(registry)):
        return registry
    return names.to_text(names.parent(whole))


def load(folder: Path, role: str) -> PrivateKey:
    """Return the key *role* of the phone in *folder*. Raises `BadPhone`."""
    return phone.load(folder / f"{role}.pem")


def place(folder: Path, url: str | None, trust: Path | None) -> Desk:
    """Return where statements go: what *url* says, or what is remembered. Raises `BadPhone`."""
    known = phone.read(folder)
    if url is None:
        if known.desk is None:
            raise BadPhone("nobody has said where the registry is; `ddns phone scan` an invitation, or give --desk URL")
        there = known.desk
        return there if trust is None else desk.believing(there.host, there.port, there.name, read_cafile(trust))
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise BadPhone(f"{url} is no address such as https://registry.example") from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise BadPhone(f"{url} is no address such as https://registry.example")
    return desk.believing(parts.hostname, port, parts.hostname, "" if trust is None else read_cafile(trust))


def remember(folder: Path, registry: str, where: Desk, home: str) -> None:
    """Have the phone in *folder* know where its registry is, and that *home* is its owner's."""
    known: Phone = tried(lambda: phone.read(folder))
    homes = tuple(dict.fromkeys((*known.homes, home)))
    tried(lambda: phone.write(folder, Phone(registry, where, homes)))


def judged(said: Said | Unproved | Unreachable, where: Desk) -> Said:
    """Return the answer of a registry that did it. Raises `Failure` where it did not."""
    status, sentence = judge_said(said, where)
    if status != Status.DONE or not isinstance(said, Said):
        raise Failure(sentence, status)
    return said


def offered(where: Desk, wish: bytes, *, needed: bool = True) -> str:
    """Return the name that a gateway's *wish* would get; nothing where the registry does not say it just now.

    Raises `Failure` where the wish gets none, if one is *needed*.
    """
    said = phone.offered(where, wish)
    if isinstance(said, Said) and (said.status in _UNSAID or (not needed and said.status != 200)):
        return ""
    return str(judged(said, where).members.get("home", ""))


def tried(work: Callable[[], _Result]) -> _Result:
    """Return what *work* gives. Raises `Failure` for whatever of ours it raises."""
    try:
        return work()
    except BadProof as error:
        raise Failure(error.sentence, Status.USAGE) from None
    except (BadPhone, BadCode, BadInvitation, CannotEnrol, BadName, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}.", Status.USAGE) from None
    except scanning.BoxAway as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}.", Status.UNREACHABLE) from None
    except (BadState, OSError) as error:
        raise here(error) from None
