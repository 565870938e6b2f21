"""`ddns gateway`: enrol, reset, replace, bind, and the verbs of `gateway key`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import click

from ddns.cli import Failure, gateway_pledge
from ddns.cli.gateway_options import EPILOG, Server, cafile, here, home, read_cafile, read_jwk, say, server
from ddns.cli.gateway_options import wait as wait_option
from ddns.dns import names
from ddns.dns.names import BadName, Name
from ddns.gateway import agent, enrolling, ldevid, pairing, rekey, reset
from ddns.gateway.enrolling import CannotEnrol
from ddns.gateway.invitation import BadInvitation, Invitation
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.pair_server import Door
from ddns.gateway.state import BadState, Outcome
from ddns.proof.bad import BadProof

_Result = TypeVar("_Result")

LONGEST_WAIT = 30 * 86_400  # seconds: as long as a signed wish holds

_long_wait = click.option(
    "--wait", type=click.FloatRange(1, LONGEST_WAIT), default=15.0, show_default=True, help="Seconds to keep trying."
)


@click.command(epilog=EPILOG)
@click.argument("invitation", required=False)
@click.option(
    "--owner",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.jwk",
    help="The owner's public key: the home is to be its owner's, whose phone has to accept.",
)
@click.option("--https", "by_https", is_flag=True, help="Enrol by HTTPS; a link goes that way anyhow.")
@cafile
@gateway_pledge.options
@gateway_pledge.evident
@home
@_long_wait
def enrol(
    invitation: str | None, owner: Path | None, by_https: bool, trust: Path | None, brski: str | None,
    idevid: tuple[Path, Path] | None, anchor: Path | None, jws: bool, source: str | None, url: str | None,
    registry: str | None, label: str, folder: Path, wait: float,
) -> None:  # fmt: skip
    """Make a key and spend INVITATION: the line from `ddns home invite`, or a link; - reads it from stdin.

    A box whose maker put a certificate into it needs none (--brski), nor one whose hardware is believed (--evidence).
    Without INVITATION an enrolment that waits goes on, as it does after a reboot. What is to be published is published
    as soon as there is a home.
    """
    if brski is not None:
        if invitation is not None or owner is not None or by_https or trust is not None or source is not None:
            raise click.UsageError("--brski goes without an INVITATION, --owner, --https, --cafile and --evidence")
        begun = gateway_pledge.begin(brski, idevid, anchor, folder, jws=jws)
        say(begun or gateway_pledge.go_on(folder, wait))
        _publish_again(folder, wait)
        return
    if idevid is not None or anchor is not None or jws:
        raise click.UsageError("--idevid, --anchor and --jws go together with --brski")
    if (url is not None or registry is not None or label) and (source is None or invitation is not None):
        raise click.UsageError("--desk, --registry and --label go together with --evidence, without an INVITATION")
    if invitation is None and source is not None:
        if owner is not None or by_https:
            raise click.UsageError("--evidence without an INVITATION goes by HTTPS, and without --owner")
        gateway_pledge.begin_alone(source, url, registry, label, "" if trust is None else read_cafile(trust), folder)
        _go_on(folder, wait)
        return
    if invitation is None:
        if owner is not None or by_https or trust is not None:
            raise click.UsageError("what goes on keeps its way; give the options together with an INVITATION")
        _go_on(folder, wait, again=True)
        return
    try:
        text = sys.stdin.readline() if invitation == "-" else invitation
        read = Invitation.from_text(text)
        if owner is None and source is None and not by_https and not text.strip().lower().startswith("https://"):
            said: Outcome | None = agent.enrol(folder, read, wait=wait)
        else:
            person = None if owner is None else read_jwk(owner)
            pem = "" if trust is None else read_cafile(trust)
            said = enrolling.begin(folder, read, person, cafile=pem, source=source or "")
    except BadInvitation as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, CannotEnrol, OSError) as error:
        raise here(error) from None
    if said is not None:
        say(said)
        _publish_again(folder, wait)
        return
    if owner is not None:
        click.echo(f"For the owner's phone: ddns phone accept {folder / enrolling.REQUEST}")
    _go_on(folder, wait)


def _go_on(folder: Path, wait: float, *, again: bool = False) -> None:
    if gateway_pledge.waits(folder):
        outcome = gateway_pledge.go_on(folder, wait, again=again)
    else:
        outcome = _tried(lambda: enrolling.go_on(folder, wait=wait, again=again))
    say(outcome)
    _publish_again(folder, wait)


def _publish_again(folder: Path, wait: float) -> None:
    """Publish what a reset, or an owner's patience, has left unpublished."""
    for outcome in _tried(lambda: reset.publish_again(folder, wait)):
        say(outcome)


def _tried(work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except BadProof as error:
        raise Failure(error.sentence, Status.USAGE) from None
    except (agent.NotEnrolled, BadName) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, CannotEnrol, OSError) as error:
        raise here(error) from None


