"""`ddns gateway`: the home's side. It imports neither Twisted nor psycopg."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from ddns.cli import Failure, gateway_delegation, gateway_device, gateway_enrol, gateway_pledge, gateway_selftest
from ddns.cli.gateway_options import EPILOG, LONGEST_LEASE, LONGEST_TTL, Address, here, home, say
from ddns.cli.gateway_options import wait as wait_option
from ddns.dns import names
from ddns.dns.names import BadName
from ddns.gateway import agent, pin, records, state
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.pin import BadPin
from ddns.gateway.records import BadRecord
from ddns.gateway.state import BadState, Device, Entry, Kept, Pin, Record, State

MOST_DATA = 72  # characters of a record's data that are shown


@click.group(epilog=EPILOG)
def command() -> None:
    """Speak for a home: enrol it with its registry and publish its devices and keys."""


class _Tls(click.ParamType[tuple[int, Path]]):
    """PORT=FILE."""

    name = "PORT=CERT.pem"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, Path]:
        """Read PORT=FILE."""
        if isinstance(value, tuple):
            return value[0], value[1]
        port, mark, path = str(value).partition("=")
        if not mark or not path or not port.isdecimal() or not 0 < int(port) <= 65535:
            self.fail(f"{value!r} is not PORT=CERT.pem, such as 443=cam.pem", param, ctx)
        return int(port), Path(path)


@command.command(epilog=EPILOG)
@click.argument("name")
@click.option("--address", "addresses", type=Address(), multiple=True, help="Instead of all addresses so far.")
@click.option(
    "--tls", "certificates", type=_Tls(), multiple=True, help="Pin a TLS server's key, instead of all so far."
)
@click.option("--ttl", type=click.IntRange(0, LONGEST_TTL), help="Seconds that others may remember it (first: 300).")
@click.option(
    "--lease",
    type=click.IntRange(0, LONGEST_LEASE),
    help="Seconds after which the registry takes it away unless it is published again; 0: never (first: 0).",
)
@click.option("--remove", is_flag=True, help="Take the name away.")
@home
@wait_option
def publish(
    name: str,
    addresses: tuple[str, ...],
    certificates: tuple[tuple[int, Path], ...],
    ttl: int | None,
    lease: int | None,
    remove: bool,
    folder: Path,
    wait: float,
) -> None:
    """Publish NAME, a device of the home such as `cam`, in one update: all of it or nothing.

    What is not given stays as it was wanted before; with no option at all the same is published again.
    """
    if remove and (addresses or certificates or ttl is not None or lease is not None):
        raise click.UsageError("--remove takes the whole name away; give no other option with it")
    try:
        pins = tuple(sorted({pin.from_file(port, path) for port, path in certificates}))
        outcome = agent.publish(
            folder, name, lambda before: _changed(before, addresses, pins, ttl, lease, remove), wait=wait
        )
    except (BadName, BadPin, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None
    say(outcome)


def _changed(
    before: Device | None,
    addresses: tuple[str, ...],
    pins: tuple[Pin, ...],
    ttl: int | None,
    lease: int | None,
    remove: bool,
) -> Device | None:
    if remove:
        return None
    if before is None and not addresses and not pins:
        raise click.UsageError("nothing is known of this name yet; give --address, --tls or both")
    before = before or Device()
    return Device(
        tuple(dict.fromkeys(addresses)) or before.addresses,
        pins or before.pins,
        before.ttl if ttl is None else ttl,
        before.lease if lease is None else lease,
        before.guarded,
    )


_FILE = click.Path(path_type=Path, dir_okay=False)
_SOURCES = (
    click.option("--ssh", type=_FILE, multiple=True, help="SSHFP of the public host keys in this file."),
    click.option("--ipsec", type=_FILE, help="IPSECKEY of the public key or certificate in this file."),
    click.option("--via", default="", metavar="GATEWAY", help="With --ipsec: whom to speak to, if not NAME itself."),
    click.option(
        "--precedence",
        type=click.IntRange(0, 255),
        default=10,
        show_default=True,
        help="With --ipsec: of several gateways the lowest is tried first.",
    ),
    click.option(
        "--openpgp",
        type=(_FILE, str),
        multiple=True,
        metavar="FILE ADDRESS",
        help="OPENPGPKEY of a mail address in NAME.",
    ),
    click.option(
        "--smime", type=(_FILE, str), multiple=True, metavar="CERT ADDRESS", help="SMIMEA of a mail address in NAME."
    ),
    click.option("--https", multiple=True, metavar="TEXT", help="HTTPS, such as '1 . alpn=h2,h3'."),
    click.option("--svcb", multiple=True, metavar="TEXT", help="SVCB, such as '1 dns alpn=dot port=853'."),
    click.option("--caa", multiple=True, metavar="TEXT", help="CAA, such as '0 issue \"letsencrypt.org\"'."),
)


def _sources(deed: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which records are meant."""
    for option in reversed(_SOURCES):
        deed = option(deed)
    return deed


@command.group(epilog=EPILOG)
def record() -> None:
    """Publish SSH, IPsec, OpenPGP and S/MIME keys, services, and who may issue certificates."""


@record.command(epilog=EPILOG)
@click.argument("name")
@_sources
@click.option(
    "--ttl",
    type=click.IntRange(0, LONGEST_TTL),
    default=3600,
    show_default=True,
    help="Seconds that others may remember it.",
)
@home
@wait_option
def add(name: str, ttl: int, folder: Path, wait: float, **sources: Any) -> None:
    """Add records at NAME, such as `cam`, or `@` for the home itself; what else there is stays."""
    _record(lambda known: _made(known, name, ttl, sources), folder, wait, remove=False)


