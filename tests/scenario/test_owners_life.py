"""What an owner does with a home, by the commands of gateway and phone: replace, reset, lose a key, roll it, let go."""

import json
import re

import pytest
from desk import Desk
from enrolling import Home
from service import eventually


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        yield desk


def another_gateway(home, folder):
    """Return the same home with the folder of another box."""
    other = Home(home.desk, home.name.split(".")[0])
    other.gateway = home.desk.folder / folder
    return other


def test_a_new_gateway_takes_over_in_one_action_and_the_old_one_is_dead(desk):
    """The owner's phone accepts; the old key's next message is refused."""
    old = Home(desk, "replaced").enrolled()
    old.at_gateway("publish", "cam", "--address", "2001:db8::1")
    new = another_gateway(old, "new-box")

    new.at_gateway("replace", old.name, "--server", f"127.0.0.1:{desk.port}", "--wait", "1", status=7)
    new.at_phone("accept", new.request)
    new.at_gateway("enrol", "--wait", "60")

    new.at_gateway("publish", "cam", "--address", "2001:db8::2")
    eventually(lambda: desk.values(f"cam.{old.name}", "AAAA") == ["2001:db8::2"])
    assert "does not accept this key" in old.at_gateway("publish", "cam", "--address", "2001:db8::3", status=5)
    eventually(lambda: len(desk.values(old.name, "KEY")) == 1)


def test_after_a_reset_the_owner_accepts_and_all_is_published_again(desk):
    """Rows 41 and 2.8: the keys are gone, the name stays the owner's, the desired state comes back by itself."""
    home = Home(desk, "reset").enrolled()
    home.at_gateway("publish", "cam", "--address", "2001:db8::5")
    keys = set(home.gateway.glob("K*"))
    assert keys

    said = home.at_gateway("reset")
    assert "stays its owner's" in said
    assert not set(home.gateway.glob("K*"))
    assert not (home.gateway / "clock.json").exists()
    assert "no home yet" in home.at_gateway("publish", "cam", "--address", "2001:db8::6", status=2)

    home.at_gateway("replace", "--wait", "1", status=7)
    home.at_phone("accept", home.request)
    said = home.at_gateway("enrol", "--wait", "60")

    assert "cam.reset.homes.example. now has 2001:db8::5" in said
    assert not keys & set(home.gateway.glob("K*")), "it is another key"


def test_a_reset_that_forgets_leaves_nothing(desk):
    """For the buyer: no key, no name, no wish."""
    home = Home(desk, "forgotten").enrolled()

    home.at_gateway("reset", "--forget")

    assert {path.name for path in home.gateway.iterdir()} <= {"lock"}


def test_a_lost_key_is_announced_and_trusted_when_the_owner_approves(desk):
    """Story 2.9: the old key works until then, and is dead afterwards."""
    home = Home(desk, "lost").enrolled()
    new = another_gateway(home, "announcing-box")

    said = new.at_gateway("key", "announce", home.name, "--server", f"127.0.0.1:{desk.port}", status=7)
    thumbprint = re.search(r"--key (\S{43})", said).group(1)
    home.at_gateway("publish", "cam", "--address", "2001:db8::9")
    assert "has not accepted" in new.at_gateway("enrol", "--wait", "1", status=7)

    home.at_phone("say", "approve-key", home.name, "--key", thumbprint)
    new.at_gateway("enrol", "--wait", "60")

    new.at_gateway("publish", "cam", "--address", "2001:db8::a")
    home.at_gateway("publish", "cam", "--address", "2001:db8::b", status=5)


def test_a_key_rolls_by_itself_and_the_old_one_is_dead(desk):
    """Both keys sign; the folder holds the new one alone."""
    home = Home(desk, "rolled").enrolled()
    before = home.state["key"]

    said = home.at_gateway("key", "roll")

    assert "has taken the place" in said
    assert home.state["key"] != before
    assert not list(home.gateway.glob(f"{before}*"))
    home.at_gateway("publish", "cam", "--address", "2001:db8::c")


def test_a_home_by_dns_gets_its_owner_later(desk):
    """Enrolled as ever, without a phone; then the gateway and the owner sign together."""
    home = Home(desk, "bound")
    line = home.invite()
    home.at_gateway("enrol", line)
    home.at_phone("make")
    home.at_phone("scan", line)

    home.at_gateway("bind")
    home.at_phone("accept", str(home.gateway / "owner.jws"))

    again = Home(desk, "bound", "thief")
    again.at_phone("make")
    home.at_gateway("bind")
    where = ("--desk", f"https://localhost:{desk.web}", "--cafile", str(desk.certificate))
    assert "refused" in again.at_phone("accept", str(home.gateway / "owner.jws"), *where, status=3)


