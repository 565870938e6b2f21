"""What a vendor's word is worth: boxes against bonds, and what may be wrong with a voucher, each by its own code."""

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW, Maker, certificate, name

from ddns.homes import vendors
from ddns.operator.vendors import domains
from ddns.proof import idevid, voucher
from ddns.proof.bad import BadProof
from ddns.store.bonds import Bond

MAKER = Maker("Acme")
OTHER = Maker("Zenith", url="masa.zenith.example")
BOX, _ = MAKER.device("SN-1")
OURS = ec.generate_private_key(ec.SECP256R1())
DOMAIN = certificate(name("registry"), OURS, name("registry"), OURS, ca=True)
PINNED = DOMAIN.public_bytes(Encoding.DER)
KEYS = {idevid.public_octets(DOMAIN)}


def octets(one):
    return one.public_bytes(Encoding.DER)


def bond_of(maker, number=1, **changed):
    made = Bond(
        number, None, "a vendor", (), (octets(maker.anchor),), (octets(maker.masa),), f"https://{maker.url}", (),
        "voucher", NOW - 100,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changed)


def refused(code, work, *words, **more):
    with pytest.raises(BadProof) as caught:
        work(*words, **more)
    assert caught.value.code == code


def test_each_box_finds_the_bond_of_its_own_maker():
    both = [bond_of(MAKER, 1), bond_of(OTHER, 2)]

    assert vendors.judge(BOX, (), both, NOW).bond.id == 1
    assert vendors.judge(OTHER.device()[0], (), both, NOW).bond.id == 2


def test_a_box_without_an_issuers_name_is_known_from_the_bond():
    known = vendors.judge(MAKER.device(aki=False)[0], (), [bond_of(MAKER)], NOW)

    assert known.issuer == vendors.judge(BOX, (), [bond_of(MAKER)], NOW).issuer


def test_a_box_of_somebody_else_is_unknown():
    refused("idevid-unknown-issuer", vendors.judge, BOX, (), [bond_of(OTHER)], NOW)
    refused("idevid-unknown-issuer", vendors.judge, BOX, (), [], NOW)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"withdrawn_at": NOW - 1, "why": "recalled"}, "bond-withdrawn"),
        ({"until": NOW}, "bond-withdrawn"),
        ({"until": NOW + 1}, None),
        ({"models": ("other",)}, "bond-missing"),
        ({"models": ("gw-1", "gw-2")}, None),
    ],
)
def test_a_bond_covers_what_it_says_for_as_long_as_it_says(changed, code):
    box, _ = MAKER.device(subject=name("gw-2", "SN-1"))
    if code is None:
        assert vendors.judge(box, (), [bond_of(MAKER, **changed)], NOW)
    else:
        refused(code, vendors.judge, box, (), [bond_of(MAKER, **changed)], NOW)


def test_of_two_bonds_for_one_issuer_that_counts_whose_masa_the_box_names():
    both = [bond_of(MAKER, 1, masa_url="https://elsewhere.example"), bond_of(MAKER, 2)]

    assert vendors.judge(BOX, (), both, NOW).bond.id == 2
    assert vendors.judge(BOX, (), [bond_of(MAKER, 1, withdrawn_at=NOW, why="x"), bond_of(MAKER, 2)], NOW).bond.id == 2


KNOWN = vendors.judge(BOX, (), [bond_of(MAKER)], NOW)
ASKED = voucher.Request(serial_number="SN-1", nonce=b"n" * 16, idevid_issuer=idevid.extension_of(KNOWN.issuer))


def check(made, nonce=ASKED.nonce, known=KNOWN, media=voucher.CMS):
    return vendors.check_voucher(made, media, known, nonce, KEYS, NOW)


