"""A box and a phone before it: who may ask, who may answer, and whose word the box takes in the end."""

import secrets

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.gateway import pairing, scanning
from ddns.gateway.pairing import Challenge
from ddns.gateway.scanning import Offer
from ddns.proof import b64, dpp, jwe, jwk, jws, statements
from ddns.proof.bad import BadProof

NOW = 1_790_000_000
OFFER = Offer("homes.example.", "A" * 43, "smith")


def key():
    return ec.generate_private_key(ec.SECP256R1())


def sealed(code, owner, **changed):
    """Return a phone's challenge for the box with *code*."""
    members = {"owner": b64.encode(jwk.to_json(jwk.of(owner))), "registry": "homes.example.", "nonce": "n", "now": NOW}
    octets = msgspec.json.encode(Challenge(**(members | changed)))
    return jwe.seal(octets, dpp.read(code).public_key, key(), secrets.token_bytes(12))


@pytest.fixture
def code(tmp_path):
    return pairing.printed(tmp_path, maker="masa.example", information="SN1")


def test_the_printed_key_is_made_once(tmp_path, code):
    """What is on the label stays true; the private half is readable for its owner alone."""
    assert pairing.printed(tmp_path, maker="masa.example", information="SN1") == code
    assert (tmp_path / pairing.KEY).stat().st_mode & 0o777 == 0o600
    assert dpp.read(code).maker == "masa.example"


def test_a_box_asks_for_its_owner_and_nobody_else(tmp_path, code):
    """Its wish names the owner, and the printed key signs about both new keys."""
    owner = key()

    signed = jws.read(pairing.answer(tmp_path, sealed(code, owner, label="smith")))
    wish = statements.read(signed)
    proof = jws.read(b64.decode(wish.proof))

    assert (wish.method, wish.label, wish.owner, wish.iat) == ("qr", "smith", jwk.kid(jwk.of(owner)), NOW)
    assert jws.verify(proof, 0, jwk.of(dpp.read(code).public_key))
    assert msgspec.json.decode(proof.payload)["key"] == jwk.kid(signed.signatures[0].key)


def test_asked_again_by_the_same_owner_it_keeps_its_key(tmp_path, code):
    """A phone that lost the answer asks again; another owner gets another key."""
    owner = key()

    first, again, other = (
        jws.read(pairing.answer(tmp_path, sealed(code, one))).signatures[0].key for one in (owner, owner, key())
    )

    assert first == again != other


@pytest.mark.parametrize("text", ["", "x", "a.b.c.d.e", "A" * 5000])
def test_what_is_no_challenge_is_not_answered(tmp_path, code, text):
    """And nothing is made."""
    with pytest.raises(BadProof):
        pairing.answer(tmp_path, text)
    assert not list(tmp_path.glob("K*"))


def test_a_challenge_for_another_box_or_of_another_form_is_not_answered(tmp_path, code):
    """Sealed for somebody else; or with members that nobody knows."""
    other = dpp.write(dpp.DppUri(dpp.key_of(key().public_key())))
    strange = jwe.seal(b'{"vendor": true}', dpp.read(code).public_key, key(), bytes(12))

    for text in (sealed(other, key()), strange):
        with pytest.raises(BadProof):
            pairing.answer(tmp_path, text)


def test_nobody_but_the_owner_says_where_the_home_is(tmp_path, code):
    """Signed by another key, of another kind, or before anybody asked."""
    owner, thief = key(), key()
    with pytest.raises(BadProof, match="No phone"):
        pairing.settle(tmp_path, jws.sign(b"{}", [jws.shown(owner, pairing.TYP_ENROLLED)]))
    pairing.answer(tmp_path, sealed(code, owner))
    said = msgspec.json.encode({"home": "smith.homes.example.", "registry": "homes.example.", "host": "::1", "port": 9})

    for by in (jws.shown(thief, pairing.TYP_ENROLLED), jws.shown(owner, statements.TYP)):
        with pytest.raises(BadProof, match="Only the owner"):
            pairing.settle(tmp_path, jws.sign(said, [by]))
    with pytest.raises(BadProof, match="cannot be read"):
        pairing.settle(tmp_path, jws.sign(b'{"home": 1}', [jws.shown(owner, pairing.TYP_ENROLLED)]))


