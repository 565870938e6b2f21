"""The gateway agent against the real registry: the commands that a home's router runs."""

import base64
import json
import os
import re
import subprocess
import sys

import pytest
from ports import free_port
from registry import anchor
from tools import need

from ddns.verifier import chain

WRONG_CLOCK = (
    "import sys, time; real = time.time; time.time = lambda: real() - 900000000;"
    "from ddns.cli import main; main(sys.argv[1:])"
)


class Home:
    """A gateway's folder and its commands."""

    def __init__(self, registry, folder, label):
        self.registry = registry
        self.folder = folder
        self.name = f"{label}.hash.example."
        where = f"127.0.0.1:{registry.port}"
        printed = registry.ddns("home", "invite", label, "--zone", "hash.example", "--server", where)
        self.invitation = re.search(r"ddns://\S+", printed)[0]

    def __call__(self, *words, program=("-m", "ddns.cli"), folder=None, wait=40):
        """Run `ddns gateway` and return its exit status and what it said."""
        more = [] if words[0] == "status" else ["--wait", str(wait)]
        done = subprocess.run(
            [sys.executable, *program, "gateway", *words, *more],
            env=os.environ | {"DDNS_GATEWAY": str(folder or self.folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, (done.stdout + done.stderr).strip()

    def proved(self, name, rdtype):
        """Return the records as a validator finds them from the registry's DS down."""
        zone, words = anchor(self.registry, "hash.example.")
        proof = chain.validate(
            chain.Server("127.0.0.1", self.registry.port),
            chain.Anchor.from_text(zone, " ".join(words)),
            f"{name}.{self.name}",
            rdtype,
        )
        assert isinstance(proof, chain.Proof), proof
        return sorted(str(rdata) for rdata in proof.rrset)


@pytest.fixture
def home(registry, tmp_path, request):
    """Invite a home of this test's own."""
    label = re.sub(r"[^a-z]", "", request.node.name)[-20:]
    return Home(registry, tmp_path / "gateway", f"h{label}")


@pytest.fixture
def enrolled(home):
    assert home("enrol", home.invitation)[0] == 0
    return home


def test_an_invited_gateway_publishes_what_a_stranger_can_prove(enrolled, tmp_path):
    """Enrol, publish, renumber, remove: each is done and signed when the command ends."""
    key = tmp_path / "cam.pem"
    made = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        tmp_path / "cam.key",
        "-out",
        key,
    ]
    subprocess.run(["openssl", "req", "-x509", "-subj", "/CN=cam", *made], check=True, capture_output=True, timeout=60)

    first = enrolled("publish", "cam", "--address", "192.0.2.1", "--address", "2001:db8::1", "--tls", f"443={key}")
    shown = enrolled.proved("cam", "A"), enrolled.proved("cam", "AAAA"), enrolled.proved("_443._tcp.cam", "TLSA")
    second = enrolled("publish", "cam", "--address", "192.0.2.9")
    moved = enrolled.proved("cam", "A"), enrolled.registry.values(f"cam.{enrolled.name}", "AAAA")
    kept = enrolled.proved("_443._tcp.cam", "TLSA")
    status = json.loads(enrolled("status", "--json")[1])
    third = enrolled("publish", "cam", "--remove")

    assert (first[0], second[0], third[0]) == (0, 0, 0)
    assert shown[:2] == (["192.0.2.1"], ["2001:db8::1"])
    assert shown[2] == kept
    assert moved == (["192.0.2.9"], [])
    assert status["devices"][f"cam.{enrolled.name}"]["published"]["addresses"] == ["192.0.2.9"]
    assert [enrolled.registry.values(f"cam.{enrolled.name}", kind) for kind in ("A", "TLSA")] == [[], []]


def test_a_spent_invitation_gives_nobody_else_the_home(enrolled, tmp_path):
    """A second gateway with the same line is refused, and the first keeps its home."""
    status, said = enrolled("enrol", enrolled.invitation, folder=tmp_path / "thief")

    assert status == 3, said
    assert "has been spent" in said
    assert enrolled("status", folder=tmp_path / "thief")[0] == 1
    assert enrolled("publish", "cam", "--address", "192.0.2.1")[0] == 0


def test_a_gateway_whose_answer_got_lost_finds_its_home(enrolled):
    """The invitation is spent, the key is known: enrolling again says so."""
    path = enrolled.folder / "gateway.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"enrolled_at": None}))

    status, said = enrolled("enrol", enrolled.invitation)

    assert status == 0, said
    assert "accepted its key" in said


def test_a_damaged_invitation_is_not_accepted(home):
    """One character of the key is wrong: BADSIG."""
    at = home.invitation.rindex("@") - 5
    wrong = "A" if home.invitation[at] != "A" else "B"

    status, said = home("enrol", home.invitation[:at] + wrong + home.invitation[at + 1 :])

    assert status == 5
    assert "signature wrong" in said
    assert home("enrol", home.invitation)[0] == 0


def test_a_box_that_booted_in_another_year_can_enrol(home):
    """The registry's BADTIME is signed with the invitation's key, so its time can be believed."""
    status, said = home("enrol", home.invitation, program=("-c", WRONG_CLOCK))

    assert status == 0, said


def test_a_box_that_boots_in_another_year_again_publishes(enrolled):
    """It asks for the registry's time with the key of its spent invitation, and signs with that."""
    status, said = enrolled("publish", "cam", "--address", "192.0.2.1", program=("-c", WRONG_CLOCK))

    assert status == 0, said
    assert "900000000 s behind the registry's" in said or "899999999 s" in said or "900000001 s" in said
    assert enrolled.proved("cam", "A") == ["192.0.2.1"]


def test_a_box_with_a_wrong_clock_and_no_proof_does_not_claim_to_have_published(enrolled):
    """It is told to set the clock."""
    (enrolled.folder / "clock.json").unlink()

    status, said = enrolled("publish", "cam", "--address", "192.0.2.1", program=("-c", WRONG_CLOCK))

    assert status == 6
    assert "clock" in said
    assert enrolled.registry.values(f"cam.{enrolled.name}", "A") == []


def test_a_leased_name_is_shown_by_the_registry_with_its_end(enrolled):
    """What the gateway asked for is what the registry says."""
    status, said = enrolled("publish", "cam", "--address", "192.0.2.1", "--ttl", "9000", "--lease", "3600")

    listed = json.loads(enrolled.registry.ddns("zone", "leases", enrolled.name, "--json"))

    assert status == 0, said
    assert "unless it is published again" in said
    assert [(one["name"], one["type"], one["data"], one["lease"]) for one in listed] == [
        (f"cam.{enrolled.name}", "A", "192.0.2.1", 3600)
    ]
    assert enrolled.registry.ask(f"cam.{enrolled.name}", "A").answer[0].ttl == 3600


def test_a_gateway_learns_with_which_key_its_registry_signs(enrolled):
    """It is the KEY that the registry publishes at its own name."""
    name, public = json.loads((enrolled.folder / "gateway.json").read_text())["server"].split()

    assert name == "ns1.hash.example."
    (published,) = enrolled.registry.values(name, "KEY")
    assert base64.b64decode(public) == bytes((2, 0, 3, 13)) + base64.b64decode(published.split(" ", 3)[3])
    assert enrolled("publish", "cam", "--address", "192.0.2.1")[0] == 0


def test_a_suspended_home_is_told_so_and_goes_on_when_released(enrolled):
    """REFUSED with the registry's words; nothing is lost: the same wish is published later."""
    enrolled.registry.ddns("home", "suspend", enrolled.name)
    refused = enrolled("publish", "cam", "--address", "192.0.2.1")
    waiting = enrolled("status")
    enrolled.registry.ddns("home", "release", enrolled.name)
    done = enrolled("publish", "cam")

    assert refused[0] == 3
    assert "suspended" in refused[1]
    assert waiting[0] == 3
    assert done[0] == 0
    assert enrolled.proved("cam", "A") == ["192.0.2.1"]


def test_a_revoked_key_is_not_accepted(enrolled):
    """Effective with the next message."""
    enrolled.registry.ddns("key", "revoke", enrolled.name)

    status, said = enrolled("publish", "cam", "--address", "192.0.2.1")

    assert status == 5, said


def test_a_registry_that_is_away_is_status_4(enrolled):
    """Nobody listens: said in time, and kept as a wish."""
    path = enrolled.folder / "gateway.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"port": free_port()}))

    status, said = enrolled("publish", "cam", "--address", "192.0.2.1", wait=2)

    assert status == 4
    assert "could not be reached" in said
    assert enrolled("status")[0] == 4


def test_a_name_whose_update_the_registry_limits_is_refused_in_its_words(enrolled):
    """More addresses than one name may have: the limit is named, nothing is changed."""
    many = [word for n in range(300) for word in ("--address", f"192.0.2.{n}" if n < 256 else f"198.51.100.{n - 256}")]

    status, said = enrolled("publish", "cam", *many)

    assert status == 3, said
    assert enrolled.registry.values(f"cam.{enrolled.name}", "A") == []


def test_the_gateways_files_are_nsupdates_files(enrolled):
    """The agent's key signs for BIND's client too."""
    nsupdate = need("nsupdate")
    (key,) = enrolled.folder.glob("K*.private")
    script = f"server 127.0.0.1 {enrolled.registry.port}\nupdate add note.{enrolled.name} 60 TXT hello\nsend\n"

    subprocess.run([nsupdate, "-k", key], input=script, text=True, check=True, timeout=90)

    assert enrolled.proved("note", "TXT") == ['"hello"']
