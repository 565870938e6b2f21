"""What an owner signs reaches the DNS: gateways replaced, homes that leave and return, keys for one thing."""

import base64
import json
import secrets
import time

import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from desk import Desk
from enrolling import Home
from service import eventually

from ddns.auth import keys
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.text import rdata_to_text
from ddns.gateway.invitation import Invitation
from ddns.proof import jwk, statements
from ddns.proof.statements import (
    AddOwnerKey,
    AnnounceKey,
    ApproveKey,
    BindOwner,
    Claim,
    Enrol,
    Leave,
    MintKey,
    ObjectRecovery,
    Replace,
    Return,
    RevokeKey,
    Token,
)


@pytest.fixture(scope="module")
def desk():
    with Desk().running() as desk:
        yield desk


def key():
    return ec.generate_private_key(ec.SECP256R1())


class Owned:
    """A home that was enrolled by HTTPS, with its gateway's key and its owner's."""

    def __init__(self, desk, label):
        self.home = Home(desk, label)
        self.gateway, self.owner = key(), key()
        invitation = Invitation.from_text(self.home.invite())
        from_it = (names.to_text(invitation.key), invitation.secret)
        made = self.post(Enrol, self.gateway, self.owner, from_it, path="/v1/enrol", sub="", method="invitation")
        assert made.status == 201, made

    def post(self, kind, *signers, path="/v1/statements", **fields):
        return self.home.post(path, self.signed(kind, *signers, **fields))

    def signed(self, kind, *signers, **fields):
        now = int(time.time())
        said = {"aud": "homes.example.", "iat": now, "exp": now + 600, "jti": secrets.token_urlsafe(16)}
        return statements.sign(kind(**(said | {"sub": self.home.name} | fields)), *signers)


def shown(desk, name, *private):
    """Say whether the KEY records at *name* are those of these keys, and no others."""
    wanted = {rdata_to_text(Type.KEY, keys.key_rdata(one)).replace(" ", "") for one in private}
    return {one.replace(" ", "") for one in desk.values(name, "KEY")} == wanted


