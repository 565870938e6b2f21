"""The reference MASA as a process: over TLS, by commands, its vouchers verified by OpenSSL."""

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from ports import free_port
from registrars import Registrar, box_request
from service import Service
from tools import need

from ddns.proof import dpp, voucher

REQUEST = "/.well-known/brski/requestvoucher"
LOG = "/.well-known/brski/requestauditlog"


class Maker:
    """A running maker with one box, SN-1."""

    def __init__(self, service):
        self.service = service
        self.folder = service.folder / "maker"
        self.port = free_port()
        self.ddns("init", "--name", "Acme", "--at", f"localhost:{self.port}")
        self.text = json.loads(self.ddns("device", "add", words=("SN-1", "--json")))["qr"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ddns.cli", "masa", "serve", self.folder, "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert b"answers" in self.process.stdout.readline()

    def ddns(self, *verb, words=(), status=0):
        at = 2 if verb[0] == "device" else 1
        return self.service.ddns("masa", *verb[:at], self.folder, *verb[at:], *words, status=status)

    @property
    def box(self):
        stem = self.folder / "boxes" / "SN-1"
        made = x509.load_pem_x509_certificate(stem.with_suffix(".pem").read_bytes())
        return made, load_pem_private_key(stem.with_suffix(".key").read_bytes(), None)

    def ask(self, path, body, media=voucher.CMS, headers=None):
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=context)
        # Bare machines know no address of localhost.
        connection._create_connection = lambda place, *rest: socket.create_connection(("127.0.0.1", place[1]), *rest)
        try:
            connection.request("POST", path, body, headers or {"Content-Type": media})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def asked(self, registrar, media=voucher.CMS):
        now = int(time.time())
        prior = box_request(*self.box, registrar.octets, media=media, at=now)
        return registrar.request(prior, media=media, at=now)


@pytest.fixture(scope="module")
def maker():
    service = Service()
    made = None
    try:
        made = Maker(service)
        yield made
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(20) == 0
    finally:
        if made is not None:
            made.process.kill()
            made.process.communicate()
        service.remove()


def test_openssl_verifies_the_voucher_up_to_the_makers_ca(maker, tmp_path):
    """The content type is that of RFC 8366, and the CA stands above the signer."""
    status, octets = maker.ask(REQUEST, maker.asked(Registrar()))
    (tmp_path / "v.vcj").write_bytes(octets)

    words = ["cms", "-verify", "-inform", "DER", "-in", "v.vcj", "-CAfile", maker.folder / "ca.pem", "-purpose", "any"]
    done = subprocess.run([need("openssl"), *words, "-binary"], cwd=tmp_path, capture_output=True, check=False)

    assert status == 200
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ietf-voucher:voucher"]["serial-number"] == "SN-1"


def test_openssl_verifies_the_boxs_certificate_and_reads_where_its_maker_is(maker):
    pem = maker.folder / "boxes" / "SN-1.pem"
    verify = [need("openssl"), "verify", "-CAfile", maker.folder / "ca.pem", pem]

    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    shown = subprocess.run(
        [need("openssl"), "x509", "-in", pem, "-noout", "-text"], capture_output=True, text=True, check=True
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"serialNumber ?= ?SN-1", shown.stdout)
    assert "Dec 31 23:59:59 9999" in shown.stdout
    assert f"localhost:{maker.port}" in shown.stdout


def test_what_openssl_signs_for_a_box_the_maker_takes(maker, tmp_path):
    """A box that is not ours to write: its request is made by OpenSSL."""
    registrar = Registrar()
    now = int(time.time())
    said = voucher.Request(
        serial_number="SN-1", created_on=now, nonce=b"n" * 16, proximity_registrar_cert=registrar.octets
    )
    (tmp_path / "r.json").write_bytes(voucher.request_json(said))
    stem = maker.folder / "boxes" / "SN-1"
    prior = subprocess.run(
        [need("openssl"), "cms", "-sign", "-in", "r.json", "-binary", "-nodetach", "-signer", f"{stem}.pem", "-inkey",
         f"{stem}.key", "-outform", "DER", "-econtent_type", "1.2.840.113549.1.9.16.1.40", "-md", "sha256"],
        cwd=tmp_path, capture_output=True, check=True,
    ).stdout  # fmt: skip

    status, octets = maker.ask(REQUEST, registrar.request(prior, at=now))

    assert status == 200, octets
    assert voucher.read_voucher(octets, voucher.CMS)[0].nonce == b"n" * 16


