"""Who may write what: homes, grants by subtree and type, and what an invitation never gives."""

from __future__ import annotations

import pytest

from ddns.auth import grants
from ddns.auth.principal import Credential, Grant, Principal, Secret
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal

HOME = names.from_text("smith.homes.example.")
REGISTRY = names.from_text("homes.example.")
HOME_ZONE, REGISTRY_ZONE = 7, 1
A, AAAA, TXT, NS, DS, ANY = 1, 28, 16, 2, 43, 255


def name(text: str) -> bytes:
    return names.from_text(text)


def credential(*granted: Grant, called: str = "k.example.", **more: object) -> Credential:
    return Credential(1, name(called), "sig0", "13", grants=granted, **more)


def asked(
    key: Credential, *targets: tuple[str, int], zone: int = HOME_ZONE, origin: bytes = HOME, is_home: bool = True
) -> str:
    """Return the refusal's code, or nothing where all may be done."""
    refusal = grants.permitted(key, zone, origin, [(name(owner), rdtype) for owner, rdtype in targets], is_home=is_home)
    if refusal is None:
        return ""
    assert (refusal.rcode, refusal.ede) == (Rcode.REFUSED, Ede.PROHIBITED)
    assert names.to_text(key.name) in refusal.text
    assert refusal.text.endswith(".")
    return refusal.code


@pytest.mark.parametrize("called", ["smith.homes.example.", "other.example."])
def test_a_homes_key_may_change_its_home_and_nothing_else(called):
    """Enrolled for it, whatever it is called: every name and type there, the delegation in the registry not."""
    key = credential(called=called, home=HOME_ZONE)
    everything = [("smith.homes.example.", NS), ("cam.smith.homes.example.", ANY), ("*.smith.homes.example.", TXT)]

    assert asked(key, *everything) == ""
    assert asked(key, ("smith.homes.example.", DS), zone=REGISTRY_ZONE, origin=REGISTRY, is_home=False) != ""
    assert asked(key, ("jones.homes.example.", A), zone=8, origin=name("jones.homes.example.")) != ""


@pytest.mark.parametrize("is_home", [True, False])
def test_a_key_that_is_only_called_like_a_home_has_no_rights(is_home):
    """It may have been there before the home, for something else."""
    key = credential(called="smith.homes.example.")

    assert asked(key, ("cam.smith.homes.example.", A), is_home=is_home) == "zone-not-granted"


def test_a_key_of_a_former_home_of_that_name_has_no_rights():
    """It was enrolled for another zone's id."""
    assert asked(credential(called="smith.homes.example.", home=99), ("cam.smith.homes.example.", A)) != ""


def test_nothing_is_writable_by_default():
    """A key without grants enters no zone, not even with an update that writes nothing."""
    assert asked(credential()) == "zone-not-granted"
    assert asked(credential(), ("cam.smith.homes.example.", A)) == "zone-not-granted"
    assert not grants.enters(credential(), HOME_ZONE, HOME, is_home=True)


def test_a_grant_covers_its_subtree_in_its_zone():
    """At and below the name, whole labels; in other zones nothing."""
    key = credential(Grant(HOME_ZONE, name("cam.smith.homes.example.")))

    assert asked(key, ("cam.smith.homes.example.", A), ("a.b.cam.smith.homes.example.", TXT)) == ""
    assert asked(key, ("CAM.smith.homes.example.", ANY)) == ""
    assert asked(key, ("smith.homes.example.", A)) == "name-not-granted"
    assert asked(key, ("webcam.smith.homes.example.", A)) == "name-not-granted"
    assert asked(key, ("cam.smith.homes.example.", A), zone=8) == "zone-not-granted"
    assert grants.enters(key, HOME_ZONE, HOME, is_home=False)


def test_a_grant_of_types_covers_those():
    """And a whole name only with a grant of all types."""
    some = credential(Grant(HOME_ZONE, HOME, frozenset({A, AAAA})))

    assert asked(some, ("cam.smith.homes.example.", A), ("cam.smith.homes.example.", AAAA)) == ""
    assert asked(some, ("cam.smith.homes.example.", TXT)) == "name-not-granted"
    assert asked(some, ("cam.smith.homes.example.", ANY)) == "name-not-granted"
    assert asked(credential(Grant(HOME_ZONE, HOME)), ("cam.smith.homes.example.", ANY)) == ""


def test_grants_add_up():
    """Each record needs one grant that covers it."""
    key = credential(
        Grant(HOME_ZONE, name("cam.smith.homes.example."), frozenset({A})),
        Grant(HOME_ZONE, name("_acme-challenge.smith.homes.example."), frozenset({TXT})),
    )

    assert asked(key, ("cam.smith.homes.example.", A), ("_acme-challenge.smith.homes.example.", TXT)) == ""
    assert asked(key, ("cam.smith.homes.example.", TXT)) == "name-not-granted"


def test_one_record_too_many_refuses_the_update():
    """All or nothing, wherever it stands in the message."""
    key = credential(Grant(HOME_ZONE, name("cam.smith.homes.example.")))

    assert asked(key, ("cam.smith.homes.example.", A), ("tv.smith.homes.example.", A)) == "name-not-granted"


def test_names_outside_of_the_zone_are_left_to_the_prescan():
    """So that they are answered with NOTZONE."""
    key = credential(Grant(HOME_ZONE, name("cam.smith.homes.example.")))

    assert asked(key, ("other.example.", A)) == ""


def test_an_invitation_covers_nothing():
    """Whatever it is called, and whatever rows may say: it is spent by an enrolment."""
    key = credential(Grant(HOME_ZONE, HOME), called="smith.homes.example.", invitation=5, home=HOME_ZONE)

    assert asked(key) == "zone-not-granted"
    assert asked(key, ("smith.homes.example.", 25)) == "zone-not-granted"


def test_an_update_that_writes_nothing_needs_some_right():
    """Its prerequisites ask what is in the zone."""
    assert asked(credential(Grant(HOME_ZONE, name("cam.smith.homes.example.")))) == ""


def test_the_refusal_tells_the_cure():
    """A key for some types that deletes a whole name hears how else."""
    key = credential(Grant(HOME_ZONE, HOME, frozenset({A})))

    refusal = grants.permitted(key, HOME_ZONE, HOME, [(HOME, ANY)], is_home=True)

    assert isinstance(refusal, Refusal)
    assert "delete the types" in refusal.text


def test_secrets_are_not_shown():
    """No `repr` of anything that carries a secret shows it."""
    key = Credential(1, HOME, "tsig", "hmac-sha256", secret=Secret(b"very secret"))

    assert "very" not in repr(key)
    assert Principal(key).label == "tsig:smith.homes.example."
    assert key.secret == Secret(b"very secret")
    assert key.secret != Secret(b"other")
