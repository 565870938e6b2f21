"""Statements: each act is one type, each signature shows its key, and each has its time."""

import json
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ddns.dns import names
from ddns.proof import jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.statements import SIGNERS, Claim, Enrol, Object, Release, Replace, Token

NOW = 1_790_000_000
KEYS = [ec.derive_private_key(number, ec.SECP256R1()) for number in range(2, 6)]
OWNER = ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32)
DIGEST = "A" * 43
COMMON = {"aud": "homes.example.", "iat": NOW, "exp": NOW + 300, "jti": "0123456789abcdef"}
HOME = COMMON | {"sub": "smith.homes.example."}
FIELDS = {
    "enrol": COMMON | {"method": "invitation"},
    "approve-key": HOME | {"key": DIGEST},
    "revoke-key": HOME | {"key": DIGEST},
    "release": HOME | {"until": NOW + 86_400, "bearer": DIGEST},
    "claim": COMMON,
    "add-owner-key": COMMON | {"role": "admin"},
    "remove-owner-key": COMMON | {"key": DIGEST},
    "recover": COMMON,
    "object-recovery": COMMON,
    "device-key": HOME | {"name": "lamp.smith.homes.example."},
    "mint-key": HOME | {"name": "www.smith.homes.example."},
    "token": COMMON,
    "adopt": HOME | {"code": "ABCDEF-GHIJKL-MNOPQR-STUVWX"},
}


def made(**fields):
    return jws.Signed(json.dumps(fields).encode(), ())


def code(call, *arguments):
    with pytest.raises(BadProof) as caught:
        call(*arguments)
    return caught.value.code


@pytest.mark.parametrize("act", statements.ACTS)
def test_each_act_is_read_as_it_was_written(act):
    statement = statements.read(made(act=act, **FIELDS.get(act, HOME)))

    assert statement.act == act
    assert statements.read(jws.Signed(statements.encode(statement), ())) == statement


@pytest.mark.parametrize("act", statements.ACTS)
def test_no_act_takes_a_field_that_it_does_not_know(act):
    assert code(statements.read, made(act=act, **FIELDS.get(act, HOME), vendor="x")) == "field-unknown"


@pytest.mark.parametrize("act", statements.ACTS)
@pytest.mark.parametrize("field", sorted(COMMON))
def test_no_act_does_without_whom_when_and_once(act, field):
    fields = {name: value for name, value in FIELDS.get(act, HOME).items() if name != field}

    assert code(statements.read, made(act=act, **fields)) == "field-wrong"


def test_every_act_says_who_signs_it():
    assert set(SIGNERS) == set(statements.ACTS)
    assert len(statements.ACTS) == len(set(statements.ACTS)) == len(get_args(statements.AnyStatement))


@pytest.mark.parametrize(
    ("act", "change"),
    [
        ("object", {"sub": ""}),
        ("object", {"sub": "homes.example."}),
        ("object", {"sub": "smith.other.example."}),
        ("object", {"sub": "a" * 64 + ".homes.example."}),
        ("object", {"sub": 7}),
        ("object", {"aud": ""}),
        ("object", {"aud": "..", "sub": "smith.homes.example."}),
        ("object", {"jti": "short"}),
        ("object", {"jti": "x" * 65}),
        ("object", {"jti": "0123456789abcde\n"}),
        ("object", {"iat": -1}),
        ("object", {"iat": 1.5}),
        ("object", {"exp": 2**70}),
        ("revoke-key", {"key": "A" * 42}),
        ("revoke-key", {"key": "A" * 42 + "B"}),
        ("revoke-key", {"reason": "x" * 401}),
        ("add-owner-key", {"role": "gateway"}),
        ("mint-key", {"scope": "all"}),
        ("mint-key", {"days": 0}),
        ("mint-key", {"days": 401}),
        ("enrol", {"method": "open"}),
        ("enrol", {"kind": "Lock"}),
        ("release", {"receiver": DIGEST}),
        ("release", {"bearer": None}),
        ("seize", {}),
    ],
)
def test_values_that_an_act_cannot_have_are_refused(act, change):
    assert code(statements.read, made(**(FIELDS.get(act, HOME) | change | {"act": act}))) == "field-wrong"


def test_a_statement_names_its_registry_and_its_home():
    statement = statements.read(made(act="object", **(HOME | {"sub": "Smith.Homes.Example."})))

    assert statements.home_of(statement) == names.from_text("smith.homes.example.")
    assert statements.registry_of(statement) == names.from_text("homes.example.")
    assert statements.home_of(Token(**COMMON)) is None


