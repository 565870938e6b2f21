"""Our own gateway as a box that its maker vouches for (RFC 8995, RFC 7030): rows 9, 12, 42 and 47.

Maker, registry and gateway are processes; what is refused comes from a registrar that is not ours.
"""

import contextlib
import json
import stat
import subprocess
import sys
import time
from base64 import b64decode

import pytest
from boxes import SETTINGS, Vendor
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from desk import Desk
from makers import Maker
from own_masas import OwnMasa
from own_registrars import OwnRegistrar, fresh
from registrars import Registrar, box_request
from service import Service, eventually

from ddns.masa.server import Masa
from ddns.proof import voucher

# The power goes after so many files were written.
CUT = """
import os, signal, sys
from pathlib import Path
left, real = int(sys.argv.pop(1)), Path.replace
def replace(self, target):
    global left
    made = real(self, target)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return made
Path.replace = replace
from ddns.cli import main
main()
"""


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=SETTINGS).running(policy="methods=invitation,voucher,attested") as running:
        yield running


@pytest.fixture(scope="module")
def acme(desk):
    with Vendor(desk, "Acme").running() as vendor:
        yield vendor


class Gateway:
    """A gateway in the box *serial*."""

    def __init__(self, vendor, serial):
        self.desk, self.folder = vendor.desk, vendor.desk.folder / f"gateway-{serial}"
        self.box = vendor.box(serial)
        self.where = (
            "--brski", f"https://127.0.0.1:{self.desk.devices}", "--idevid", *map(str, self.box.files), "--anchor",
            str(vendor.folder / "masa.pem"),
        )  # fmt: skip

    def say(self, *words, status=0):
        return self.desk.ddns("gateway", *words, "--home", self.folder, status=status)

    def enrol(self, *words, status=0):
        return self.say("enrol", *self.where, *words, status=status)

    def goes_on(self):
        """Start anew; tell whether it has its home then."""
        with contextlib.suppress(AssertionError):
            return self.say("enrol", "--wait", "1")
        return ""

    @property
    def state(self):
        return json.loads((self.folder / "gateway.json").read_text())

    @property
    def files(self):
        return {one.name for one in self.folder.iterdir()} - {"lock"}


