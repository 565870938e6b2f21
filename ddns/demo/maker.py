"""A maker with its service (MASA), and boxes that speak BRSKI and EST to the registry's desk."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import time
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs7

from ddns.demo.household import PATIENCE, Desk, free_port
from ddns.demo.screen import Broken
from ddns.program import program
from ddns.proof import voucher
from ddns.proof.voucher import Assertion, Request, Voucher

_VOUCHER = "/.well-known/brski/requestvoucher"
_ENROL = "/.well-known/est/simpleenroll"
_NONCE = 16  # octets
_SUCCESS = 200


class Maker:
    """A maker, in a folder beside the registry's."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.folder = desk.folder / "maker"
        self._port = free_port()
        self._service: subprocess.Popen[bytes] | None = None
        desk.ddns("masa", "init", str(self.folder), "--name", "Acme", "--at", f"localhost:{self._port}")

    def bond(self) -> int:
        """Bond the maker with the registry, and return the bond's number. Raises `Broken`."""
        ca = str(self.folder / "ca.pem")
        said = self._desk.ddns(
            "vendor", "bond", "Acme", "--anchors", ca, "--masa-keys", str(self.folder / "masa.pem"), "--masa",
            f"https://localhost:{self._port}", "--masa-anchors", ca, "--json",
        )  # fmt: skip
        number: int = json.loads(said)["id"]
        return number

    def start(self) -> None:
        """Start its service, and wait until it answers. Raises `Broken`."""
        command = program("ddns.cli", "masa", "serve", str(self.folder), "--listen", f"127.0.0.1:{self._port}")
        self._service = subprocess.Popen(  # noqa: S603 - our own program
            command, env=self._desk.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._service.stdout is not None
        if b"answers" not in self._service.stdout.readline():
            raise Broken("The maker's service did not start.")

    def stop(self) -> None:
        """End its service."""
        service, self._service = self._service, None
        if service is not None:
            service.kill()
            service.communicate()

    def box(self, serial: str) -> VouchedBox:
        """Make a box. Raises `Broken`."""
        self._desk.ddns("masa", "device", "add", str(self.folder), serial)
        return VouchedBox(self._desk, self.folder, serial)


class VouchedBox:
    """A box with its maker's certificate, which knows where the registry's desk is and nothing else of it."""

    def __init__(self, desk: Desk, maker: Path, serial: str) -> None:
        self._desk = desk
        self.serial = serial
        stem = maker / "boxes" / serial
        self.files = (stem.with_suffix(".pem"), stem.with_suffix(".key"))
        self.voucher_file = maker / f"{serial}.vcj"
        self._anchor = maker / "masa.pem"

    def voucher(self) -> Voucher:
        """Ask for the maker's voucher (RFC 8995 §5.2), and check it as a box does. Raises `Broken`."""
        registrar = x509.load_pem_x509_certificate(
            ssl.get_server_certificate(("127.0.0.1", self._desk.devices)).encode()
        )
        certificate = x509.load_pem_x509_certificate(self.files[0].read_bytes())
        private = load_pem_private_key(self.files[1].read_bytes(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        now, nonce = int(time.time()), self.serial.encode().ljust(_NONCE, b".")
        asked = Request(
            serial_number=self.serial, created_on=now, assertion=Assertion.PROXIMITY, nonce=nonce,
            proximity_registrar_cert=registrar.public_bytes(Encoding.DER),
        )  # fmt: skip
        octets = self._ask(
            _VOUCHER, voucher.write_cms(voucher.request_json(asked), certificate, private, now), voucher.CMS
        )
        said, signed = voucher.read_voucher(octets, voucher.CMS)
        if not signed.verify(x509.load_pem_x509_certificate(self._anchor.read_bytes())) or said.nonce != nonce:
            raise Broken("The voucher is not this box's maker's, or not for this time.")
        self.voucher_file.write_bytes(octets)
        return said

    def enrol(self) -> str:
        """Ask for a certificate with a home's name in it (RFC 7030 §4.2), and return the name. Raises `Broken`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, self.serial)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        octets = self._ask(_ENROL, b64encode(request.public_bytes(Encoding.DER)), "application/pkcs10")
        made = pkcs7.load_der_pkcs7_certificates(b64decode(octets))[0]
        found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        home: str = found.get_values_for_type(x509.DNSName)[0]
        return home

    def _ask(self, path: str, body: bytes, media: str) -> bytes:
        # A box cannot know the registrar before it has the voucher that names it (RFC 8995 §5.1: provisional).
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(*self.files)
        connection = http.client.HTTPSConnection("127.0.0.1", self._desk.devices, timeout=PATIENCE, context=context)
        try:
            connection.request("POST", path, body, {"Content-Type": media})
            answer = connection.getresponse()
            octets = answer.read()
        finally:
            connection.close()
        if answer.status != _SUCCESS:
            raise Broken(f"The desk answered {answer.status} at {path}: {octets[:200].decode(errors='replace')}")
        return octets
