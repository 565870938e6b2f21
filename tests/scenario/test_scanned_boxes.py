"""The code on a box is scanned, the box shows the printed key, the owner accepts: two actions, and nothing typed."""

import json
import re
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk
from enrolling import Home
from ports import free_port
from service import eventually

from ddns.gateway import reset
from ddns.proof import b64, dpp, jwk, jws, statements
from ddns.proof.dpp import DppUri
from ddns.proof.statements import Enrol


@pytest.fixture(scope="module")
def desk():
    with Desk().running(policy="methods=invitation,qr least=qr") as desk:
        yield desk


class Box(Home):
    """A box with a code on it, and the phone of somebody who stands before it."""

    def __init__(self, desk, label):
        super().__init__(desk, label)
        self.code = self.at_gateway("qr").strip()
        self.port = free_port()
        self.door = None
        self.at_phone("make")

    def open(self):
        """Wait for a phone."""
        listen = ("--listen", f"127.0.0.1:{self.port}", "--wait", "300")
        words = [sys.executable, "-m", "ddns.cli", "gateway", "pair", *listen, "--home", str(self.gateway)]
        self.door = subprocess.Popen(
            words, env=self.desk.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert "Waiting at" in self.door.stdout.readline()
        return self

    def close(self):
        """Return what the box said in the end."""
        with self.door:
            out = self.door.stdout.read()
        return self.door.returncode, out

    def scan(self, code=None, *words, status=0):
        where = ("--desk", f"https://localhost:{self.desk.web}", "--cafile", str(self.desk.certificate))
        at = ("--box", f"127.0.0.1:{self.port}", "--registry", "homes.example")
        return self.at_phone("scan", code or self.code, *at, *where, *words, status=status)


def test_a_phone_scans_and_accepts_and_the_box_has_its_home(desk):
    """Rows 14 and 15: the tier is qr, the box configures itself from the answer alone, and publishes."""
    box = Box(desk, "scanned").open()

    asked = box.scan(None, "--label", "lighthouse")
    said = box.at_phone("accept")
    status, out = box.close()

    assert "It asks for lighthouse.homes.example., by" in asked
    assert "lighthouse.homes.example. is yours" in said
    assert (status, "is this gateway's" in out) == (0, True), out
    eventually(lambda: desk.values("lighthouse.homes.example.", "KEY"))
    box.at_gateway("publish", "cam", "--address", "2001:db8::8")
    eventually(lambda: desk.values("cam.lighthouse.homes.example.", "AAAA") == ["2001:db8::8"])
    shown = desk.ddns("home", "show", "lighthouse.homes.example", "--json")
    assert '"qr"' in shown


def test_a_code_of_another_box_is_not_answered(desk):
    """Who has not the printed key cannot even read the question; nothing is kept to be accepted."""
    box = Box(desk, "other").open()
    other = dpp.write(DppUri(dpp.key_of(ec.generate_private_key(ec.SECP256R1()).public_key())))

    said = box.scan(other, status=2)
    nothing = box.at_phone("accept", status=2)

    assert "for another key" in said
    assert "nothing waits" in nothing.lower()
    box.door.terminate()
    box.close()


def test_a_name_is_shown_before_it_is_accepted_and_one_that_cannot_be_had_is_not(desk):
    """The name that nobody chose is the one that the home gets."""
    box = Box(desk, "shown").open()

    assert "cannot be had" in box.scan(None, "--label", "ns1", status=3)
    assert "nothing waits" in box.at_phone("accept", status=2).lower()
    shown = re.search(r"It asks for (\S+\.homes\.example\.), by", box.scan()).group(1)
    said = box.at_phone("accept")

    assert box.close()[0] == 0
    assert f"{shown} is yours" in said


def test_a_code_alone_gives_no_rights(desk):
    """Row 44: the statement without the printed key's signature is refused before anything is looked up."""
    box = Box(desk, "alone")
    gateway, thief = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = int(time.time())
    nonce = desk.ask_web("POST", "/v1/nonces", {}).json["nonce"]

    def asked(proof):
        common = {"aud": "homes.example.", "iat": now, "exp": now + 600, "jti": f"jti-{len(proof)}-0123456789"}
        return box.post("/v1/enrol", statements.sign(Enrol(**common, method="qr", proof=proof), gateway)).json["code"]

    printed = dpp.read(box.code)
    said = {"nonce": nonce, "key": jwk.kid(jwk.of(gateway)), "owner": ""}
    members = json.loads(jws.sign(json.dumps(said).encode(), [jws.shown(thief)]))
    header = {"alg": "ES256", "jwk": jwk.members(jwk.of(printed.public_key))}
    members["signatures"][0]["protected"] = b64.encode(json.dumps(header).encode())

    assert asked("") == "qr-proof-missing"
    assert asked(b64.encode(json.dumps(members).encode())) == "qr-proof-wrong"


@pytest.mark.timeout(400)  # two dozen commands, each a program of its own
def test_a_box_is_sold_and_only_its_bearer_enrols_it_in_a_home_of_his_own(desk):
    """Row 35, the polite way: the name stays the seller's, the secret works once and for this box."""
    seller = Box(desk, "sold").open()
    seller.scan(None, "--label", "seller")
    seller.at_phone("accept")
    assert seller.close()[0] == 0
    buyer = Home(desk, "buyer")
    buyer.at_phone("make")

    def take(label, *words):
        """Have the buyer scan the box and accept; return how the registry answered."""
        reset.wipe(seller.gateway, forget=True)
        seller.port = free_port()
        seller.open()
        mine, seller.phone = seller.phone, buyer.phone
        try:
            seller.scan(None, "--label", label, *words)
            done = subprocess.run(
                [sys.executable, "-m", "ddns.cli", "phone", "accept", "--phone", str(buyer.phone)],
                env=desk.environment(), capture_output=True, text=True, check=False,
            )  # fmt: skip
        finally:
            seller.phone = mine
        if done.returncode:
            seller.door.terminate()
        seller.close()
        return done.returncode, done.stdout + done.stderr

    assert "is somebody's" in take("thief")[1]
    secret = seller.at_phone("say", "release", "seller.homes.example", "--bearer").split()[-1]
    assert "no release of this box for you" in take("thief")[1]
    assert "no release of this box for you" in take("thief", "--secret", "A" * 43)[1]

    status, said = take("bought", "--secret", secret)

    assert (status, "bought.homes.example. is yours" in said) == (0, True), said
    eventually(lambda: desk.values("bought.homes.example.", "KEY"))
    eventually(lambda: desk.values("seller.homes.example.", "KEY") == [])
    assert desk.values("seller.homes.example.", "SOA"), "the name is the seller's"
    assert "box.taken" in seller.at_phone("notices")
    assert "is somebody's" in take("again", "--secret", secret)[1]


def test_a_box_is_claimed_by_its_code_and_its_owner_is_told_and_objects(desk):
    """Row 35, for a seller who is not silent: nothing changes, and that claimant does not come again."""
    box = Box(desk, "claimed").open()
    box.scan(None, "--label", "silent")
    box.at_phone("accept")
    assert box.close()[0] == 0
    finder = Home(desk, "finder")
    finder.at_phone("make")
    where = ("--desk", f"https://localhost:{desk.web}", "--cafile", str(desk.certificate))

    def claim(status=0):
        box.port = free_port()
        box.open()
        try:
            at = ("--box", f"127.0.0.1:{box.port}", "--registry", "homes.example")
            return finder.at_phone("claim", box.code, *at, *where, status=status)
        finally:
            box.door.terminate()
            box.close()

    box.at_gateway("reset", "--forget")
    said = claim()

    assert "If nobody objects until 20" in said
    assert "claim.filed" in box.at_phone("notices")
    assert "is closed" in box.at_phone("say", "object", "silent.homes.example")
    assert "has objected" in claim(status=3)
    assert "claim.objected" in finder.at_phone("notices")
    eventually(lambda: desk.values("silent.homes.example.", "KEY"))
