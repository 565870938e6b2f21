"""`ddns masa`: a small maker's service to run the enrolment of bonded boxes against."""

from __future__ import annotations

import re
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.cli import Failure
from ddns.cli.shell import count, json_option, print_json, print_table, when
from ddns.masa import issuing, making
from ddns.masa.server import Masa, Server
from ddns.masa.store import FILE, Store
from ddns.proof import dpp, idevid

_SERIAL = re.compile(r"[A-Za-z0-9.-]{1,64}")  # of a PrintableString (X.520 serialNumber)
_MOST_SHOWN = 1000  # lines of a log
_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def command() -> None:
    """Run a small maker's service (MASA, RFC 8995), to try bonded boxes with. All it has stands in one FOLDER."""


@command.command()
@_FOLDER
@click.option("--name", default="Maker", show_default=True, help="What its certificates are called.")
@click.option(
    "--at", "authority", default="localhost:9443", show_default=True, metavar="HOST[:PORT]",
    help="Where registrars reach it; it stands in every box.",
)  # fmt: skip
@json_option
def init(folder: Path, name: str, authority: str, as_json: bool) -> None:
    """Make the maker: its CA, the key that signs vouchers, its server's certificate, and an empty log."""
    host = _host(authority)
    now = int(time.time())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = making.authority(name[:50], now)
        making.write(folder, "ca", ca)
        making.write(folder, "masa", making.signer(name[:50], ca, now), (ca[0],))
        making.write(folder, "tls", making.server(host, ca, now), (ca[0],))
        (folder / "authority").write_text(idevid.authority(authority) + "\n")
        Store(folder).make()
    except FileExistsError:
        raise Failure(f"There is a maker in {folder} already; choose another folder.") from None
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror or error}.") from None
    if as_json:
        print_json({"folder": str(folder), "authority": authority})
        return
    click.echo(f"{name} is in {folder}: ca.pem vouches for its boxes, masa.pem signs vouchers.")
    click.echo(f"Next: ddns masa device add {folder} SERIAL, then ddns masa serve {folder}")


@command.command()
@_FOLDER
@click.option("--listen", metavar="ADDRESS:PORT", default="127.0.0.1:9443", show_default=True)
def serve(folder: Path, listen: str) -> None:
    """Answer registrars until SIGTERM or Ctrl-C."""
    address, _, port = listen.rpartition(":")
    if not address or not (port.isascii() and port.isdecimal() and int(port) <= 0xFFFF):
        raise click.UsageError(f"--listen {listen!r}: write ADDRESS:PORT or [ADDRESS]:PORT")
    masa = _masa(folder)
    try:
        server = Server((address.strip("[]"), int(port)), masa)
    except OSError as error:
        raise Failure(f"{listen} cannot be listened at: {error.strerror or error}.") from None
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    click.echo(f"The maker's service answers at {listen}.")
    sys.stdout.flush()
    ended.wait()
    server.shutdown()
    server.server_close()


@command.group()
def device() -> None:
    """Make boxes."""


@device.command()
@_FOLDER
@click.argument("serial")
@click.option("--to", "to", type=click.Path(path_type=Path, file_okay=False), help="Where its key goes. [FOLDER/boxes]")
@json_option
def add(folder: Path, serial: str, to: Path | None, as_json: bool) -> None:
    """Make the box SERIAL: its certificate and key (IDevID), and the text of the QR code that is printed on it."""
    if not _SERIAL.fullmatch(serial):
        raise Failure("A serial number has 1 to 64 letters, digits, dots and hyphens.")
    masa = _masa(folder)
    authority = (folder / "authority").read_text().strip()
    target = to or folder / "boxes"
    printed = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    ca = making.read(folder, "ca")
    made = making.device(serial, authority, ca, now)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        making.write(target, serial, made, (ca[0],))
        making.write_key(target, f"{serial}.qr", printed)
    except FileExistsError:
        raise Failure(f"There is a box {serial} in {target} already; serial numbers are given once.") from None
    except OSError as error:
        raise Failure(f"{target} cannot be written: {error.strerror or error}.") from None
    if not masa.store.add(serial, idevid.read(made[0]).digest, now):
        raise Failure(f"There is a box {serial} already; serial numbers are given once.")
    text = dpp.write(dpp.DppUri(dpp.key_of(printed.public_key()), maker=authority, version="1"))
    if as_json:
        print_json({"serial": serial, "idevid": str(target / f"{serial}.pem"), "qr": text})
        return
    click.echo(f"{target / serial}.pem and .key go into the box, {serial}.qr.key too. This is printed on it:\n\n{text}")