def code(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer
    return answer.status, answer.json["code"]


def test_a_gateway_is_replaced_in_one_action_and_the_old_one_is_nobody(desk):
    """Row 41: the name stays, the new key is at the apex, and what the old one signs is refused."""
    smith = Owned(desk, "smith")
    eventually(lambda: shown(desk, smith.home.name, smith.gateway))
    new = key()

    said = smith.post(Replace, new, smith.owner)

    assert (said.status, said.json["event"], said.json["state"]) == (200, "replace", "active")
    eventually(lambda: shown(desk, smith.home.name, new))
    assert code(smith.post(Token, smith.gateway)) == (403, "not-yours")
    assert smith.post(Token, new).status == 201


def test_a_lost_key_waits_for_the_owner(desk):
    """Row 41: a self-signed key is known and trusted with nothing; the owner approves it."""
    home = Owned(desk, "lost")
    new = key()

    announced = home.post(AnnounceKey, new, path="/v1/keys/announce")
    assert (announced.status, announced.json["event"]) == (200, "announce-key")
    eventually(lambda: shown(desk, home.home.name, home.gateway))
    assert code(home.post(ApproveKey, new, key=jwk.kid(jwk.of(new)))) == (403, "not-yours")

    assert home.post(ApproveKey, home.owner, key=jwk.kid(jwk.of(new))).status == 200
    eventually(lambda: shown(desk, home.home.name, new))


def test_a_home_leaves_the_dns_and_returns_without_a_key(desk):
    home = Owned(desk, "leaver")
    eventually(lambda: desk.values(home.home.name, "DS"))

    assert home.post(Leave, home.owner).json["state"] == "closed"

    eventually(lambda: not desk.values(home.home.name, "DS") and not desk.values(home.home.name, "SOA"))
    assert home.post(Return, home.owner).json["state"] == "keyless"
    eventually(lambda: desk.values(home.home.name, "DS") and desk.values(home.home.name, "SOA"))
    assert desk.values(home.home.name, "KEY") == []


def test_one_statement_is_answered_the_same_however_often_it_is_sent(desk):
    """Row 42: idempotent by the digest of what was signed."""
    home = Owned(desk, "twice")
    octets = home.signed(RevokeKey, home.owner, key=jwk.kid(jwk.of(home.gateway)))

    first, again = (home.home.post("/v1/statements", octets) for _ in range(2))

    assert (first.status, first.body) == (again.status, again.body)
    assert first.json["state"] == "keyless"
    fresh = home.post(RevokeKey, home.owner, key=jwk.kid(jwk.of(home.gateway)))
    assert code(fresh) == (409, "not-in-this-state")


def test_a_stranger_cannot_tell_whether_a_home_is_there(desk):
    home = Owned(desk, "there")
    there, not_there = (home.post(Leave, key(), sub=name) for name in (home.home.name, "nobody.homes.example."))

    assert (there.status, there.body) == (not_there.status, not_there.body)
    assert code(there) == (403, "not-yours")


def test_a_minted_key_is_told_once_and_answers_acme_challenges_alone(desk):
    """Row 52: an ACME key of one name, which writes nothing else."""
    home = Owned(desk, "minter")
    eventually(lambda: desk.values(home.home.name, "SOA"))

    made = home.post(MintKey, home.owner, name=f"www.{home.home.name}", days=30).json["key"]

    assert len(base64.b64decode(made["secret"])) == 32
    assert made["secret"] not in desk.ddns("key", "list", "--json")

    def write(name, rdtype, data):
        update = dns.update.UpdateMessage(home.home.name)
        update.add(f"{name}.{home.home.name}", 60, rdtype, data)
        update.use_tsig(dns.tsig.Key(made["name"], made["secret"], "hmac-sha256"))
        return dns.rcode.to_text(dns.query.tcp(update, "127.0.0.1", port=desk.port, timeout=20).rcode())

    assert write("_acme-challenge.www", "TXT", "token") == "NOERROR"
    assert write("_acme-challenge.other", "TXT", "token") == "REFUSED"
    assert write("www", "A", "192.0.2.1") == "REFUSED"


def test_owners_are_bound_by_their_gateway_and_keys_sign_beside_one_another(desk):
    home = Owned(desk, "keys")
    second = key()

    assert home.post(AddOwnerKey, home.owner, second, sub="", role="recovery").status == 200
    assert code(home.post(AddOwnerKey, home.owner, sub="", role="admin"))[1] == "statement-signature-wrong"
    assert code(home.post(BindOwner, home.gateway, key())) == (409, "not-in-this-state")
    assert code(home.post(Leave, second)) == (403, "not-yours")


def owner_of(desk, home):
    """Return the id of a home's owner."""
    listed = json.loads(desk.ddns("owner", "list", "--json"))
    shown = [json.loads(desk.ddns("owner", "show", one["owner"], "--json")) for one in listed]
    (found,) = [one["owner"] for one in shown if home.home.name in one["names"]]
    return found


def test_an_operator_sees_an_owners_keys_and_begins_a_recovery_that_any_key_may_stop(desk, tmp_path):
    home = Owned(desk, "lostall")
    ident, new, file = owner_of(desk, home), key(), tmp_path / "new.jwk"
    file.write_bytes(jwk.to_json(jwk.of(new)))
    recover = ("owner", "recover", ident, "--reason", "he came to our office with his contract")

    assert json.loads(desk.ddns("owner", "keys", ident, "--json"))[0]["key"] == jwk.kid(jwk.of(home.owner))
    assert "14" not in desk.ddns(*recover, "--drop", status=1)
    due = json.loads(desk.ddns(*recover, "--key", str(file), "--json"))["due"]
    assert due - time.time() > 13 * 86_400
    assert "open, by the registry, 1 operator" in desk.ddns("owner", "show", ident)
    assert code(home.post(Leave, home.owner)) == (409, "recovery-open")

    assert home.post(ObjectRecovery, home.owner, sub="").status == 200
    assert "another operator" in desk.ddns(*recover, "--confirm", status=1).lower()
    assert "objected" in desk.ddns("owner", "show", ident)
    assert "stay as they are" in desk.ddns(*recover, "--drop")
    assert home.post(Leave, home.owner).status == 200


def test_an_operator_says_one_thing_at_a_time_about_an_owner_who_is_there(desk, tmp_path):
    nobody = "00000000-0000-4000-8000-000000000000"
    file = tmp_path / "bad.jwk"
    file.write_text("{}")

    assert "Say one of" in desk.ddns("owner", "recover", nobody, "--reason", "x", status=2)
    assert "no owner" in desk.ddns("owner", "show", nobody, status=1)
    assert "no owner's id" in desk.ddns("owner", "keys", "smith", status=1)
    assert "no key" in desk.ddns("owner", "recover", nobody, "--key", str(file), "--reason", "x", status=1)


def test_an_operator_approves_an_announced_key_by_its_tag(desk):
    home = Owned(desk, "orphan")
    new = key()
    assert home.post(AnnounceKey, new, path="/v1/keys/announce").status == 200
    tag = keys.key_tag(keys.key_rdata(new))

    assert "announce its key" in desk.ddns(
        "home", "approve", "orphan", "--tag", str(tag ^ 1), "--reason", "x", status=1
    )
    desk.ddns("home", "approve", "orphan", "--tag", str(tag), "--reason", "the owner telephoned")

    eventually(lambda: shown(desk, home.home.name, new))
    assert "the owner telephoned" in desk.ddns("home", "history", "orphan")


def test_a_claim_on_a_box_that_nobody_enrolled_is_refused_after_its_nonce(desk):
    home = Owned(desk, "claimer")
    made = home.home.desk.ask_web("POST", "/v1/nonces", {"purpose": "now"})
    once = made.json["nonce"]

    assert code(home.post(Claim, key(), key(), sub="", nonce="AA")) == (403, "nonce-wrong")
    assert code(home.post(Claim, key(), key(), sub="", nonce=once)) == (409, "not-in-this-state")


def test_a_wish_for_a_home_has_a_door_of_its_own(desk):
    home = Owned(desk, "doors")

    assert code(home.post(Enrol, key(), key(), sub="", method="invitation"))[1] == "act-elsewhere"
    assert code(home.post(Leave, home.owner, path="/v1/keys/announce"))[1] == "act-elsewhere"