@pytest.mark.parametrize("media", sorted(voucher.MEDIA))
def test_a_good_voucher_is_taken(media):
    assert check(MAKER.voucher(ASKED, PINNED, media=media), media=media).serial_number == "SN-1"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"serial_number": "SN-2"}, "voucher-other-serial"),
        ({"idevid_issuer": idevid.extension_of(bytes(20))}, "voucher-other-serial"),
        ({"idevid_issuer": b""}, None),
        ({"idevid_issuer": KNOWN.issuer}, None),
        ({"nonce": b"m" * 16}, "voucher-nonce-wrong"),
        ({"nonce": None}, "voucher-nonce-wrong"),
        ({"nonce": None, "expires_on": NOW + 1}, None),
        ({"expires_on": NOW}, "voucher-expired"),
        ({"expires_on": NOW + 1}, None),
        ({"created_on": NOW + 300}, None),
        ({"created_on": NOW + 301}, "voucher-not-yet"),
        ({"pinned_domain_cert": octets(BOX)}, "voucher-other-domain"),
        ({"pinned_domain_cert": b""}, "voucher-other-domain"),
        ({"pinned_domain_cert": b"x"}, "evidence-malformed"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else str(given),
)
def test_each_thing_that_may_be_wrong_has_its_own_code(changed, code):
    made = MAKER.voucher(ASKED, PINNED, **changed)
    if code is None:
        assert check(made)
    else:
        refused(code, check, made)


def test_a_voucher_without_a_nonce_for_a_box_that_asked_for_none():
    assert check(MAKER.voucher(ASKED, PINNED, nonce=None, expires_on=NOW + 60), nonce=None)
    refused("voucher-nonce-wrong", check, MAKER.voucher(ASKED, PINNED, nonce=None), nonce=None)
    refused("voucher-nonce-wrong", check, MAKER.voucher(ASKED, PINNED), nonce=None)


def test_another_vendors_masa_has_no_say():
    refused("voucher-signature-wrong", check, OTHER.voucher(ASKED, PINNED))
    bare = msgspec.structs.replace(KNOWN, bond=bond_of(MAKER, masa_keys=()))
    refused("voucher-signature-wrong", check, MAKER.voucher(ASKED, PINNED), known=bare)


def test_a_masa_may_be_known_by_who_issued_its_certificate():
    signing = Maker("Acme signing")
    known = msgspec.structs.replace(KNOWN, bond=bond_of(MAKER, masa_keys=(octets(signing.anchor),)))

    assert check(signing.voucher(ASKED, PINNED), known=known)
    refused("voucher-signature-wrong", check, MAKER.voucher(ASKED, PINNED), known=known)


def test_who_issues_the_certificates_of_boxes_makes_no_masa_of_them():
    known = msgspec.structs.replace(KNOWN, bond=bond_of(MAKER, masa_keys=(octets(MAKER.anchor),)))

    refused("voucher-signature-wrong", check, MAKER.voucher(ASKED, PINNED), known=known)


def test_a_box_is_no_masa():
    box, key = MAKER.device("SN-9")
    forged = voucher.write_cms(
        voucher.voucher_json(
            voucher.Voucher(
                serial_number="SN-1", created_on=NOW, assertion=voucher.Assertion.LOGGED, pinned_domain_cert=PINNED,
                nonce=ASKED.nonce,
            )
        ), box, key, NOW,
    )  # fmt: skip

    refused("voucher-signature-wrong", check, forged)


def test_the_bonds_certificates_can_be_read_again():
    assert x509.load_der_x509_certificate(bond_of(MAKER).anchors[0]) == MAKER.anchor


@pytest.mark.parametrize(
    ("audit", "count"),
    [
        (b"", None),
        (b"[]", None),
        (b"{}", None),
        (b'{"events": 7}', None),
        (b'{"events": [{}]}', None),
        (b"[" * 10_000, None),
        (b'{"version": "1", "events": []}', 0),
        (b'{"version": 1, "events": [{"domainID": "a"}, {"domainID": "a"}]}', 1),
        (b'{"version": "1", "events": [{"domainID": "a"}, {"domainID": "b", "x": 1}], "truncation": {}}', 2),
    ],
)
def test_a_makers_log_says_how_many_had_the_box(audit, count):
    assert domains(audit) == count
