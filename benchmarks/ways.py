"""Ways in which homes come to be, for `enrol.py`: what is made before the clock runs, and what is done then."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from own_registry import ZONE, Registry

from ddns.auth import keys, tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.gateway import pledge
from ddns.masa import making
from ddns.masa.store import Store
from ddns.proof import b64, cbor, cose, eat, idevid, jwk, jws, nonce, statements, voucher
from ddns.proof.statements import Enrol, Evidence

Deed = Callable[[], object]  # makes one home
JOSE = "application/jose+json"
LASTS = 900  # seconds that statements and nonces are good


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_text() -> str:
    return f"512 3 13 {base64.b64encode(keys.key_rdata(_key())[4:]).decode()}"


def by_lines(registry: Registry, labels: list[str]) -> Deed:
    """Return what brings homes in from a file of JSON lines, all of them."""
    file = registry.folder / f"{labels[0]}.jsonl"
    file.write_text("".join(json.dumps({"label": label, "key": _key_text()}) + "\n" for label in labels))
    return lambda: registry.ddns("home", "import", str(file), "--registry", ZONE)


def by_csv(registry: Registry, labels: list[str]) -> Deed:
    """Return what brings homes in from a file with commas, all of them."""
    file = registry.folder / f"{labels[0]}.csv"
    file.write_text("label,key\n" + "".join(f"{label},{_key_text()}\n" for label in labels))
    return lambda: registry.ddns("home", "import", str(file), "--registry", ZONE, "--csv")


def by_update(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return UPDATE messages that spend an invitation each, over TCP connections of their own (RFC 2136, RFC 8945)."""
    out: list[Deed] = []
    for one in registry.invite(labels):
        rdata = keys.key_rdata(_key())
        record = one.home + struct.pack("!HHIH", 25, 1, 0, len(rdata)) + rdata
        head = struct.pack("!6H", secrets.randbits(16), 0x2800, 1, 0, 1, 0)
        wire = head + one.zone + struct.pack("!HH", 6, 1) + record
        credential = Credential(0, one.key, "tsig", one.algorithm, secret=Secret(one.secret))
        signed = tsig.sign_request(wire, credential, int(time.time()))[0]
        out.append(lambda wire=signed: _update(registry, wire))  # type: ignore[misc]
    return out


def _update(registry: Registry, wire: bytes) -> None:
    with socket.create_connection(("127.0.0.1", registry.dns), 120) as sock:
        sock.sendall(struct.pack("!H", len(wire)) + wire)
        answer = sock.recv(4096)
    if answer[5] & 15:
        raise RuntimeError(f"an update was answered with RCODE {answer[5] & 15}")


