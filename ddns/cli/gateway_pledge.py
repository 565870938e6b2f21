"""`ddns gateway enrol --brski` and `--evidence`, and `ddns gateway renew`: a box that somebody vouches for."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.cli.gateway_options import EPILOG, here, home, say
from ddns.dns import names
from ddns.dns.names import BadName
from ddns.gateway import attesting, bootstrap, desk, ldevid, pledge
from ddns.gateway.agent import NotEnrolled
from ddns.gateway.enrolling import CannotEnrol
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.pledge import BadBox
from ddns.gateway.state import BadState, Outcome
from ddns.gateway.vouching import Maker

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def options(deed: Any) -> Any:
    """Add the options of an enrolment by a maker's certificate."""
    for one in (
        click.option("--jws", is_flag=True, help="With --brski: sign as JWS; else as CMS."),
        click.option(
            "--anchor",
            type=_file,
            metavar="PEM",
            help="With --brski: the certificate that the maker's vouchers are by.",
        ),
        click.option(
            "--idevid", type=(_file, _file), metavar="CERT KEY", help="With --brski: what the maker put into the box."
        ),
        click.option("--brski", metavar="URL", help="Enrol at this registrar by the maker's word (RFC 8995)."),
    ):
        deed = one(deed)
    return deed


def made(deed: Any) -> Any:
    """Add the options by which a box that waits for a phone has a maker."""
    for one in (
        click.option("--anchor", type=_file, metavar="PEM", help="Whose vouchers count, for what --idevid names."),
        click.option("--idevid", type=(_file, _file), metavar="CERT KEY", help="What the maker put into the box."),
    ):
        deed = one(deed)
    return deed


def maker(idevid: tuple[Path, Path] | None, anchor: Path | None) -> Maker | None:
    """Return the maker of a box that waits for a phone; None: it shows none. Raises `Failure` and `UsageError`."""
    if (idevid is None) != (anchor is None):
        raise click.UsageError("--idevid CERT KEY and --anchor PEM go together")
    if idevid is None or anchor is None:
        return None
    try:
        return Maker(pledge.read_identity(*idevid), pledge.read_anchors(anchor.read_bytes()))
    except (BadBox, OSError) as error:
        raise here(error) from None


def evident(deed: Any) -> Any:
    """Add the options of an enrolment with evidence of what holds the key."""
    for one in (
        click.option("--label", default="", help="With --evidence alone: the name that the home is to have."),
        click.option("--registry", metavar="ZONE", help="With --evidence alone: below which zone the home is to be."),
        click.option("--desk", "url", metavar="URL", help="With --evidence alone: where the registry is asked."),
        click.option(
            "--evidence", "source", metavar="COMMAND|FILE",
            help='What holds the key: a command that reads {"nonce", "jwk"} and writes an EAT, or a file with one.',
        ),
    ):  # fmt: skip
        deed = one(deed)
    return deed


def begin_alone(source: str, url: str | None, registry: str | None, label: str, trust: str, folder: Path) -> None:
    """Begin to enrol by evidence alone; `go_on` follows. Raises `Failure` and `UsageError`."""
    if url is None or registry is None:
        raise click.UsageError("--evidence goes together with an INVITATION, or with --desk URL and --registry ZONE")
    host, port = _place(url, "--desk")
    try:
        zone = names.from_text(registry)
        attesting.begin(folder, zone, desk.believing(host, port, host, trust), source, label)
    except (BadName, CannotEnrol) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}.", Status.USAGE) from None
    except (BadState, OSError) as error:
        raise here(error) from None


def waits(folder: Path) -> bool:
    """Tell whether an enrolment without an invitation is under way in *folder*. Raises `Failure`."""
    try:
        return bootstrap.under_way(folder) is not None or attesting.under_way(folder) is not None
    except BadState as error:
        raise here(error) from None


def begin(
    url: str, idevid: tuple[Path, Path] | None, anchor: Path | None, folder: Path, *, jws: bool
) -> Outcome | None:
    """Begin to enrol at *url*; None: `bootstrap.go_on` follows. Raises `Failure` and `UsageError`."""
    if idevid is None or anchor is None:
        raise click.UsageError("--brski goes together with --idevid CERT KEY and --anchor PEM")
    host, port = _place(url)
    try:
        return bootstrap.begin(folder, host, port, pledge.read_identity(*idevid), anchor.read_bytes(), jws=jws)
    except (BadBox, BadState, BadKey, OSError) as error:
        raise here(error) from None


def go_on(folder: Path, wait: float, *, again: bool = False) -> Outcome:
    """Go on with what `begin` or `begin_alone` began. Raises `Failure`."""
    try:
        if bootstrap.under_way(folder) is None:
            return attesting.go_on(folder, wait=wait, again=again)
        return bootstrap.go_on(folder, wait=wait, again=again)
    except CannotEnrol as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}.", Status.FAILED) from None
    except (BadBox, BadState, BadKey, OSError) as error:
        raise here(error) from None


@click.command(epilog=EPILOG)
@click.option("--new-key", is_flag=True, help="With a new key, which takes the place of the one that there is.")
@home
def renew(new_key: bool, folder: Path) -> None:
    """Renew the certificate that the registry gave this gateway when it enrolled with --brski (EST, RFC 7030)."""
    say(renewed(folder, fresh=new_key))


def renewed(folder: Path, *, fresh: bool) -> Outcome:
    """Renew the certificate in *folder*, with a *fresh* key or with the one that there is. Raises `Failure`."""
    try:
        return ldevid.renew(folder, fresh=fresh)
    except (NotEnrolled, CannotEnrol) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None


def _place(url: str, option: str = "--brski") -> tuple[str, int]:
    """Return host and port of a server's address. Raises `UsageError`."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise click.UsageError(f"{option} {url!r}: write https://HOST:PORT") from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise click.UsageError(f"{option} {url!r}: write https://HOST:PORT")
    return parts.hostname, port
