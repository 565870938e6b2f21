"""Keys in a real PKCS#11 token (SoftHSM2): they sign, cannot be taken out or exchanged, and outlast a lost session."""

from __future__ import annotations

import pickle
import threading
import uuid

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset
import pkcs11
import pytest
from msgspec.structs import replace
from pkcs11 import Attribute, ObjectClass
from tokens import PIN, Token

from ddns.dns.names import from_text
from zone_signer import hsm, keys, settings
from zone_signer.hsm import Hsm
from zone_signer.phase import Role
from zone_signer.rrsig import Signatory
from zone_signer.settings import Where
from zone_signer.vault import Vault, VaultAway, VaultError
from zone_signer.vaults import Vaults

HOME = from_text("smith.homes.example.")
OTHER = from_text("jones.homes.example.")
EVERY = [8, 13, 14, 15]
SIGNATURE = {8: 256, 13: 64, 14: 96, 15: 64}  # octets


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = Token(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def vault(token):
    opened = Hsm(token.module, token.label, token.pin)
    yield opened
    opened.close()


def judged(public, rdata):
    """Have dnspython validate the signature *rdata* over one A record."""
    owner = dns.name.from_wire(HOME, 0)[0]
    key = dns.rrset.from_rdata(owner, 60, dns.rdata.from_wire("IN", "DNSKEY", public, 0, len(public)))
    sigs = dns.rrset.from_rdata(owner, 60, dns.rdata.from_wire("IN", "RRSIG", rdata, 0, len(rdata)))
    dns.dnssec.validate(dns.rrset.from_text(owner, 60, "IN", "A", "192.0.2.1"), sigs, {owner: key}, now=1_800_000_500)


def signed(key):
    return Signatory(HOME, key).sign(HOME, 1, 60, (bytes([192, 0, 2, 1]),), 1_800_000_000, 1_800_001_000)


@pytest.mark.parametrize("role", [Role.CSK, Role.ZSK])
@pytest.mark.parametrize("algorithm", EVERY)
def test_a_key_of_every_kind_signs_so_that_others_validate(token, vault, algorithm, role):
    key, sealed = vault.make(HOME, algorithm, role, vault="pkcs11:one")
    vault.close()
    again = Hsm(token.module, token.label, token.pin)

    opened = again.open(HOME, sealed)

    assert (sealed.role, sealed.vault, sealed.flags) == (role, "pkcs11:one", keys.flags(role))
    assert (opened.tag, opened.algorithm, opened.public) == (key.tag, algorithm, sealed.public)
    assert key.blocks
    assert opened.blocks
    for one in (key, opened):
        rdata = signed(one)
        assert len(rdata) == 18 + len(HOME) + SIGNATURE[algorithm]
        judged(sealed.public, rdata)
    again.close()


@pytest.mark.parametrize("algorithm", EVERY)
def test_no_private_half_can_be_read_out_or_is_anywhere_but_in_the_token(token, vault, algorithm):
    _, sealed = vault.make(HOME, algorithm)
    vault.close()

    with pkcs11.lib(str(token.module)).get_token(token_label="one").open(user_pin=PIN) as session:
        (found,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        assert found[Attribute.SENSITIVE]
        assert found[Attribute.NEVER_EXTRACTABLE]
        assert not found[Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.AttributeSensitive):
            found[Attribute.PRIVATE_EXPONENT if algorithm == 8 else Attribute.VALUE]
        for made_easy in ({Attribute.SENSITIVE: False}, {Attribute.EXTRACTABLE: True}):
            ((attribute, value),) = made_easy.items()
            with pytest.raises(pkcs11.PKCS11Error):
                found[attribute] = value
    assert sealed.sealed == b"\x03" + uuid.UUID(sealed.id).bytes + b"one"


def test_keys_are_named_so_that_people_find_them(vault):
    _, sealed = vault.make(HOME, 13, Role.KSK)

    assert vault.kept() == [hsm.Kept(sealed.id, f"smith.homes.example.|{sealed.tag}|ksk")]


def test_a_tag_that_is_taken_is_not_made_again_and_nothing_stays_of_it(vault):
    taken = range(0, 65536, 2)

    for _ in range(4):
        key, _ = vault.make(HOME, 13, Role.CSK, taken)
        assert key.tag % 2 == 1

    assert len(vault.kept()) == 4


def test_rows_that_were_exchanged_or_changed_do_not_open(vault):
    _, one = vault.make(HOME, 13)
    _, two = vault.make(OTHER, 13)
    inside = {"id": two.id, "sealed": two.sealed, "public": two.public, "tag": two.tag}
    changes = [{field: value} for field, value in inside.items()]
    changes += [inside, {"sealed": b"\x03"}, {"sealed": one.sealed + b"x"}, {"id": "x"}, {"role": "ksk"}]
    changes += [{"algorithm": 14}, {"flags": 256}, {"vault": "pkcs11:two"}, {"sealed": b""}]

    for change in changes:
        with pytest.raises(VaultError, match=r"put back|start zone-signer"):
            vault.open(HOME, replace(one, **change))
    with pytest.raises(VaultError, match="is not in the token one"):
        vault.open(OTHER, one)
    assert vault.open(HOME, one).tag == one.tag


def test_a_destroyed_key_is_gone_for_ever_and_may_be_destroyed_again(token, vault):
    key, sealed = vault.make(HOME, 13)
    _, stays = vault.make(HOME, 13)
    vault.destroy(HOME, sealed)
    vault.destroy(HOME, sealed)

    with pytest.raises(VaultError, match="is not in the token one"):
        key.sign(b"octets")
    with pytest.raises(VaultError, match="is not in the token one"):
        vault.open(HOME, sealed)
    assert [kept.id for kept in vault.kept()] == [stays.id]
    vault.close()
    with pkcs11.lib(str(token.module)).get_token(token_label="one").open(user_pin=PIN) as session:
        assert len(list(session.get_objects())) == 2  # both halves of the one that stays


def test_keys_of_others_in_the_same_token_are_neither_listed_nor_destroyed(token, vault):
    ident = uuid.uuid4()
    with pkcs11.lib(str(token.module)).get_token(token_label="one").open(rw=True, user_pin=PIN) as session:
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, id=ident.bytes, label="somebody's", store=True)
        session.generate_keypair(pkcs11.KeyType.RSA, 2048, id=b"\1", label="a.test.|1|csk", store=True)

    assert vault.kept() == []
    vault.remove(str(ident))
    vault.close()

    with pkcs11.lib(str(token.module)).get_token(token_label="one").open(user_pin=PIN) as session:
        assert len(list(session.get_objects())) == 4


def test_what_was_made_and_never_named_is_listed_and_can_be_removed(vault, monkeypatch):
    """Somebody pulled the plug between the key and its name."""
    monkeypatch.setattr(hsm, "_public_half", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        vault.make(HOME, 13)

    (orphan,) = vault.kept()
    assert orphan.label == "smith.homes.example.|"
    vault.remove(orphan.id)

    assert vault.kept() == []


def test_a_lost_session_is_made_anew(token, vault):
    key, sealed = vault.make(HOME, 13)

    for _ in range(3):
        pkcs11.lib(str(token.module)).reinitialize()
        judged(sealed.public, signed(key))


def test_a_token_that_is_away_is_one_sentence_and_it_works_when_it_is_back(token, vault, tmp_path):
    key, sealed = vault.make(HOME, 13)
    token.folder.rename(tmp_path / "away")
    token.folder.mkdir()
    pkcs11.lib(str(token.module)).reinitialize()

    with pytest.raises(VaultAway, match=r"^the token one does not work: NoSuchToken .*; see that it is there$"):
        key.sign(b"octets")

    token.folder.rmdir()
    (tmp_path / "away").rename(token.folder)
    judged(sealed.public, signed(key))


def test_many_threads_sign_at_once(vault):
    """The module was told that they would not: they wait for each other."""
    made = [vault.make(HOME, 13 + 2 * (number % 2)) for number in range(4)]
    failed = []

    def sign(key, sealed):
        try:
            for _ in range(50):
                judged(sealed.public, signed(key))
        except Exception as error:  # noqa: BLE001 - what it is is told by the assertion
            failed.append(error)

    threads = [threading.Thread(target=sign, args=pair) for pair in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


def test_a_pin_that_was_refused_is_not_given_again(token, vault):
    token.pin.write_text("wrong")
    with pytest.raises(VaultAway, match=r"refuses the PIN in .*one\.pin: PinIncorrect"):
        vault.make(HOME, 13)

    for _ in range(20):
        with pytest.raises(VaultError, match="refused the PIN"):
            vault.make(HOME, 13)

    token.pin.write_text(PIN)
    assert vault.make(HOME, 13)


def test_pins_that_are_not_to_be_used_are_one_sentence(token, vault):
    token.pin.chmod(0o640)
    with pytest.raises(VaultError, match="is open to others; make it yours alone with chmod 600"):
        vault.make(HOME, 13)
    token.pin.chmod(0o600)
    token.pin.write_bytes(b"\xff\xfe")
    with pytest.raises(VaultError, match="is not text"):
        vault.make(HOME, 13)
    token.pin.unlink()
    with pytest.raises(VaultError, match="cannot be read: No such file"):
        vault.make(HOME, 13)


def test_a_library_that_is_none_is_one_sentence(token, tmp_path):
    (tmp_path / "none.so").write_text("none")

    with pytest.raises(VaultError, match=r"^the token one does not work: [^\n]*; see that it is there$"):
        Hsm(tmp_path / "none.so", "one", token.pin).make(HOME, 13)


def test_algorithms_and_vaults_that_it_has_not_are_refused(vault):
    with pytest.raises(VaultError, match="algorithm 5 is not one"):
        vault.make(HOME, 5)
    with pytest.raises(VaultError, match="the vault pkcs11:two is not here, but pkcs11:one is"):
        vault.make(HOME, 13, vault="pkcs11:two")


def test_nothing_shows_or_pickles_a_pin_or_a_key(token, vault):
    key, sealed = vault.make(HOME, 13)

    assert repr(vault) == "Hsm(pkcs11:one)"
    assert repr(key) == f"SigningKey(tag={key.tag})"
    assert PIN not in repr(vars(vault))
    for secret in (key, vault):
        with pytest.raises(TypeError):
            pickle.dumps(secret)
    vault.close()
    token.pin.write_text("wrong PIN")
    with pytest.raises(VaultError) as caught:
        vault.open(HOME, sealed)
    assert "wrong PIN" not in str(caught.value)


def test_a_signer_has_both_kinds_of_vaults_and_asks_each_for_its_own(token, tmp_path):
    vaults = settings.open_vaults(Where(tmp_path / "signer.key", token.module, token.label, token.pin), None)

    for kind in ("sealed", "pkcs11:one"):
        key, sealed = vaults.make(HOME, 13, vault=kind)
        assert sealed.vault == kind
        assert vaults.open(HOME, sealed).public == key.public
        assert vaults.reseal(HOME, sealed) is None
        vaults.destroy(HOME, sealed)
    assert isinstance(vaults.hsm, Hsm)
    assert vaults.hsm.kept() == []
    with pytest.raises(VaultError, match="the vault pkcs11:two is not here"):
        vaults.make(HOME, 13, vault="pkcs11:two")
    vaults.hsm.close()


def test_a_row_cannot_say_that_a_key_is_in_another_kind_of_vault(token, vault):
    vaults = Vaults([Vault(bytes(32))], vault)
    _, sealed = vaults.make(HOME, 13)
    _, kept = vaults.make(HOME, 13, vault="pkcs11:one")

    for wrong in (replace(sealed, vault="pkcs11:one"), replace(kept, vault="sealed")):
        with pytest.raises(VaultError):
            vaults.open(HOME, wrong)


def test_a_token_without_a_pin_is_one_sentence(token, tmp_path):
    with pytest.raises(VaultError, match="the token one needs a PIN; give its file with --pkcs11-pin"):
        settings.open_vaults(Where(tmp_path / "signer.key", token.module, "one"), None)