@command.command()
@_FOLDER
@click.argument("serial")
@json_option
def log(folder: Path, serial: str, as_json: bool) -> None:
    """Show for which domains vouchers were signed for the box SERIAL, the newest first."""
    masa = _masa(folder)
    _known(masa, serial)
    events, number = masa.store.log(serial, _MOST_SHOWN)
    if as_json:
        print_json(issuing.log_json(events, number))
        return
    print_table(
        ("WHEN", "DOMAIN", "ASSERTION"),
        [(when(one.at), one.domain.hex(), one.assertion) for one in events],
        f"No voucher has been signed for {serial} yet.",
    )
    domains = len({one.domain for one in events})
    if domains > 1:
        click.echo(f"It has had {count(domains, 'domain')}: it was sold or given away since the first.")


@command.command()
@_FOLDER
@click.argument("serial")
@click.option(
    "--to", "buyer", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE.pem",
    help="The certificate of the buyer's domain: the registrar's CA.",
)  # fmt: skip
@json_option
def sell(folder: Path, serial: str, buyer: Path, as_json: bool) -> None:
    """Note that the box SERIAL was sold; from then on its buyer alone gets vouchers for it."""
    masa = _masa(folder)
    _known(masa, serial)
    try:
        certificate = x509.load_pem_x509_certificate(buyer.read_bytes())
    except (OSError, ValueError):
        raise Failure(f"{buyer} holds no certificate in PEM.") from None
    domain = issuing.domain_of(certificate)
    times = masa.store.sell(serial, domain, int(time.time()))
    if as_json:
        print_json({"serial": serial, "domain": domain.hex(), "times": times})
    else:
        click.echo(f"{serial} is sold to {domain.hex()}, sale number {times}.")


@command.command()
@_FOLDER
@click.argument("serial")
@click.option("--reason", required=True, help="Why; it stays here.")
@json_option
def stop(folder: Path, serial: str, reason: str, as_json: bool) -> None:
    """Sign no voucher for the box SERIAL any more. What is enrolled stays enrolled: that is not the maker's to end."""
    masa = _masa(folder)
    _known(masa, serial)
    masa.store.stop(serial, reason, int(time.time()))
    if as_json:
        print_json({"serial": serial, "stopped": True})
    else:
        click.echo(f"No voucher is signed for {serial} any more; where it is enrolled it goes on.")


def _masa(folder: Path) -> Masa:
    """Open the maker's folder. Raises `Failure`."""
    if not (folder / FILE).is_file():
        raise Failure(f"There is no maker in {folder}; make one with `ddns masa init {folder}`.")
    try:
        return Masa(folder, lambda: int(time.time()))
    except (OSError, ValueError, sqlite3.Error) as error:
        raise Failure(f"The maker in {folder} cannot be read: {error}.") from None


def _known(masa: Masa, serial: str) -> None:
    if masa.store.find(serial) is None:
        raise Failure(f"There is no box {serial[:64]!r} here; make it with `ddns masa device add`.")


def _host(authority: str) -> str:
    """Return the host of HOST, HOST:PORT or [ADDRESS]:PORT. Raises `UsageError`."""
    found = re.fullmatch(r"(?:([A-Za-z0-9.-]{1,253})|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?", authority)
    if found is None:
        raise click.UsageError(f"--at {authority!r}: write HOST:PORT or [ADDRESS]:PORT")
    return found[1] or found[2]
