"""`ddns verify-device NAME`: the verdict of a stranger who trusts the registry's DS and nothing else."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import dns.exception
import dns.name
import dns.resolver

from ddns.cli import Failure
from ddns.verifier import device
from ddns.verifier.chain import Anchor, Server
from ddns.verifier.device import Standing, Verdict

TRUSTED, NOT_TRUSTED, CANNOT_TELL = 0, 1, 4
_STATUS = {Standing.TRUSTED: TRUSTED, Standing.UNKNOWN: CANNOT_TELL}
_UNDERSTANDING = {
    Standing.TRUSTED: "is who its registry says",
    Standing.UNTRUSTED: "is not to be trusted",
    Standing.INSECURE: "cannot be told from anybody else: its records are not signed",
    Standing.UNKNOWN: "could not be asked",
}

# The keys of the root zone, as DS (https://data.iana.org/root-anchors/root-anchors.xml): KSK-2017 and KSK-2024.
ROOT = (
    "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    "38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
)
_OURS = re.compile(
    r'^\s*"?([^\s";]+?)"?\s+(?:\d+\s+)?(?:IN\s+)?(?:DS|static-ds|initial-ds)\s+(\d+ \d+ \d+) ([^;]+);?$', re.IGNORECASE
)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class _Place(click.ParamType[tuple[str, int]]):
    """ADDRESS or ADDRESS:PORT."""

    name = "ADDR[:PORT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read 192.0.2.1, 192.0.2.1:5300, 2001:db8::1 or [2001:db8::1]:5300."""
        if isinstance(value, tuple):
            return value[0], value[1]
        found = re.fullmatch(r"\[(?P<six>[^]]+)](?::(?P<port6>\d+))?|(?P<four>[^:]+)(?::(?P<port4>\d+))?", str(value))
        address = str(value) if found is None else found["six"] or found["four"]
        port = 53 if found is None else int(found["port6"] or found["port4"] or 53)
        try:
            ipaddress.ip_address(address)
        except ValueError:
            self.fail(f"{address!r} is no address; a name would have to be believed first", param, ctx)
        if not 0 < port <= 65535:
            self.fail(f"{port} is no port", param, ctx)
        return address, port


