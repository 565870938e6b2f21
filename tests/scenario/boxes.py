"""Makers with a reference MASA, and boxes that speak BRSKI and EST to a desk, for scenarios."""

import contextlib
import json
import ssl
import subprocess
import sys
import time
from base64 import b64decode, b64encode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)
from makers import name
from ports import free_port
from registrars import box_request

from ddns.proof import voucher

SETTINGS = """\
[serve]
name = "ns1.homes.example"
[signer]
wait = 25.0
[web]
private = true
source_burst = 100000
source_rate = 100000
"""
VOUCHER = "/.well-known/brski/requestvoucher"
EST = "/.well-known/est/"


class Vendor:
    """A maker with a folder beside the desk's; its MASA runs only while it is asked to."""

    def __init__(self, desk, called):
        self.desk, self.called = desk, called
        self.folder = desk.folder / called
        self.port = free_port()
        self.process = self.number = None
        self.say("init", "--name", called, "--at", f"localhost:{self.port}")

    def say(self, *words):
        at = 2 if words[0] == "device" else 1
        return self.desk.ddns("masa", *words[:at], self.folder, *words[at:])

    def bond(self, *words):
        """Bond the vendor, and return the bond's number, which is kept as `number`."""
        ca = self.folder / "ca.pem"
        made = self.desk.ddns(
            "vendor", "bond", self.called, "--anchors", ca, "--masa-keys", self.folder / "masa.pem", "--masa",
            f"https://localhost:{self.port}", "--masa-anchors", ca, "--json", *words,
        )  # fmt: skip
        self.number = json.loads(made)["id"]
        return self.number

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ddns.cli", "masa", "serve", self.folder, "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert b"answers" in self.process.stdout.readline()
        return self

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @contextlib.contextmanager
    def running(self, *words):
        """Bond the vendor with *words*, run its MASA and yield it; in the end its MASA is stopped."""
        self.bond(*words)
        try:
            yield self.start()
        finally:
            self.stop()

    def box(self, serial):
        self.say("device", "add", serial)
        return Box(self.desk, self.folder / "boxes" / f"{serial}.pem", serial)


class Box:
    """One box: its own certificate, its gateway key, and what it was given."""

    def __init__(self, desk, pem, serial):
        self.desk, self.serial = desk, serial
        self.files = (pem, pem.with_suffix(".key"))
        self.certificate = x509.load_pem_x509_certificate(pem.read_bytes())
        self.idevid = load_pem_private_key(self.files[1].read_bytes(), None)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.given = None

    def registrar(self):
        """Return the certificate that the desk shows devices."""
        pem = ssl.get_server_certificate(("127.0.0.1", self.desk.devices))
        return x509.load_pem_x509_certificate(pem.encode())

    def request(self, *, nonce=b"n" * 16, media=voucher.CMS, **more):
        near = more.pop("near", None) or self.registrar()
        return box_request(
            self.certificate, self.idevid, near.public_bytes(Encoding.DER), more.pop("serial", self.serial),
            nonce=nonce, media=media, at=int(time.time()), **more,
        )  # fmt: skip

    def ask(self, path, body=None, media=None, files=None, accept=None):
        headers = {name: value for name, value in (("Content-Type", media), ("Accept", accept)) if value}
        method = "GET" if body is None else "POST"
        return self.desk.ask_web(method, path, body, headers=headers, certificate=files or self.files, devices=True)

    def ask_voucher(self, octets=None, media=voucher.CMS):
        return self.ask(VOUCHER, self.request(media=media) if octets is None else octets, media)

    def csr(self, key=None, serial=None, evidence=()):
        builder = x509.CertificateSigningRequestBuilder().subject_name(name(None, serial or self.serial))
        made = builder.sign(key or self.key, hashes.SHA256())
        return b64encode(made.public_bytes(Encoding.DER))

    def enrol(self, octets=None, verb="simpleenroll", files=None):
        return self.ask(EST + verb, octets or self.csr(), "application/pkcs10", files)

    def took(self, answer, key=None):
        """Keep the certificate in the answer; return its home's name, with the final dot."""
        assert answer.status == 200, answer
        (made,) = pkcs7.load_der_pkcs7_certificates(b64decode(answer.body))
        folder = self.desk.folder
        pem, own = folder / f"{self.serial}.ldevid.pem", folder / f"{self.serial}.ldevid.key"
        pem.write_bytes(made.public_bytes(Encoding.PEM))
        own.write_bytes((key or self.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.given = (pem, own)
        (host,) = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
        return f"{host}."
