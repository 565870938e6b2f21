"""What the registrar says to a box's maker: its own request around the box's, and who it is (RFC 8995 §5.4, §5.5).

Law: only the address in a bond is asked, by the anchors in the bond; what it answers is bounded by `masa_client`.
"""

from __future__ import annotations

import functools
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ddns.homes.registrar import Registrar
from ddns.operator import vendors as vendor_words
from ddns.operator import webhooks
from ddns.proof import cms, idevid, voucher
from ddns.proof.voucher import Request
from ddns.store.bonds import Bond
from ddns.web import masa_client
from ddns.web.masa_client import Said
from ddns.web.routes import Means

MOST_CONTEXTS = 64  # bonds with anchors of their own that are remembered


def around(request: Request, issuer: bytes | None, octets: bytes, media: str, mine: Registrar, now: int) -> bytes:
    """Return the registrar's own request around that of a box, *octets*, in the form *media* that the box chose.

    *issuer* is the key identifier of who issued the box's certificate, None: nobody knows. It shows the very
    certificate that the box saw, for the MASA compares the two, octet by octet (RFC 8995 §5.5).
    """
    seen = cms.certificate(request.proximity_registrar_cert)
    document = voucher.request_json(
        Request(
            serial_number=request.serial_number, created_on=now, assertion=request.assertion, nonce=request.nonce,
            idevid_issuer=b"" if issuer is None else idevid.extension_of(issuer), prior=octets,
        )
    )  # fmt: skip
    if media == voucher.JWS:
        return voucher.write_jws(document, seen, mine.key, (mine.ca,))
    return voucher.write_cms(document, seen, mine.key, now, (mine.ca,))


async def ask(means: Means, bond: Bond, mine: Registrar, what: str, media: str, body: bytes) -> Said:
    """Ask the MASA of *bond*, which may know this registrar by its certificate (RFC 8995 §5.4.1)."""
    accept = media if what == "requestvoucher" else "application/json"
    place = webhooks.read_url(bond.masa_url)
    context = _context(mine, bond.masa_anchors)
    return await means.masa.post(place, f"/.well-known/brski/{what}", media, accept, body, context)


async def audit(means: Means, bond: Bond, mine: Registrar, media: str, body: bytes) -> bytes:
    """Return the log that the MASA of *bond* keeps of the box in the request *body*; nothing where it gives none.

    A log that it has made elsewhere at the same authority (201, RFC 8995 §5.8) is fetched from there, once.
    """
    said = await ask(means, bond, mine, "requestauditlog", media, body)
    place = webhooks.read_url(bond.masa_url)
    if said.status == 201 and (path := masa_client.within(place, said.location)):
        said = await means.masa.get(place, path, "application/json", _context(mine, bond.masa_anchors))
    return said.body if said.status == 200 and vendor_words.domains(said.body) is not None else b""


@functools.lru_cache(maxsize=MOST_CONTEXTS)
def _context(mine: Registrar, anchors: tuple[bytes, ...]) -> ssl.SSLContext:
    """Return what believes a MASA by *anchors* (DER), without any by what this machine trusts, and shows who we are."""
    context = ssl.create_default_context()
    if anchors:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pem = b"".join(x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in anchors)
        context.load_verify_locations(cadata=pem.decode("ascii"))
    with tempfile.TemporaryDirectory(prefix="nameplate-") as folder:  # for us alone; OpenSSL reads it now, from a file
        file = Path(folder) / "registrar.pem"
        file.touch(mode=0o600)
        private = mine.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + b"".join(one.public_bytes(Encoding.PEM) for one in (mine.certificate, mine.ca)))
        context.load_cert_chain(file)
    return context
