"""The certificate that the registry gave this gateway (its LDevID, IEEE 802.1AR-2018), and its renewal by EST.

Its key is the gateway's SIG(0) key, which stands in one file alone: TLS wants another form of it, which is written for
the time of a connection.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ddns.dns import names
from ddns.gateway import agent, pledge, registrar, state, under_way
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said, Shows
from ddns.gateway.enrolling import CannotEnrol
from ddns.gateway.key import GatewayKey, write_private
from ddns.gateway.outcome import Status, judge_said
from ddns.gateway.reply import Unproved
from ddns.gateway.state import BadState, Outcome
from ddns.proof import cms
from ddns.proof.bad import BadProof

CERTIFICATE = "ldevid.pem"
FILE = "ldevid.json"
RENEWAL = "renewal.json"
_PREFIX = ".tls-"


class Held(msgspec.Struct, frozen=True):
    """Where the certificate is from: the registrar at *host* and *port*, of the *domain* with that certificate (DER).

    *serial* is the box's serial number.
    """

    host: str
    port: int
    domain: bytes
    serial: str


class Renewal(msgspec.Struct, frozen=True):
    """A renewal under way: the key with the stem *key*, and its request *csr*."""

    key: str
    csr: bytes


def held(folder: Path) -> Held | None:
    """Return where the certificate in *folder* is from; None: there is none. Raises `BadState`."""
    return under_way.read(folder / FILE, Held)


def keep(folder: Path, one: Held, certificate: x509.Certificate) -> None:
    """Keep the *certificate* and where it is from, for the owner of *folder* alone. Raises `OSError`."""
    write_private(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM))
    under_way.write(folder / FILE, one)


def forget(folder: Path) -> None:
    """Take the certificate away. Raises `OSError`."""
    for name in (CERTIFICATE, FILE, RENEWAL):
        (folder / name).unlink(missing_ok=True)
    _sweep(folder)


@contextlib.contextmanager
def shown(folder: Path, certificate: x509.Certificate, key: GatewayKey) -> Iterator[Shows]:
    """Give the files that TLS wants of *certificate* and *key* while a connection is made."""
    _sweep(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as made:  # for its owner alone
        pem, own = Path(made) / "certificate.pem", Path(made) / "key.pem"
        pem.write_bytes(certificate.public_bytes(Encoding.PEM))
        write_private(own, key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield pem, own


def renew(folder: Path, *, fresh: bool = False, system: Callable[[], float] = time.time) -> Outcome:
    """Have the certificate made anew (RFC 7030 §4.2.2); with a *fresh* key, that takes the place of the gateway's.

    Who was interrupted goes on with the same request. Raises `agent.NotEnrolled`, `CannotEnrol` and `BadState`.
    """
    ticking = Clock(system)
    with state.held(folder):
        known, there = agent.enrolled(folder), held(folder)
        if there is None:
            raise CannotEnrol("this gateway has no certificate of its registry: it was not enrolled with --brski")
        old = GatewayKey.load(folder, known.key)
        certificate = _certificate(folder)
        under = under_way.read(folder / RENEWAL, Renewal)
        if under is None:
            key = GatewayKey.make(names.from_text(known.home)) if fresh else old
            stem = key.save(folder) if fresh else known.key  # before anybody hears of it
            under = Renewal(stem, pledge.certification_request(there.serial, key.private))
            under_way.write(folder / RENEWAL, under)
        key = GatewayKey.load(folder, under.key)
        domain = cms.certificate(there.domain)
        found = registrar.find(there.host, there.port)
        said: registrar.Answered
        if isinstance(found, Unreachable):
            place, said = Desk(there.host, there.port), found
        elif not pledge.leads(found.shown, domain, ticking.now):
            place, said = found.desk, Unproved("its certificate is of another domain")
        else:
            place = found.desk
            with shown(folder, certificate, old) as shows:
                said = found.enrol("simplereenroll", under.csr, shows)
        status, sentence = judge_said(said, place)
        if isinstance(said, Said) and said.status == 200:
            try:
                made = pledge.issued(said.octets, key.private, domain, ticking.now)
            except BadProof as error:
                return agent.outcome_of(ticking, Status.REFUSED, error.sentence)
            state.write(folder, msgspec.structs.replace(known, key=under.key))
            keep(folder, there, made)
            until = f"{made.not_valid_after_utc:%Y-%m-%d}"
            sentence = f"The certificate of {known.home} holds until {until}."
            if under.key != known.key:
                sentence = f"Key {key.tag} has taken the place of {old.tag} at {known.home}. {sentence}"
                under_way.drop_key(folder, known.key)
        elif status in (Status.REFUSED, Status.KEY) and under.key != known.key:
            under_way.drop_key(folder, under.key)
        if status in (Status.DONE, Status.REFUSED, Status.KEY):
            (folder / RENEWAL).unlink(missing_ok=True)
        return agent.outcome_of(ticking, status, sentence)


def _sweep(folder: Path) -> None:
    """Remove what a connection has left that a power cut ended."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left)


def _certificate(folder: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    except (OSError, ValueError):
        raise BadState(f"{folder / CERTIFICATE} cannot be read; restore it, or enrol again after a reset") from None