@click.command("reset", epilog=EPILOG)
@click.option(
    "--forget", is_flag=True, help="Forget the home and what it published, too: the box goes to somebody else."
)
@home
def reset_(forget: bool, folder: Path) -> None:
    """Wipe the gateway's keys. The home stays its owner's; what is to be published is kept for the next key."""
    known = _tried(lambda: reset.wipe(folder, forget=forget))
    if known is None:
        click.echo(f"There was nothing to wipe in {folder}.")
        return
    click.echo(f"The keys are gone. {known.home} stays its owner's; the old key is dead when another takes its place.")
    if forget:
        click.echo(f"The owner lets the box go: ddns phone say release {known.home} --bearer")
    else:
        click.echo("To go on with this box: ddns gateway replace, and the owner's phone accepts.")


@click.command(epilog=EPILOG)
@click.argument("name", metavar="HOME", required=False)
@server
@home
@_long_wait
def replace(name: str | None, where: Server | None, folder: Path, wait: float) -> None:
    """Take over HOME with a key made here, in the place of all others, once its owner's phone accepts.

    After `reset` neither HOME nor --server is needed.
    """
    _tried(lambda: rekey.begin_replace(folder, _home(name), _place(name, where)))
    click.echo(f"For the owner's phone: ddns phone accept {folder / enrolling.REQUEST}")
    _go_on(folder, wait)


@click.command(epilog=EPILOG)
@home
def bind(folder: Path) -> None:
    """Write the statement that gives this home, which has no owner yet, the one whose phone accepts it first."""
    path = _tried(lambda: rekey.bind(folder))
    click.echo(f"Within 15 minutes, for the owner's phone: ddns phone accept {path}")


@click.command("qr", epilog=EPILOG)
@click.option("--maker", default="", metavar="HOST", help="The host of the maker's service, for the code.")
@click.option("--information", default="", help="What the code says about the box, such as its serial number.")
@click.option("--show", is_flag=True, help="Show it as a QR code, too.")
@home
def qr_(maker: str, information: str, show: bool, folder: Path) -> None:
    """Print the text of the code on the box (DPP); its key is made the first time, and stays."""

    def work() -> str:
        return pairing.printed(folder, maker=maker, information=information)

    text = _tried(work)
    click.echo(text)
    if show:
        import_module("ddns.cli.paper").show(text)  # it needs what a small box may lack


@click.command(epilog=EPILOG)
@click.option(
    "--listen", default="127.0.0.1:8080", show_default=True, metavar="ADDR:PORT", help="In the home's own network."
)
@click.option(
    "--wait", type=click.FloatRange(1, LONGEST_WAIT), default=600.0, show_default=True, help="Seconds without a phone."
)
@gateway_pledge.made
@home
def pair(listen: str, wait: float, idevid: tuple[Path, Path] | None, anchor: Path | None, folder: Path) -> None:
    """Wait for a phone that scans the code on the box; what its owner accepts is this gateway's home.

    With --idevid and --anchor the phone may have the box's maker say whose it is: then the registry believes more.
    """
    maker = gateway_pledge.maker(idevid, anchor)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.UsageError(f"--listen {listen!r}: write ADDR:PORT")
    _tried(lambda: pairing.printed_key(folder))
    with _tried(lambda: Door((host.strip("[]"), int(port)), folder, maker)) as door:
        click.echo(f"Waiting at {host} port {door.server_port} for a phone.")
        outcome = door.pair(wait)
    if outcome is None:
        raise Failure("No phone came; run this again when somebody stands before the box.", Status.LATER)
    say(outcome)
    _publish_again(folder, wait)


@click.group(epilog=EPILOG)
def key() -> None:
    """Change the gateway's key: roll it, or make a new one known after the old one is lost."""


@key.command(epilog=EPILOG)
@home
@wait_option
def roll(folder: Path, wait: float) -> None:
    """Put a new key in the place of this gateway's, in one step; the old one is dead from then on.

    Where the registry gave a certificate for the old one, it gives one for the new key: `ddns gateway renew --new-key`.
    """
    if _tried(lambda: ldevid.held(folder)) is not None:
        say(gateway_pledge.renewed(folder, fresh=True))
        return
    say(_tried(lambda: rekey.roll(folder, wait=wait)))


@key.command(epilog=EPILOG)
@click.argument("name", metavar="HOME", required=False)
@server
@home
@wait_option
def announce(name: str | None, where: Server | None, folder: Path, wait: float) -> None:
    """Make a new key of HOME known to its registry, which trusts it as soon as the owner approves.

    The old key, wherever it is, works until then. Ends with 7 where the registry waits for the owner.
    """
    say(_tried(lambda: rekey.announce(folder, _home(name), _place(name, where), wait=wait)))


def _home(name: str | None) -> Name | None:
    return None if name is None else names.from_text(name)


def _place(name: str | None, where: Server | None) -> rekey.Place | None:
    if where is None:
        return None
    if name is None:
        raise click.UsageError("with --server say which HOME it is")
    zone = names.parent(names.from_text(name))
    return rekey.Place(zone, where.host, where.port, where.tls)