def test_an_owner_adds_a_recovery_key_and_reads_notices(desk):
    """The new key signs, too; what happened can be read with the owner's key and with no password."""
    home = Home(desk, "careful").enrolled()
    home.at_phone("make", "--role", "recovery", "--curve", "Ed25519")

    home.at_phone("say", "add-owner-key", "--new", str(home.phone / "recovery.pem"), "--for", "recovery")
    said = home.at_phone("notices")

    assert f"home.enrolled  {home.name}" in said
    assert "owner.key-added" in said


def test_an_owner_gives_a_device_a_key_of_its_own_and_takes_it_away(desk):
    """Row 25: it changes its own name alone; the home's own key goes on."""
    home = Home(desk, "devices").enrolled()
    home.at_phone("make", "--role", "admin")  # a key that is nobody's yet: here the camera's

    said = home.at_phone("say", "device-key", home.name, "cam", "--new", str(home.phone / "admin.pem"))
    thumbprint = re.search(r"--key (\S{43})", said).group(1)
    eventually(lambda: desk.values(f"cam.{home.name}", "KEY"))
    home.at_phone("say", "revoke-key", home.name, "--key", thumbprint)

    eventually(lambda: desk.values(f"cam.{home.name}", "KEY") == [])
    assert "has no such key" in home.at_phone("say", "revoke-key", home.name, "--key", thumbprint, status=3)
    home.at_gateway("publish", "door", "--address", "2001:db8::e")


def test_an_owner_mints_a_key_for_certificates_which_is_shown_once(desk):
    """Row 52: with one narrow right and an end."""
    home = Home(desk, "minting").enrolled()

    said = home.at_phone("say", "mint-key", home.name, "cam", "--days", "3")
    algorithm, name, secret = said.split()[-1].split(":")

    assert (algorithm.rstrip("."), len(secret) >= 40) == ("hmac-sha256", True)
    shown = desk.ddns("home", "show", home.name, "--json")
    assert name.rstrip(".") in shown
    assert secret not in shown


def test_a_home_that_nobody_owns_gets_its_owner_by_the_registrys_code(desk):
    """By command or by API; the last code counts, once, and a phone that has none learns nothing."""
    home = Home(desk, "orphan")
    desk.ddns("home", "add", "orphan")
    first = json.loads(desk.ddns("home", "adopt-code", "orphan", "--json"))["code"]
    made = desk.ask_web("POST", f"/v1/homes/{home.name}/adoption-code", {"days": 1}, token=desk.token("homes:write"))
    assert made.status == 201, made
    home.at_phone("make")
    home.at_phone("scan", Home(desk, "orphans-neighbour").invite())

    assert "may not do this" in home.at_phone("say", "adopt", home.name, "--code", first, status=5)
    assert f"{home.name} is yours" in home.at_phone("say", "adopt", home.name, "--code", made.json["code"])

    assert "owner.bound" in home.at_phone("notices")
    history = desk.ddns("home", "history", "orphan")
    assert ("adoption-code" in history, made.json["code"] in history) == (True, False)
    assert "has an owner" in desk.ddns("home", "adopt-code", "orphan", status=1)


def test_a_home_leaves_and_returns(desk):
    """Closed by its owner, and back within 30 days."""
    home = Home(desk, "leaving").enrolled()
    eventually(lambda: desk.values(home.name, "KEY"))

    home.at_phone("say", "leave", home.name)
    eventually(lambda: desk.values(home.name, "KEY") == [])
    assert home.at_gateway("publish", "cam", "--address", "2001:db8::d", status=5)
    home.at_phone("say", "return", home.name)

    assert json.loads(desk.ddns("home", "show", home.name, "--json"))


def test_a_stranger_says_nothing_about_a_home(desk):
    """Another owner's key gets the same refusal for a home that is there and for one that is not."""
    home = Home(desk, "theirs").enrolled()
    stranger = Home(desk, "stranger").enrolled()

    said = [
        stranger.at_phone("say", "stolen", name, status=5).replace(name, "NAME")
        for name in (home.name, "nobody.homes.example.")
    ]

    assert len(set(said)) == 1