@pytest.mark.parametrize(
    ("statement", "longest"),
    [
        (Object(**HOME), 900),
        (Replace(**HOME), 30 * 86_400),
        (Enrol(**COMMON, method="qr"), 30 * 86_400),
        (Release(**HOME, until=NOW, bearer=DIGEST), 90 * 86_400),
    ],
    ids=["object", "replace", "enrol", "release"],
)
def test_a_statement_holds_from_its_first_second_to_its_last_and_no_longer_than_its_act_may(statement, longest):
    def at(iat, exp, now):
        fields = {name: getattr(statement, name) for name in statement.__struct_fields__} | {"iat": iat, "exp": exp}
        return statements.timely(type(statement)(**fields), now)

    at(NOW, NOW + longest, NOW)
    at(NOW, NOW + longest, NOW + longest - 1)
    at(NOW + statements.EARLY, NOW + 600, NOW)
    assert code(at, NOW, NOW + longest + 1, NOW) == "statement-too-long"
    assert code(at, NOW, NOW + longest, NOW + longest) == "statement-stale"
    assert code(at, NOW + statements.EARLY + 1, NOW + 600, NOW) == "statement-stale"
    assert code(at, NOW + 10, NOW + 10, NOW) == "statement-stale"


def who(statement, *keys):
    signed = jws.read(statements.sign(statement, *keys))
    return statements.signers(statements.read(signed), signed)


def test_each_signer_is_told_by_the_key_that_signed():
    assert who(Object(**HOME), OWNER) == (jwk.of(OWNER),)
    assert who(Replace(**HOME), KEYS[0], OWNER) == (jwk.of(KEYS[0]), jwk.of(OWNER))


def test_the_secret_of_an_invitation_signs_last_and_is_no_key():
    invitation = ("smith.homes.example.", b"secret")
    enrol = Enrol(**COMMON, method="invitation")

    assert who(enrol, KEYS[0], OWNER, invitation) == (jwk.of(KEYS[0]), jwk.of(OWNER))
    assert who(enrol, KEYS[0], invitation) == (jwk.of(KEYS[0]),)
    assert code(who, Enrol(**COMMON, method="qr"), KEYS[0], invitation) == "statement-signature-wrong"
    assert code(who, enrol, invitation, KEYS[0]) == "statement-signature-wrong"
    assert code(who, Object(**HOME), invitation) == "statement-signature-wrong"


def test_the_owner_that_the_gateway_named_signs_and_nobody_else():
    enrol = Enrol(**COMMON, method="qr", owner=jwk.kid(jwk.of(OWNER)))

    assert who(enrol, KEYS[0], OWNER) == (jwk.of(KEYS[0]), jwk.of(OWNER))
    assert code(who, enrol, KEYS[0], KEYS[1]) == "statement-signature-wrong"
    assert code(who, enrol, KEYS[0]) == "statement-signature-wrong"


@pytest.mark.parametrize("keys", [(), (KEYS[0],), (KEYS[0], OWNER, KEYS[1]), (KEYS[0], KEYS[0])], ids=len)
def test_too_few_too_many_and_one_key_twice_are_refused(keys):
    if not keys:
        signed = jws.Signed(statements.encode(Replace(**HOME)), ())
        assert code(statements.signers, Replace(**HOME), signed) == "statement-signature-wrong"
    else:
        assert code(who, Replace(**HOME), *keys) == "statement-signature-wrong"


def test_a_signature_by_another_key_than_it_shows_is_refused():
    payload = statements.encode(Object(**HOME))
    header = {"typ": statements.TYP, "jwk": jwk.members(jwk.of(KEYS[0]))}
    signed = jws.read(jws.sign(payload, [(header, KEYS[1])]))

    assert code(statements.signers, statements.read(signed), signed) == "statement-signature-wrong"


def test_a_signature_that_only_names_its_key_is_refused():
    payload = statements.encode(Object(**HOME))
    signed = jws.read(jws.sign(payload, [({"kid": jwk.kid(jwk.of(KEYS[0]))}, KEYS[0])]))

    assert code(statements.signers, statements.read(signed), signed) == "statement-signature-wrong"


def test_a_key_that_is_a_gateways_and_an_owners_is_refused():
    assert code(who, Replace(**HOME), OWNER, OWNER) == "statement-signature-wrong"


def test_an_owner_whom_the_gateway_names_is_the_only_one_who_may_sign():
    """Else whoever gets hold of what a gateway has signed could put his own name to it."""
    named = Enrol(**COMMON, method="invitation", owner=jwk.kid(jwk.of(OWNER)))
    secret = ("invite-1.homes.example.", bytes(32))

    assert len(who(named, KEYS[0], OWNER, secret)) == 2
    for keys in ((KEYS[0], KEYS[1], secret), (KEYS[0], secret), (KEYS[0], KEYS[1], OWNER), (KEYS[0],)):
        assert code(who, named, *keys) == "statement-signature-wrong"


def test_a_claimant_whom_the_box_names_is_the_only_one_who_may_claim():
    """Else whoever hears what a box has signed could claim it in another's place."""
    named = Claim(**COMMON, owner=jwk.kid(jwk.of(OWNER)))

    assert len(who(named, OWNER, KEYS[0])) == 2
    assert code(who, named, KEYS[1], KEYS[0]) == "statement-signature-wrong"
    assert code(who, named, KEYS[0], OWNER) == "statement-signature-wrong"