@click.command(
    epilog="Exit statuses: 0 trusted; 1 not trusted, or not signed; 2 wrong usage; 4 nobody can tell: no answer."
)
@click.argument("name")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=443, show_default=True, help="Its TLS server's TCP port."
)
@click.option("--client", is_flag=True, help="Judge it as a client, by the TLSA records under _device; needs --cert.")
@click.option(
    "--cert",
    "certificates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file with what it showed, its own certificate first; then nobody connects.",
)
@click.option(
    "--anchor",
    "anchor_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What you trust: DS records as `ddns zone ds` prints them, or a file of delv's. Default: the root's keys.",
)
@click.option("--server", "place", type=_Place(), help="Ask this server (default: this machine's resolver).")
@click.option("--connect", "address", metavar="ADDR", help="Connect to this address and not to those in the DNS.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="Seconds for each question."
)
@click.option("--registry", is_flag=True, help="On the registry's machine: tell how sure it is of the key's holder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
@click.option("--dsn", help="With --registry: its Postgres, not an embedded one.")
@click.option("--state", type=click.Path(path_type=Path), help="With --registry: the folder of the embedded database.")
def command(
    name: str,
    port: int,
    client: bool,
    certificates: Path | None,
    anchor_file: Path | None,
    place: tuple[str, int] | None,
    address: str | None,
    timeout: float,
    registry: bool,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Tell whether the device NAME is who its registry says: DNSSEC chain, TLSA records, and the key that it shows."""
    if client and certificates is None:
        raise click.UsageError(
            "a client comes to you, and not you to it; give the certificate that it showed: --cert FILE"
        )
    try:
        whole = str(dns.name.from_text(name))
    except (dns.exception.DNSException, UnicodeError) as error:
        raise click.UsageError(f"{name!r} is no name: {error}") from None
    anchor = Anchor.from_text(".", *ROOT) if anchor_file is None else read_anchor(anchor_file)
    asked = _server(place, timeout)
    if certificates is not None:
        chain = _read_certificates(certificates)
        try:
            found = (
                device.client(asked, anchor, whole, chain)
                if client
                else device.certificate(asked, anchor, whole, port, chain)
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    else:
        found = device.server(asked, anchor, whole, port=port, address=address, timeout=timeout)
    assurance = _assurance(whole, dsn, state) if registry else None
    if as_json:
        click.echo(json.dumps(as_values(found, assurance), indent=2))
    else:
        _print(found, assurance, registry=registry)
    click.get_current_context().exit(_STATUS.get(found.standing, NOT_TRUSTED))


def as_values(found: Verdict, assurance: str | None) -> dict[str, object]:
    """Return the verdict as JSON's values; programs rely on these names (docs/howto/check-a-device.md)."""
    return {
        "name": found.name,
        "owner": found.owner,
        "verdict": str(found.standing),
        "reasons": list(found.reasons),
        "chain": [{"name": one.name, "type": one.type, "zone": one.zone, "tag": one.tag} for one in found.steps],
        "tlsa": [
            {
                "usage": one.usage,
                "selector": one.selector,
                "matching": one.matching,
                "digest": one.digest,
                "matches": one.matches,
            }
            for one in found.records
        ],
        "connected": found.connected,
        "assurance": assurance,
        "until": found.until,
    }


def read_anchor(path: Path) -> Anchor:
    """Read DS records, as a master file has them or in delv's `trust-anchors`. Raises `Failure`."""
    zones: dict[str, list[str]] = {}
    for line in path.read_text(errors="replace").replace("{", "\n").replace("}", "\n").splitlines():
        found = _OURS.match(line.strip())
        if found is not None:
            zone = str(dns.name.from_text(found[1]))
            digest = "".join(found[3].replace('"', "").split())
            zones.setdefault(zone, []).append(f"{found[2]} {digest}")
    if len(zones) != 1:
        raise Failure(f"{path} must hold the DS records of one zone, such as `ddns zone ds ZONE` prints them.", 2)
    ((zone, records),) = zones.items()
    try:
        return Anchor.from_text(zone, *records)
    except (dns.exception.DNSException, ValueError) as error:
        raise Failure(f"{path} holds a DS record that does not parse: {error}", 2) from None


def _server(place: tuple[str, int] | None, timeout: float) -> Server:
    if place is not None:
        return Server(place[0], place[1], timeout, resolver=True)
    with contextlib.suppress(dns.exception.DNSException, OSError):
        known = dns.resolver.Resolver()
        if known.nameservers:
            return Server(str(known.nameservers[0]), known.port, timeout, resolver=True)
    raise Failure("This machine names no resolver in /etc/resolv.conf; say with --server whom to ask.")


def _read_certificates(path: Path) -> tuple[bytes, ...]:
    octets = path.read_bytes()
    pems = _PEM.findall(octets.decode("ascii", "replace"))
    return tuple(ssl.PEM_cert_to_DER_cert(one) for one in pems) or (octets,)


def _assurance(name: str, dsn: str | None, state: Path | None) -> str | None:
    """Return how sure the registry is of who holds the key that speaks for *name*; None where it knows no such key.

    Of several keys of one name the least sure counts.
    """
    # Whoever only looks from outside needs no database.
    from ddns.auth.principal import ASSURANCES, Secret  # noqa: PLC0415
    from ddns.cli.shell import run  # noqa: PLC0415
    from ddns.dns import names  # noqa: PLC0415
    from ddns.store import credentials  # noqa: PLC0415

    async def work(conn: Any, _database: Any) -> str | None:
        above = names.suffixes(names.from_text(name))
        found = await credentials.by_names(conn, above, lambda _name, _sealed: Secret(b""))
        nearest = next((found[one] for one in above if found.get(one)), ())
        return min((key.assurance for key in nearest), key=ASSURANCES.index, default=None)

    return run(dsn, state, work)


def _print(found: Verdict, assurance: str | None, *, registry: bool) -> None:
    click.echo(f"{click.style(found.name.rstrip('.'), bold=True)} {_UNDERSTANDING[found.standing]}.")
    for reason in found.reasons:
        click.echo(f"  {reason}")
    if found.until is not None:
        click.echo(f"  The proof holds until {datetime.fromtimestamp(found.until, UTC):%Y-%m-%d %H:%M} UTC.")
    if registry and assurance is not None:
        click.echo(f"  The registry's assurance of who holds its key: {assurance}.")
    elif registry:
        click.echo("  The registry knows no key that speaks for it.")
