"""What a gateway's key must not be able to do, and one that was replaced or revoked, and what it must not write."""

import pytest
from messages import IN, question, record, update
from service import eventually
from townspeople import (
    TXT,
    AddOwnerKey,
    ApproveKey,
    Found,
    Leave,
    Object,
    ObjectRecovery,
    Recover,
    Release,
    RemoveOwnerKey,
    Replace,
    Return,
    RevokeKey,
    Sig0,
    Stolen,
    code,
    key,
    kid,
)

from ddns.proof.statements import AnnounceKey, RollKey

OF_PEOPLE = (
    AddOwnerKey, ApproveKey, Found, Leave, Object, ObjectRecovery, Recover, Release, RemoveOwnerKey, Replace, Return,
    RevokeKey, Stolen,
)  # fmt: skip


@pytest.fixture(scope="module")
def smith(homes):
    return homes("gateway-smith")


@pytest.mark.parametrize("kind", OF_PEOPLE, ids=lambda kind: kind.__name__)
def test_gateway_cannot_release_leave_add_people_or_approve_keys(smith, kind):
    """Each act of people, signed by the home's live gateway key: the same refusal, and nothing is changed."""
    refused = smith.act(kind, smith.gateway)

    assert code(refused) == (403, "not-yours")
    eventually(lambda: smith.update(smith.gateway) == "NOERROR")  # it still is what it was: the home's gateway


def test_gateway_cannot_approve_its_successor(homes):
    home = homes("gateway-lost")
    new = key()
    assert home.post(AnnounceKey, new, path="/v1/keys/announce").status == 200

    for signer in (home.gateway, new):
        assert code(home.post(ApproveKey, signer, key=kid(new))) == (403, "not-yours")
    assert home.update(new) == "NOTAUTH"
    assert home.update(home.gateway) == "NOERROR"


def test_gateway_cannot_write_another_home_or_the_registry(smith, homes):
    other = homes("gateway-other")

    assert smith.update(smith.gateway, zone=other.name) in ("REFUSED", "NOTAUTH")
    assert smith.update(smith.gateway, zone="homes.example.") in ("REFUSED", "NOTAUTH")
    assert smith.update(smith.gateway, owner=f"t.{other.name}") == "NOTZONE"
    assert other.texts() == []


def test_gateway_cannot_outlive_its_revocation_by_one_message(homes):
    home = homes("gateway-revoked")
    eventually(lambda: home.update(home.gateway) == "NOERROR")

    assert home.post(RevokeKey, home.owner, key=kid(home.gateway)).status == 200

    # A worker that has not heard of it yet finds out when it writes.
    assert home.update(home.gateway, text=b"\x05after") in ("NOTAUTH", "REFUSED")
    assert code(home.post(RollKey, home.gateway, key())) == (403, "not-yours")
    assert '"after"' not in home.texts()


def test_old_gateway_cannot_update_after_it_was_replaced(homes):
    home = homes("gateway-old")
    new = key()
    assert home.post(Replace, new, home.owner).status == 200

    assert home.update(home.gateway) in ("NOTAUTH", "REFUSED")
    eventually(lambda: home.update(new) == "NOERROR")
    assert code(home.post(RollKey, home.gateway, key())) == (403, "not-yours")


def test_old_gateway_cannot_announce_itself_into_a_live_key(homes):
    home = homes("gateway-back")
    new = key()
    assert home.post(Replace, new, home.owner).status == 200

    home.post(AnnounceKey, home.gateway, path="/v1/keys/announce")

    assert home.update(home.gateway) in ("NOTAUTH", "REFUSED")
    eventually(lambda: home.update(new) == "NOERROR")


def test_old_gateway_cannot_spend_its_invitation_again(homes):
    home = homes("gateway-spent")

    assert code(home.enrol(key()))[1] == "invitation-spent"


def test_gateway_cannot_have_a_message_done_twice(smith):
    """A signed UPDATE that was recorded on its way is answered as it was, and changes nothing a second time."""
    adds = update([question(smith.name)], (), [record(f"r.{smith.name}", TXT, IN, 60, b"\x01x")])
    removes = update([question(smith.name)], (), [record(f"r.{smith.name}", TXT, 255)])
    recorded = Sig0(smith.name, smith.gateway).signed(adds, before=60, after=240)
    assert smith.send(recorded) == "NOERROR"
    assert smith.send(Sig0(smith.name, smith.gateway).signed(removes, before=60, after=240)) == "NOERROR"

    assert smith.send(recorded) == "NOERROR"

    eventually(lambda: smith.desk.values(f"r.{smith.name}", "TXT") == [])