def test_vouchers_come_in_the_form_that_was_asked_in(maker):
    status, octets = maker.ask(REQUEST, maker.asked(Registrar(), voucher.JWS), voucher.JWS)

    assert status == 200, octets
    assert voucher.read_voucher(octets, voucher.JWS)[0].serial_number == "SN-1"


def test_a_box_that_is_sold_is_for_its_buyer_and_the_log_says_sold_twice(maker):
    maker.ddns("device", "add", words=("SN-2",))
    first, second = Registrar("First"), Registrar("Second")
    pem = maker.folder / "second.pem"
    pem.write_bytes(second.ca.public_bytes(Encoding.PEM))
    stem = maker.folder / "boxes" / "SN-2"
    made = x509.load_pem_x509_certificate(stem.with_suffix(".pem").read_bytes())
    key = load_pem_private_key(stem.with_suffix(".key").read_bytes(), None)

    def asked(registrar):
        now = int(time.time())
        return registrar.request(box_request(made, key, registrar.octets, "SN-2", at=now), "SN-2", at=now)

    assert maker.ask(REQUEST, asked(first))[0] == 200
    maker.ddns("sell", words=("SN-2", "--to", pem))
    assert maker.ask(REQUEST, asked(first))[0] == 403
    assert maker.ask(REQUEST, asked(second))[0] == 200
    status, log = maker.ask(LOG, asked(second))

    assert status == 200
    assert [one["assertion"] for one in json.loads(log)["events"]] == ["verified", "proximity"]
    assert "It has had 2 domains" in maker.ddns("log", words=("SN-2",))


def test_a_stopped_box_gets_no_voucher(maker):
    maker.ddns("device", "add", words=("SN-3",))

    assert "goes on" in maker.ddns("stop", words=("SN-3", "--reason", "recalled"))
    assert "no box" in maker.ddns("stop", words=("SN-4", "--reason", "recalled"), status=1)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/.well-known/brski/other", b"x", {"Content-Type": voucher.CMS}, 404),
        (REQUEST, b"x", {"Content-Type": "text/plain"}, 415),
        (REQUEST, b"x", {"Content-Type": voucher.CMS}, 400),
        (REQUEST, b"", {"Content-Type": voucher.CMS, "Content-Length": "70000"}, 413),
        (REQUEST, b"", {"Content-Type": voucher.CMS, "Content-Length": "-1"}, 411),
    ],
)
def test_what_is_no_request_of_a_registrar_has_its_own_status(maker, path, body, headers, status):
    assert maker.ask(path, body, headers=headers)[0] == status


def test_clients_that_do_not_speak_tls_keep_nobody_waiting(maker):
    with (
        socket.create_connection(("127.0.0.1", maker.port)),
        socket.create_connection(("127.0.0.1", maker.port)) as rude,
    ):
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n")

        assert maker.ask(REQUEST, maker.asked(Registrar()))[0] == 200


def test_the_text_of_the_boxs_code_is_read_as_the_phone_reads_it(maker):
    said = dpp.read(maker.text)

    assert said.maker == f"localhost:{maker.port}"
    assert said.public_key != maker.box[1].public_key()


def test_a_maker_is_made_once_and_a_folder_without_one_is_said_so(maker):
    keys = (maker.folder / "ca.key").read_bytes()

    assert "already" in maker.ddns("init", status=1)
    assert (maker.folder / "ca.key").read_bytes() == keys
    assert (maker.folder / "ca.key").stat().st_mode & 0o777 == 0o600
    assert "no maker" in maker.service.ddns("masa", "log", maker.service.folder / "none", "SN-1", status=1)
    assert "already" in maker.ddns("device", "add", words=("SN-1",), status=1)