def by_invitation(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return statements with the signature of an invitation each."""
    return _wishes(registry, ((one.key, one.secret) for one in registry.invite(labels)), owners=False)


def by_owner(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return the same, signed by an owner whom nobody knows yet, too."""
    return _wishes(registry, ((one.key, one.secret) for one in registry.invite(labels)), owners=True)


def _wishes(registry: Registry, macs: object, *, owners: bool) -> list[Deed]:
    out: list[Deed] = []
    for key, secret in macs:  # type: ignore[attr-defined]
        owner = _key() if owners else None
        said = _said(method="invitation", owner=None if owner is None else jwk.kid(jwk.of(owner)))
        signers = [_key(), *([] if owner is None else [owner]), (names.to_text(key), secret)]
        out.append(_posted(registry, statements.sign(said, *signers)))
    return out


def by_qr(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return statements with what the key that is printed on a box has signed, over a nonce of the registry's.

    An owner signs, too: he has scanned it.
    """
    out = []
    for label in labels:
        gateway, owner, printed = _key(), _key(), _key()
        told = {"nonce": _nonce(registry), "key": jwk.kid(jwk.of(gateway)), "owner": jwk.kid(jwk.of(owner))}
        proof = jws.sign(json.dumps(told).encode(), [jws.shown(printed)])
        said = _said(method="qr", label=label, owner=jwk.kid(jwk.of(owner)), proof=b64.encode(proof))
        out.append(_posted(registry, statements.sign(said, gateway, owner)))
    return out


def by_evidence(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return statements with a token of a verifier (CWT, RFC 9711), about the key and a nonce of the registry's."""
    verifier = _key()
    rules, held = registry.folder / "rules.json", registry.folder / f"{labels[0]}.jwks"
    rules.write_text(json.dumps({"all": [{"claim": "oemid", "there": True}], "gives": "attested"}))
    held.write_text(json.dumps({"keys": [jwk.members(jwk.of(verifier))]}))
    registry.ddns("verifier", "add", labels[0], "--rules", str(rules), "--keys", str(held))
    out = []
    for label in labels:
        gateway = _key()
        claims = {
            10: _nonce(registry).encode(), 258: b"oem", 256: b"\1" + secrets.token_bytes(16),
            4: int(time.time()) + LASTS, 8: {1: cose.members_of(jwk.of(gateway))},
        }  # fmt: skip
        token = Evidence(eat.CWT, b64.encode(cose.sign(cbor.write(claims), verifier)))
        out.append(_posted(registry, statements.sign(_said(method="attested", label=label, evidence=token), gateway)))
    return out


def _said(**fields: object) -> Enrol:
    now = int(time.time())
    common = {"aud": ZONE, "iat": now, "exp": now + LASTS, "jti": secrets.token_urlsafe(16)}
    return Enrol(**(common | fields))  # type: ignore[arg-type]


def _nonce(registry: Registry) -> str:
    secret = (registry.state / "secrets.key").read_bytes()
    return nonce.make(secret, int(time.time()) + LASTS, secrets.token_bytes(nonce.DICE))


def _posted(registry: Registry, octets: bytes) -> Deed:
    """Return what sends a statement over a connection of its own."""
    context = ssl.create_default_context(cafile=str(registry.state / "tls" / "certificate.pem"))
    context.check_hostname = False  # the certificate is known itself
    return lambda: _post(registry.web, context, "/v1/enrol", octets, JOSE, http.client.CREATED)


def _post(port: int, context: ssl.SSLContext, path: str, octets: bytes, media: str, wanted: int) -> bytes:
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=context)
    try:
        connection.request("POST", path, octets, {"Content-Type": media})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != wanted:
        raise RuntimeError(f"{path} was answered with {answer.status}: {body[:300]!r}")
    return body


def by_voucher(registry: Registry, labels: list[str]) -> list[Deed]:
    """Return what boxes do that never saw the registry: a voucher of their maker's (RFC 8995), then EST (RFC 7030).

    The maker's server runs beside the registry, and what it costs is not the registry's.
    """
    maker = _maker(registry, labels[0])
    ca, authority = making.read(maker, "ca"), (maker / "authority").read_text().strip()
    store, now = Store(maker), int(time.time())
    pem = ssl.get_server_certificate(("127.0.0.1", registry.devices))
    seen = x509.load_pem_x509_certificate(pem.encode())
    out: list[Deed] = []
    for label in labels:
        made = making.device(label, authority, ca, now)
        making.write(maker, label, made, (ca[0],))
        store.add(label, idevid.read(made[0]).digest, now)
        box = pledge.read_identity(maker / f"{label}.pem", maker / f"{label}.key")
        asked = pledge.request(box, seen, secrets.token_bytes(pledge.NONCE), now)
        name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, label)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(_key(), hashes.SHA256())
        csr = base64.b64encode(request.public_bytes(Encoding.DER))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the voucher says who it is
        context.load_cert_chain(*box.files)
        out.append(lambda context=context, asked=asked, csr=csr: _as_box(registry, context, asked, csr))  # type: ignore[misc]
    return out


def _as_box(registry: Registry, context: ssl.SSLContext, asked: bytes, csr: bytes) -> None:
    _post(registry.devices, context, "/.well-known/brski/requestvoucher", asked, voucher.CMS, http.client.OK)
    _post(registry.devices, context, "/.well-known/est/simpleenroll", csr, "application/pkcs10", http.client.OK)


def _maker(registry: Registry, called: str) -> Path:
    folder = registry.folder / called
    port = registry.port()
    registry.ddns("masa", "init", str(folder), "--name", called, "--at", f"localhost:{port}")
    ca, signer = str(folder / "ca.pem"), str(folder / "masa.pem")
    at = ("--masa", f"https://localhost:{port}", "--masa-anchors", ca)
    registry.ddns("vendor", "bond", called, "--anchors", ca, "--masa-keys", signer, *at)
    words = [sys.executable, "-m", "ddns.cli", "masa", "serve", str(folder), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    registry.beside.append(process)
    assert process.stdout is not None
    if b"answers" not in process.stdout.readline():
        sys.exit("the maker's server does not answer")
    return folder


IN_BULK: dict[str, Callable[[Registry, list[str]], Deed]] = {"import": by_lines, "csv": by_csv}
ONE_BY_ONE: dict[str, Callable[[Registry, list[str]], list[Deed]]] = {
    "update": by_update, "https": by_invitation, "owner": by_owner, "qr": by_qr, "voucher": by_voucher,
    "attested": by_evidence,
}  # fmt: skip