@record.command(epilog=EPILOG)
@click.argument("name")
@_sources
@click.option("--type", "kind", metavar="TYPE", help="All records of this type that this gateway has added at NAME.")
@home
@wait_option
def remove(name: str, kind: str | None, folder: Path, wait: float, **sources: Any) -> None:
    """Take away records at NAME: those that the same options of `add` would make, or all of one type."""

    def chosen(known: State) -> list[Record]:
        if kind is None:
            return _made(known, name, 0, sources)
        owner = agent.own_name(name, names.from_text(known.home))
        found = [
            one.record
            for one in known.records
            if one.record.type == kind.upper() and names.is_subdomain(names.from_text(one.record.owner), owner)
        ]
        if not found:
            raise BadRecord(f"this gateway has added no {kind.upper()} record at {names.to_text(owner)}")
        return found

    _record(chosen, folder, wait, remove=True)


def _made(known: State, name: str, ttl: int, sources: dict[str, Any]) -> list[Record]:
    """Return the records that the options say. Raises `BadName` and `BadRecord`."""
    home = names.from_text(known.home)
    owner = agent.own_name(name, home)
    made = [one for path in sources["ssh"] for one in records.ssh(owner, path, ttl)]
    if sources["ipsec"] is not None:
        made += records.ipsec(owner, sources["ipsec"], ttl, gateway=sources["via"], precedence=sources["precedence"])
    for path, address in sources["openpgp"]:
        made += records.openpgp(owner, path, address, ttl)
    for path, address in sources["smime"]:
        made += records.smime(owner, path, address, ttl)
    for kind, number in records.SPELLED.items():
        for text in sources[kind]:
            made += records.said(owner, number, text, home, ttl)
    if not made:
        raise click.UsageError("say which records: --ssh, --ipsec, --openpgp, --smime, --https, --svcb or --caa")
    return made


def _record(chosen: Callable[[State], list[Record]], folder: Path, wait: float, *, remove: bool) -> None:
    try:
        outcome = agent.record(folder, chosen, remove=remove, wait=wait)
    except (BadName, BadRecord, agent.NotEnrolled) as error:
        raise Failure(f"{str(error)[:1].upper()}{str(error)[1:]}", Status.USAGE) from None
    except (BadState, BadKey, OSError) as error:
        raise here(error) from None
    say(outcome)


@command.command(epilog=EPILOG)
@home
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(folder: Path, as_json: bool) -> None:
    """Say whose gateway this is and whether all that it wants is published.

    Ends with 0 if so, else with the status of the attempt that failed (1: not enrolled, or never tried).
    """
    try:
        known = state.read(folder)
    except BadState as error:
        raise here(error) from None
    if known is None:
        raise Failure(f"There is no gateway in {folder} yet; run `ddns gateway enrol` with an invitation.")
    if as_json:
        click.echo(msgspec.json.encode(known))
    else:
        for line in _lines(known):
            click.echo(line)
    click.get_current_context().exit(agent.standing(known))


def _lines(known: State) -> list[str]:
    since = f"since {_when(known.enrolled_at)}" if known.enrolled_at is not None else "not enrolled yet"
    lines = [
        f"home      {known.home} ({since})",
        f"registry  {known.registry} at {known.host} port {known.port}",
        f"key       {known.key.rsplit('+', 1)[1]} (P-256)",
    ]
    for name, entry in known.devices.items():
        lines += ["", f"{name}  {_standing(entry)}"]
        if entry.wanted is not None:
            lines += [f"  {address}" for address in entry.wanted.addresses]
            lines += [f"  {_pin(one)}" for one in entry.wanted.pins]
    for kept in known.records:
        data = kept.record.data
        shown = data if len(data) <= MOST_DATA else f"{data[: MOST_DATA - 1]}…"
        lines += ["", f"{kept.record.owner} {kept.record.type}  {_standing(kept)}", f"  {shown}"]
    return lines


def _pin(one: Pin) -> str:
    where = f"TLSA port {one.port}" if one.port else "TLSA as a client"
    return f"{where}: {one.usage} 1 1 {one.digest}{f' ({one.phase})' if one.phase else ''}"


def _standing(entry: Entry | Kept) -> str:
    if entry.outcome is None:
        return "not published yet: the last attempt was interrupted"
    if entry.outcome.status == Status.DONE:
        end = entry.until if isinstance(entry, Entry) else None
        until = "" if end is None else f", leased until {_when(end)}"
        return f"published {_when(entry.outcome.at)}{until}"
    wish = "not published" if entry.wanted else "to be removed"
    return f"{wish}: {entry.outcome.sentence}"


def _when(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


for _verb in (
    gateway_enrol.enrol, gateway_enrol.reset_, gateway_enrol.replace, gateway_enrol.bind, gateway_enrol.key,
    gateway_enrol.qr_, gateway_enrol.pair,
):  # fmt: skip
    command.add_command(_verb)
command.add_command(gateway_pledge.renew)
command.add_command(gateway_selftest.selftest)
command.add_command(gateway_device.device)
command.add_command(gateway_device.hook)
command.add_command(gateway_delegation.leave)
command.add_command(gateway_delegation.return_)
