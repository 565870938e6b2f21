"""What owners, administrators, recovery keys, sellers and claimants must not be able to do."""

import json
import secrets
import time

import pytest
from service import eventually
from townspeople import (
    ACTS,
    WITHOUT_HOME,
    AddOwnerKey,
    Leave,
    Recover,
    Release,
    RemoveOwnerKey,
    Replace,
    RevokeKey,
    code,
    key,
    kid,
)

from ddns.dns import names
from ddns.gateway.invitation import Invitation
from ddns.proof import statements
from ddns.proof.statements import Claim, Enrol


@pytest.fixture(scope="module")
def smith(homes):
    return homes("owner-smith")


@pytest.fixture(scope="module")
def jones(homes):
    return homes("owner-jones")


@pytest.mark.parametrize("kind", [one for one in ACTS if one not in WITHOUT_HOME], ids=lambda kind: kind.__name__)
def test_owner_cannot_touch_another_owners_home(smith, jones, kind):
    """Every act on a home, on Jones's by Smith's key: not his, and Jones's gateway goes on."""
    assert code(jones.act(kind, smith.owner)) == (403, "not-yours")
    assert jones.update(jones.gateway) == "NOERROR"


def test_owner_cannot_take_away_another_owners_key(smith, jones):
    refused = smith.post(RemoveOwnerKey, smith.owner, sub="", key=kid(jones.owner))

    assert refused.status in (403, 409)
    assert jones.post(statements.Token, jones.owner).status == 201


def test_owner_cannot_release_a_home_that_the_registry_holds(homes):
    """Suspended by the operator, with a reason: its owner can neither replace its gateway nor leave."""
    home = homes("owner-held")
    home.desk.ddns("home", "suspend", home.name)

    for kind in (Replace, Leave):
        assert code(home.act(kind, home.owner)) == (409, "home-held")
    assert home.update(home.gateway) == "REFUSED"


def test_owner_cannot_be_given_a_name_at_rest_that_is_anothers(homes, desk):
    home = homes("owner-left")
    assert home.post(Leave, home.owner).status == 200

    said = desk.ddns("home", "invite", home.name, status=1)

    assert home.name.split(".")[0] in said
    eventually(lambda: desk.values(home.name, "KEY") == [])


def test_admin_key_cannot_do_more_than_its_role(homes):
    home = homes("admin-home")
    admin = key()
    assert home.post(AddOwnerKey, home.owner, admin, sub="", role="admin").status == 200

    for kind in (Leave, Release, AddOwnerKey):
        assert code(home.act(kind, admin)) == (403, "not-yours"), kind
    assert code(home.post(RemoveOwnerKey, admin, sub="", key=kid(home.owner)))[0] == 403
    assert home.act(RevokeKey, admin).status == 200  # what its role is for


def test_recovery_key_cannot_finish_its_recovery_early(homes):
    """It begins one, which waits; the new key is nobody until then, and the owner's own goes on."""
    home = homes("recovery-home")
    recovery, new = key(), key()
    assert home.post(AddOwnerKey, home.owner, recovery, sub="", role="recovery").status == 200

    begun = home.post(Recover, recovery, new, sub="")

    assert begun.status == 200
    assert begun.json["due"] >= int(time.time()) + 86_400
    for signer in (recovery, new):
        assert code(home.post(Leave, signer)) == (403, "not-yours")
    assert home.post(statements.Token, home.owner).status == 201


def test_recovery_key_cannot_survive_an_objection(homes):
    home = homes("objected-home")
    recovery, new = key(), key()
    assert home.post(AddOwnerKey, home.owner, recovery, sub="", role="recovery").status == 200
    assert home.post(Recover, recovery, new, sub="").status == 200

    assert home.post(statements.ObjectRecovery, home.owner, sub="").status == 200

    assert home.post(Recover, recovery, key(), sub="").status in (403, 409)
    assert code(home.post(Leave, new)) == (403, "not-yours")


def test_thief_cannot_keep_a_home_by_objecting_with_a_stolen_key(homes):
    """After an objection nobody's key closes, releases or adds people: the registry has to look."""
    home = homes("disputed-home")
    recovery, new = key(), key()
    assert home.post(AddOwnerKey, home.owner, recovery, sub="", role="recovery").status == 200
    assert home.post(Recover, recovery, new, sub="").status == 200
    assert home.post(statements.ObjectRecovery, home.owner, sub="").status == 200

    for kind in (Leave, AddOwnerKey):
        assert code(home.act(kind, home.owner)) == (409, "recovery-disputed"), kind
    assert home.update(home.gateway) == "NOERROR"


def test_phone_cannot_enrol_without_the_gateways_signature(smith, desk):
    """Who has the invitation and an owner's key but no gateway's: no home comes to be."""
    made = json.loads(desk.ddns("home", "invite", "phone-only", "--json"))
    invitation = Invitation.from_text(made["invitation"])
    by = (names.to_text(invitation.key), invitation.secret)

    refused = smith.post(Enrol, by, path="/v1/enrol", sub="", method="invitation")

    assert code(refused)[1] in ("statement-malformed", "statement-signature-wrong")
    assert desk.values("phone-only.homes.example.", "KEY") == []


def test_claimant_cannot_claim_with_a_key_that_is_not_the_boxs(smith, desk):
    """A claim needs the registry's nonce, signed by the box's own key: a serial number or a photograph is none."""
    nonce = desk.ask_web("POST", "/v1/nonces", {}).json["nonce"]

    refused = smith.post(Claim, key(), key(), sub="", nonce=nonce)

    assert refused.status >= 400
    assert smith.update(smith.gateway) == "NOERROR"


def test_bearer_cannot_use_a_release_that_was_never_given(smith):
    secret = secrets.token_urlsafe(32)

    refused = smith.post(Enrol, key(), key(), path="/v1/enrol", sub="", method="release", secret=secret)

    assert refused.status >= 400
