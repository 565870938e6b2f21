"""A gateway whose box has a command that says what holds its key: rows 39 and 54 to 56, with processes alone."""

import json
import shlex
import subprocess
import sys

import pytest
from boxes import SETTINGS
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from desk import Desk
from enrolling import Home
from service import eventually
from test_attested import Lab, nonce
from test_pledge import CUT

from ddns.gateway.key import GatewayKey
from ddns.proof import b64, jwk

# What a maker gives: it has no code of ours.
COMMAND = """
import json, sys, time
from joserfc import jwt
from joserfc.jwk import ECKey
asked = json.loads(sys.stdin.readline())
claims = {"eat_nonce": asked["nonce"], "cnf": {"jwk": asked["jwk"]}, "exp": int(time.time()) + 300,
          "dbgstat": "disabled-permanently", "oemid": "AAAA"}
claims.update(json.loads(sys.argv[2]))
print(jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(open(sys.argv[1]).read())))
"""


@pytest.fixture(scope="module")
def desk():
    with Desk(settings=SETTINGS).running(policy="methods=invitation,attested") as running:
        yield running


@pytest.fixture(scope="module")
def lab(desk):
    made = Lab(desk, "lab", chain=False)
    (desk.folder / "says.py").write_text(COMMAND)
    (desk.folder / "chip.pem").write_bytes(
        made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )  # fmt: skip
    return made


def command(desk, **changed):
    """Return the command of the box, as the option takes it."""
    return shlex.join(
        [sys.executable, str(desk.folder / "says.py"), str(desk.folder / "chip.pem"), json.dumps(changed)]
    )


def alone(desk):
    """Return how a gateway without an invitation finds its registry."""
    where = ("--desk", f"https://localhost:{desk.web}", "--cafile", str(desk.certificate))
    return (*where, "--registry", "homes.example")


def tier(desk, home):
    return json.loads(desk.ddns("home", "show", home, "--json"))["keys"][0]["assurance"]


@pytest.mark.usefixtures("lab")
def test_a_box_with_evidence_alone_has_a_home_and_publishes(desk):
    home = Home(desk, "alone")

    home.at_gateway("enrol", "--evidence", command(desk), *alone(desk), "--label", "alone")

    assert home.state["home"] == home.name
    assert tier(desk, home.name) == "attested"
    home.at_gateway("publish", "cam", "--address", "2001:db8::1")
    eventually(lambda: desk.values(f"cam.{home.name}", "AAAA") == ["2001:db8::1"])
    assert "attesting.json" not in {one.name for one in home.gateway.iterdir()}


@pytest.mark.usefixtures("lab")
def test_evidence_lifts_the_tier_of_an_invitation_with_and_without_an_owner(desk):
    plain, owned = Home(desk, "lifted"), Home(desk, "owned")
    cafile = ("--cafile", str(desk.certificate))

    plain.at_gateway("enrol", plain.invite(), "--evidence", command(desk), *cafile)
    line = owned.invite()
    owned.at_phone("make")
    owned.at_phone("scan", line, *cafile)
    words = (line, "--evidence", command(desk), "--owner", owned.owner, *cafile)
    owned.at_gateway("enrol", *words, "--wait", "1", status=7)
    owned.at_phone("accept", owned.request)
    owned.at_gateway("enrol", "--wait", "60")

    assert [tier(desk, one.name) for one in (plain, owned)] == ["attested", "attested"]


@pytest.mark.usefixtures("lab")
def test_evidence_that_says_too_little_is_refused_and_nothing_is_kept(desk):
    home = Home(desk, "little")

    said = home.at_gateway("enrol", "--evidence", command(desk, dbgstat="enabled"), *alone(desk), status=3)

    assert "dbgstat" in said
    assert {one.name for one in home.gateway.iterdir()} == {"lock"}


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/nowhere/at-all", "cannot be run"),
        ("false", "ended with 1"),
        ("true", "wrote nothing"),
        ("yes", "more than 32768 octets"),
        ("'", "cannot be read"),
    ],
    ids=["nowhere", "fails", "silent", "endless", "quote"],
)
def test_a_command_that_gives_no_evidence_is_said_to_be_so(desk, source, sentence):
    home = Home(desk, "mute")

    assert sentence in home.at_gateway("enrol", "--evidence", source, *alone(desk), status=1)


def test_a_file_holds_a_token_that_was_made_before(desk, lab):
    """The key is there already; a token for an older nonce of the registry's is as good as one of now."""
    home = Home(desk, "filed")
    home.at_gateway("enrol", "--evidence", "false", *alone(desk), "--label", "filed", status=1)
    stem = json.loads((home.gateway / "attesting.json").read_bytes())["stem"]
    held = jwk.of(GatewayKey.load(home.gateway, stem).private)
    file = desk.folder / "token.jwt"
    file.write_bytes(b64.decode(lab.says(held, "x" * 43).value))
    words = ("enrol", "--evidence", str(file), *alone(desk), "--label", "filed")

    refused = home.at_gateway(*words, status=3)
    file.write_bytes(b64.decode(lab.says(held, nonce(desk)).value))
    home.at_gateway("enrol", "--evidence", "false", *alone(desk), "--label", "filed", status=1)
    stem = json.loads((home.gateway / "attesting.json").read_bytes())["stem"]
    held = jwk.of(GatewayKey.load(home.gateway, stem).private)
    file.write_bytes(b64.decode(lab.says(held, nonce(desk)).value))
    home.at_gateway(*words)

    assert "nonce of this registry" in refused
    assert tier(desk, home.name) == "attested"


@pytest.mark.usefixtures("lab")
def test_a_box_that_loses_its_power_before_it_hears_the_answer_has_one_home(desk):
    """It sends what it sent, and is answered as the first time."""
    home = Home(desk, "dark")
    words = ["gateway", "enrol", "--evidence", command(desk), *alone(desk), "--home", str(home.gateway)]

    done = subprocess.run(
        [sys.executable, "-c", CUT, "5", *words],
        cwd=desk.folder,
        env=desk.environment(),
        capture_output=True,
        check=False,
    )
    before = json.loads((home.gateway / "attesting.json").read_bytes())["statement"]
    home.at_gateway("enrol", "--wait", "60")

    assert done.returncode < 0
    assert before
    eventually(lambda: desk.values(home.state["home"], "KEY"))


@pytest.mark.parametrize(
    "words",
    [
        ("--evidence", "true"),
        ("--evidence", "true", "--desk", "https://localhost", "--registry", "homes.example", "--https"),
        ("--label", "x"),
        ("--evidence", "true", "--desk", "http://localhost", "--registry", "homes.example"),
    ],
    ids=["where", "https", "label", "url"],
)
def test_options_that_do_not_go_together_are_refused(desk, words):
    assert "--" in Home(desk, "odd").at_gateway("enrol", *words, status=2)