@pytest.mark.parametrize("what", ["another box", "another owner", "another nonce", "another name"])
def test_a_phone_takes_no_answer_but_the_boxs(tmp_path, code, what, monkeypatch):
    """Whoever answers in its place is told apart before the owner sees anything to accept."""
    owner, thief = key(), tmp_path / "thief"
    said = {"label": "smith", "nonce": OFFER.nonce}
    if what == "another box":
        theirs = pairing.printed(thief)
        octets = pairing.answer(thief, sealed(theirs, owner, **said))
    elif what == "another owner":
        octets = pairing.answer(tmp_path, sealed(code, key(), **said))
    else:
        said |= {"nonce": "another"} if what == "another nonce" else {"label": "other"}
        octets = pairing.answer(tmp_path, sealed(code, owner, **said))
    monkeypatch.setattr(scanning, "post", lambda *_: octets)

    with pytest.raises(BadProof, match="not the box"):
        scanning.challenge(dpp.read(code), ("box", 80), owner, OFFER, NOW, secrets.token_bytes)


def test_the_box_itself_is_taken(tmp_path, code, monkeypatch):
    """The same way, with nobody between."""
    owner = key()
    monkeypatch.setattr(scanning, "post", lambda _box, _path, body, _media: pairing.answer(tmp_path, body.decode()))

    found = scanning.challenge(dpp.read(code), ("box", 80), owner, OFFER, NOW, secrets.token_bytes)

    assert found.box == ("box", 80)
    assert statements.read(jws.read(found.wish.encode())).owner == jwk.kid(jwk.of(owner))


def test_a_box_signs_a_claim_for_the_one_who_asks_and_makes_no_key(tmp_path, code):
    """The printed key says which box it is, over the registry's nonce, and who alone may claim with that."""
    claimant = key()

    signed = jws.read(pairing.claim(tmp_path, sealed(code, claimant)))
    said = statements.read(signed)

    assert (said.act, said.nonce, said.owner, said.iat) == ("claim", "n", jwk.kid(jwk.of(claimant)), NOW)
    assert jws.verify(signed, 0, jwk.of(dpp.read(code).public_key))
    assert not list(tmp_path.glob("K*"))


def test_a_claim_is_signed_by_claimant_and_box_in_this_order(tmp_path, code, monkeypatch):
    """As the registry takes it."""
    claimant = key()
    monkeypatch.setattr(scanning, "post", lambda _box, _path, body, _media: pairing.claim(tmp_path, body.decode()))

    signed = jws.read(scanning.claim(dpp.read(code), ("box", 80), claimant, OFFER, NOW, secrets.token_bytes))

    wanted = (jwk.of(claimant), jwk.of(dpp.read(code).public_key))
    assert statements.signers(statements.read(signed), signed) == wanted


@pytest.mark.parametrize("what", ["another box", "another owner", "another nonce", "a wish"])
def test_a_phone_puts_its_name_to_no_claim_but_its_own(tmp_path, code, what, monkeypatch):
    """On this box, for itself, at this registry and now."""
    claimant, folder = key(), tmp_path
    said = {"nonce": "another" if what == "another nonce" else OFFER.nonce}
    if what == "another box":
        folder = tmp_path / "other"
        octets = pairing.claim(folder, sealed(pairing.printed(folder), claimant, **said))
    elif what == "a wish":
        octets = pairing.answer(folder, sealed(code, claimant, **said))
    else:
        octets = pairing.claim(folder, sealed(code, key() if what == "another owner" else claimant, **said))
    monkeypatch.setattr(scanning, "post", lambda *_: octets)

    with pytest.raises(BadProof, match="not the box"):
        scanning.claim(dpp.read(code), ("box", 80), claimant, OFFER, NOW, secrets.token_bytes)
