"""`ddns vendor statement`: the vendor's side. Make what an operator accepts, make its end, look at what is in a file.

It needs no database, and speaks to nobody: the file goes to the operator as vendors and operators agree on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ddns.cli import Failure
from ddns.cli.shell import json_option, print_json, when
from ddns.dns import names
from ddns.operator import vendors, words
from ddns.operator.fault import CannotDo
from ddns.proof import jwk, jws, vendor_statements
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey
from ddns.proof.vendor_statements import AnyVendorStatement, Authorize, Withdraw
from ddns.store.bonds import Bond

_UNSAID = {
    "models": "all", "masa_url": "none", "until": "no end", "anchors": "none", "masa_keys": "none",
    "masa_anchors": "what the registry's machine trusts",
}  # fmt: skip
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_Command = Callable[..., Any]


@click.group()
def command() -> None:
    """Sign as a vendor which keys vouch for which of your boxes; a registry's operator accepts it."""


def _options(verb: _Command) -> _Command:
    """Add what every statement has."""
    for option in (
        click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE.jws",
                     help="Where it goes; a file that is there stays."),
        click.option("--days", type=click.IntRange(1, vendor_statements.DAYS), default=30, show_default=True,
                     help="How long an operator may take it in."),
        click.option("--key", type=_file, required=True, metavar="PEM", help="Your bond key: P-256 or Ed25519."),
        click.option("--registry", required=True, metavar="ZONE", help="The registry's zone, for which it is."),
    ):  # fmt: skip
        verb = option(verb)
    return verb


@command.command()
@click.argument("vendor")
@click.option("--anchors", type=_file, required=True, metavar="PEM", help="What issues your boxes' certificates.")
@click.option("--masa-keys", type=_file, metavar="PEM", help="What signs your vouchers.")
@click.option("--masa", "masa_url", default="", metavar="URL", help="Where vouchers are asked for.")
@click.option("--masa-anchors", type=_file, metavar="PEM", help="What issues the certificate of that server.")
@click.option("--models", default="", metavar="NAME,…", help="The common names in your boxes' certificates. [all]")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The day on which it ends.")
@_options
def make(
    vendor: str, anchors: Path, masa_keys: Path | None, masa_url: str, masa_anchors: Path | None, models: str,
    until: datetime | None, registry: str, key: Path, days: int, out: Path,
) -> None:  # fmt: skip
    """Sign that these keys vouch for boxes of VENDOR. A later one with the same --key takes its place."""
    read_from = ((anchors, vendors.ISSUERS), (masa_keys, vendors.SIGNERS), (masa_anchors, vendors.SERVERS))
    held = [() if file is None else _certificates(file.read_bytes(), what) for file, what in read_from]
    with told():
        statement = Authorize(
            **_common(registry, days), vendor=vendor, anchors=held[0], masa_keys=held[1], masa_anchors=held[2],
            masa_url=vendors.read_url(masa_url) if masa_url else "",
            models=tuple(one.strip() for one in models.split(",") if one.strip()),
            until=None if until is None else int(until.replace(tzinfo=UTC).timestamp()),
        )  # fmt: skip
        kinds = (statement.anchors, statement.masa_keys, statement.masa_anchors)
        issuers, signers, servers = map(vendor_statements.unpacked, kinds)
        as_bond = Bond(
            0, None, vendor, statement.models, issuers, signers, statement.masa_url, servers, vendors.BY_VOUCHER,
            statement.iat, statement.until,
        )  # fmt: skip
        vendors.checked(as_bond, statement.iat)  # what no registry would take is not signed
    _write(statement, key, out)


@command.command()
@click.option("--reason", required=True, help="Why, for the registry's history.")
@_options
def withdraw(reason: str, registry: str, key: Path, days: int, out: Path) -> None:
    """Sign that your word counts no more for boxes that are not enrolled yet. Homes stay as they are."""
    with told():
        _write(Withdraw(**_common(registry, days), reason=vendors.read_reason(reason)), key, out)


@command.command()
@click.argument("file", type=_file)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what FILE says, and by which key it is signed: compare that with the vendor by telephone."""
    with told():
        said = vendor_statements.read(read(file), int(time.time()))
        one = said.statement
        facts: dict[str, Any] = {"act": one.act, "registry": one.aud, "key": jwk.kid(said.key), "taken_until": one.exp}
        if isinstance(one, Authorize):
            facts |= {"vendor": one.vendor, "models": list(one.models), "masa_url": one.masa_url, "until": one.until}
            facts |= {
                name: [certificate_shown(octets) for octets in vendor_statements.unpacked(getattr(one, name))]
                for name in ("anchors", "masa_keys", "masa_anchors")
            }
        else:
            facts["reason"] = one.reason
    if as_json:
        print_json(facts)
        return
    for what, value in facts.items():
        shown = when(value) if what in ("until", "taken_until") else value
        for line in shown if isinstance(shown, list) and shown else [shown or _UNSAID[what]]:
            click.echo(f"{what.replace('_', ' ')}: {line}")


def read(file: Path) -> bytes:
    """Return the signed statement in *file*. Raises `Failure`."""
    try:
        with file.open("rb") as stream:
            return stream.read(jws.MOST + 1).strip()
    except OSError as error:
        raise Failure(
            f"{file} cannot be read ({error.strerror}); give the file of a vendor's signed statement, or --anchors."
        ) from None


@contextmanager
def told() -> Iterator[None]:
    """Say in one sentence what is wrong with a statement. Raises `Failure`."""
    try:
        yield
    except (BadProof, CannotDo) as error:
        raise Failure(error.sentence if isinstance(error, BadProof) else str(error)) from None


def _common(registry: str, days: int) -> dict[str, Any]:
    now = int(time.time())
    zone = words.read_name(registry, "zone")
    return {
        "aud": names.to_text(zone), "iat": now, "exp": now + days * 86_400, "jti": secrets.token_urlsafe(16)
    }  # fmt: skip


def _certificates(pem: bytes, what: str) -> tuple[str, ...]:
    with told():
        return vendor_statements.packed(vendors.read_certificates(pem, what))


def _write(statement: AnyVendorStatement, key: Path, out: Path) -> None:
    """Sign *statement*, check it as a registry will, and write it. Raises `Failure`."""
    with told():
        octets = vendor_statements.sign(statement, _key(key))
        said = vendor_statements.read(octets, statement.iat)
    try:
        with out.open("xb") as stream:
            stream.write(octets + b"\n")
    except FileExistsError:
        raise Failure(f"{out} is there already; name another file, or remove it.") from None
    except OSError as error:
        raise Failure(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(f"{out} is for the operator of {statement.aud}, until {when(statement.exp)}.")
    click.echo(f"Tell the operator by telephone that it is signed by the key {jwk.kid(said.key)}")


def _key(path: Path) -> PrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Failure(f"{path} holds no private key in PEM without a password.") from None
    if isinstance(found, ed25519.Ed25519PrivateKey) or (
        isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP256R1)
    ):
        return found
    raise Failure(f"{path} holds another key than P-256 or Ed25519; make one: openssl genpkey -algorithm ed25519.")


def certificate_shown(octets: bytes) -> str:
    """Return subject and digest of a certificate in DER, for people to compare."""
    found = x509.load_der_x509_certificate(octets)
    return f"{found.subject.rfc4514_string()} ({found.fingerprint(hashes.SHA256()).hex()})"