@pytest.mark.parametrize("words", [(), ("--jws",)], ids=["cms", "jws"])
def test_a_box_out_of_the_carton_has_a_home_and_publishes(desk, acme, words):
    gateway = Gateway(acme, f"OUT-{len(words)}")

    said = gateway.enrol(*words)

    home = gateway.state["home"]
    assert f"{home} is this gateway's" in said
    assert {"ldevid.pem", "ldevid.json", "gateway.json"} < gateway.files
    assert "brski.json" not in gateway.files
    private = [one for one in gateway.files if one.endswith((".private", "ldevid.pem"))]
    assert {stat.S_IMODE((gateway.folder / one).stat().st_mode) for one in private} == {0o600}
    made = x509.load_pem_x509_certificate((gateway.folder / "ldevid.pem").read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [home.rstrip(".")]
    eventually(lambda: desk.values(home, "KEY"))
    gateway.say("publish", "cam", "--address", "2001:db8::5")
    eventually(lambda: desk.values(f"cam.{home}", "AAAA") == ["2001:db8::5"])
    brought = {one["serial"]: one["status"] for one in json.loads(desk.ddns("vendor", "vouchers", "--json"))}
    assert brought[gateway.box.serial] == "enrolment good"
    assert "already" in gateway.enrol()


def test_a_certificate_is_renewed_and_with_a_new_key_that_is_the_homes(desk, acme):
    gateway = Gateway(acme, "RENEW")
    gateway.enrol()
    home, before = gateway.state["home"], (gateway.folder / "ldevid.pem").read_bytes()
    (first,) = eventually(lambda: desk.values(home, "KEY"))

    assert "holds until" in gateway.say("renew")
    again = (gateway.folder / "ldevid.pem").read_bytes()
    assert "has taken the place" in gateway.say("key", "roll")

    keys = [x509.load_pem_x509_certificate(one).public_key() for one in (before, again)]
    rolled = x509.load_pem_x509_certificate((gateway.folder / "ldevid.pem").read_bytes()).public_key()
    assert before != again
    assert keys[0] == keys[1] != rolled
    eventually(lambda: desk.values(home, "KEY") not in ([], [first]))
    gateway.say("publish", "cam", "--address", "2001:db8::6")
    assert len([one for one in gateway.files if one.endswith(".private")]) == 1
    gateway.say("reset")
    assert not {"ldevid.pem", "ldevid.json"} & gateway.files


def test_a_box_whose_maker_is_away_waits_and_goes_on_after_a_start(desk, acme):
    gateway = Gateway(acme, "AWAY")
    acme.stop()
    try:
        said = gateway.enrol("--wait", "1", status=7)
        asked = json.loads((gateway.folder / "brski.json").read_bytes())
    finally:
        acme.start()

    eventually(gateway.goes_on, timeout=120)

    assert "try again later" in said
    assert asked["tries"] == 1
    assert "AWAY" in desk.ddns("vendor", "vouchers")
    assert gateway.state["enrolled_at"]


def test_a_box_that_loses_its_power_at_every_step_has_one_home_in_the_end(desk, acme):
    """Each time it gets one file further; what it asks again is the very same, so that it is answered the same."""
    gateway = Gateway(acme, "POWER")
    words = ["gateway", "enrol", *gateway.where, "--home", str(gateway.folder)]
    seen = []
    for writes in range(1, 30):
        done = subprocess.run(
            [sys.executable, "-c", CUT, str(writes), *words], cwd=desk.folder, env=desk.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        with_request = gateway.folder / "brski.json"
        if with_request.exists():
            seen.append(json.loads(with_request.read_bytes()))
        if done.returncode >= 0:
            break

    assert done.returncode == 0, done.stderr
    assert writes > 5
    assert len({one["request"] for one in seen if one["request"]}) == 1
    assert len({one["csr"] for one in seen if one["csr"]}) == 1
    home = gateway.state["home"]
    eventually(lambda: desk.values(home, "KEY"))
    assert len(json.loads(acme.say("log", "POWER", "--json"))["events"]) == 1
    gateway.say("publish", "cam", "--address", "2001:db8::7")
    assert "brski.json" not in gateway.files


def test_a_box_that_the_registry_refuses_keeps_nothing(desk, acme):
    gateway = Gateway(acme, "NOT")
    acme.say("stop", "NOT", "--reason", "it was stolen from the store")

    said = gateway.enrol(status=3)

    assert "The maker gives no voucher" in said
    assert gateway.files == set()


AUDIT = "/.well-known/brski/requestauditlog"


def brought(desk, serial):
    return next(one for one in json.loads(desk.ddns("vendor", "vouchers", "--json")) if one["serial"] == serial)


def test_administrators_hear_from_the_maker_whether_a_box_was_resold(desk, acme):
    """The maker's log of now; where the maker is away, the last that it gave."""
    box = acme.box("RESOLD")
    assert box.ask_voucher().status == 200
    token, other = desk.token("vendors"), desk.token("homes:read")
    asked = {"idevid": brought(desk, "RESOLD")["idevid"]}

    def ask(of=asked, by=token):
        return desk.ask_web("POST", AUDIT, of, token=by)

    def fresh_one():
        said = ask().json
        return said if said["fresh"] else None  # a maker that is slow is asked again

    first = eventually(fresh_one)
    _second_registrar(acme, box)
    second = eventually(fresh_one)
    acme.stop()
    try:
        third = ask().json
    finally:
        acme.start()

    assert [(one["fresh"], one["domains"]) for one in (first, second, third)] == [(True, 1), (True, 2), (False, 2)]
    assert [len(one["log"]["events"]) for one in (first, second, third)] == [1, 2, 2]
    assert brought(desk, "RESOLD")["domains"] == 2
    assert ask({"idevid": "0" * 64}).json["code"] == "voucher-unknown"
    assert ask(by=other).status == 403
    assert ask({"idevid": "x"}).status == 422
    assert desk.ask_web("POST", AUDIT, asked).status == 401


def _second_registrar(vendor, box):
    """Have another registrar get a voucher for the box."""
    now, registrar = int(time.time()), Registrar("Second")
    prior = box_request(box.certificate, box.idevid, registrar.octets, box.serial, at=now)
    octets = registrar.request(prior, box.serial, at=now)
    Masa(vendor.folder, lambda: now).voucher(octets, voucher.CMS)


def test_a_maker_sees_the_registrars_certificate_and_may_make_its_log_elsewhere_of_its_own(desk):
    """RFC 8995 §5.4.1, §5.8: 201 and Location are followed once, and to nobody else."""
    vendor = Vendor(desk, "Strict")
    vendor.bond()
    answer = desk.ask_web("GET", "/.well-known/est/cacerts", devices=True)
    (ca,) = pkcs7.load_der_pkcs7_certificates(b64decode(answer.body))
    masa = OwnMasa(vendor.folder, vendor.port, ca.public_bytes(Encoding.PEM).decode())
    try:
        found = {}
        for serial, elsewhere in (
            ("HERE", ""),
            ("FULL", f"https://localhost:{vendor.port}"),
            ("AWAY-FROM", "https://localhost:1"),
        ):
            masa.elsewhere = elsewhere
            assert vendor.box(serial).ask_voucher().status == 200
            found[serial] = brought(desk, serial)["domains"]
    finally:
        masa.shutdown()
        masa.server_close()

    assert found == {"HERE": 1, "FULL": 1, "AWAY-FROM": None}
    assert masa.asked == ["/logs/0", "/logs/1"]


@pytest.fixture(scope="module")
def maker():
    return Maker("Acme")


@pytest.fixture(scope="module")
def hostile(maker):
    """A registrar of somebody else's, a box of *maker*'s in its network, and commands."""
    service = Service()
    try:
        made, key = maker.device("SN-1")
        for name, octets in (
            ("id.pem", made.public_bytes(Encoding.PEM)),
            ("id.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
            ("masa.pem", b"".join(one.public_bytes(Encoding.PEM) for one in (maker.masa, maker.anchor))),
        ):
            (service.folder / name).write_bytes(octets)
        registrar = OwnRegistrar(service.folder)
        registrar.service = service
        yield registrar
        registrar.shutdown()
        registrar.server_close()
    finally:
        service.remove()


OTHER, ELSEWHERE = Maker("Other"), Registrar("Elsewhere")


def _by_a_box(maker, said, pinned):
    """Return a voucher that another box of the maker has signed."""
    signer = Maker("Acme")
    signer.masa, signer.masa_key = maker.device("SN-2")
    return fresh(signer, said, pinned)


BAD = {
    "serial": (lambda maker, said, pinned: fresh(maker, said, pinned, serial_number="SN-2"), "another serial"),
    "issuer": (
        lambda maker, said, pinned: fresh(maker, said, pinned, idevid_issuer=b"\x04\x02id"), "somebody else made",
    ),
    "expired": (
        lambda maker, said, pinned: fresh(maker, said, pinned, expires_on=int(time.time()) - 60), "has expired",
    ),
    "nonce": (lambda maker, said, pinned: fresh(maker, said, pinned, nonce=b"x" * 16), "another request"),
    "no-nonce": (
        lambda maker, said, pinned: fresh(maker, said, pinned, nonce=None, expires_on=int(time.time()) + 600),
        "another request",
    ),
    "signer": (lambda _maker, said, pinned: fresh(OTHER, said, pinned), "not signed by whom"),
    "box": (_by_a_box, "not signed by whom"),
    "domain": (
        lambda maker, said, _pinned: fresh(maker, said, ELSEWHERE.ca.public_bytes(Encoding.DER)), "to somebody else",
    ),
    "nobody": (lambda maker, said, _pinned: fresh(maker, said, b""), "to somebody else"),
    "form": (lambda *_: b"0" * 40, "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(BAD))
def test_a_voucher_that_is_not_good_is_refused_and_nothing_is_kept(hostile, maker, case):
    make, sentence = BAD[case]
    hostile.make = lambda said: make(maker, said, hostile.pinned)
    hostile.told, hostile.asked = [], []
    folder = hostile.service.folder / f"gateway-{case}"

    said = hostile.service.ddns(
        "gateway", "enrol", "--brski", hostile.url, "--idevid", "id.pem", "id.key", "--anchor", "masa.pem", "--home",
        folder, status=8,
    )  # fmt: skip

    assert sentence in said
    assert [(what, body["status"]) for what, body in hostile.told] == [("voucher_status", False)]
    assert sentence in hostile.told[0][1]["reason"]
    assert not any("simpleenroll" in path for path, _ in hostile.asked)
    assert {one.name for one in folder.iterdir()} == {"lock"}


def test_with_a_good_voucher_of_that_registrar_it_goes_on(hostile, maker):
    """The same request, in the same way: so it is the vouchers above that were refused."""
    hostile.make = lambda said: fresh(maker, said, hostile.pinned)
    hostile.told = []
    folder = hostile.service.folder / "gateway-good"

    hostile.service.ddns(
        "gateway", "enrol", "--brski", hostile.url, "--idevid", "id.pem", "id.key", "--anchor", "masa.pem", "--home",
        folder, "--wait", "1", status=7,
    )  # fmt: skip

    assert [(what, body["status"]) for what, body in hostile.told] == [("voucher_status", True)]


def test_options_and_files_that_do_not_go_together_are_said_to_be_so(hostile):
    def say(*words, status):
        folder = hostile.service.folder / "none"
        return hostile.service.ddns("gateway", "enrol", "--brski", hostile.url, *words, "--home", folder, status=status)

    assert "--anchor PEM" in say("--idevid", "id.pem", "id.key", status=2)
    assert "not the key" in say("--idevid", "id.pem", "registrar.key", "--anchor", "masa.pem", status=1)
