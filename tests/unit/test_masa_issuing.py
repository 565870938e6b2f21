"""Which requests a MASA gives a voucher for, and what its log says: RFC 8995 §5.5 to §5.8, judged by our own reader."""

import json
from base64 import b64decode
from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from makers import NOW
from registrars import Registrar, box_request

from ddns.masa import issuing, making
from ddns.masa.server import Masa
from ddns.masa.store import Event
from ddns.proof import chain, idevid, voucher
from ddns.proof.voucher import CMS, JWS, Assertion

REGISTRAR, OTHER = Registrar(), Registrar("Other")


@pytest.fixture
def masa(tmp_path):
    """A maker with one box, SN-1."""
    ca = making.authority("Maker", NOW)
    making.write(tmp_path, "ca", ca)
    making.write(tmp_path, "masa", making.signer("Maker", ca, NOW), (ca[0],))
    made = Masa(tmp_path, lambda: NOW)
    made.store.make()
    made.ca = ca
    made.box = making.device("SN-1", "masa.example", ca, NOW)
    made.store.add("SN-1", idevid.read(made.box[0]).digest, NOW)
    return made


def asked(masa, registrar=REGISTRAR, *, near=None, media=CMS, box=None, **more):
    made, key = box or masa.box
    prior = box_request(made, key, registrar.octets if near is None else near, media=media)
    return registrar.request(prior, media=media, **more)


@pytest.mark.parametrize("media", [CMS, JWS])
def test_a_box_that_stands_before_its_registrar_gets_a_voucher_that_pins_the_registrars_ca(masa, media):
    said, signed = voucher.read_voucher(masa.voucher(asked(masa, media=media), media), media)

    assert said.serial_number == "SN-1"
    assert said.nonce == b"n" * 16
    assert said.assertion is Assertion.PROXIMITY
    assert said.expires_on is None
    assert said.pinned_domain_cert == REGISTRAR.ca.public_bytes(Encoding.DER)
    assert idevid.reduce_issuer(said.idevid_issuer) == idevid.read(masa.box[0]).issuer
    assert signed.verify(making.read(masa.folder, "masa")[0])
    assert chain.path(signed.signer, (), [masa.anchor], NOW)


def test_the_log_says_for_which_domain_and_a_second_domain_shows(masa):
    masa.voucher(asked(masa), CMS)
    masa.voucher(asked(masa, OTHER), CMS)

    log = json.loads(masa.log(asked(masa, OTHER), CMS))

    assert log["version"] == "1"
    assert [b64decode(one["domainID"]) for one in log["events"]] == [
        issuing.domain_of(OTHER.ca), issuing.domain_of(REGISTRAR.ca),
    ]  # fmt: skip
    assert {one["assertion"] for one in log["events"]} == {"proximity"}
    assert {b64decode(one["nonce"]) for one in log["events"]} == {b"n" * 16}
    assert "truncation" not in log


def test_a_long_log_says_how_much_of_it_is_left_out():
    events = [Event(NOW, b"d", None, "logged")] * 3

    said = issuing.log_json(events[:2], 3)

    assert len(said["events"]) == 2
    assert said["truncation"]["arbitrary"] == "1"
    assert said["events"][0]["nonce"] is None


def refused(masa, octets, status, words, media=CMS):
    with pytest.raises(issuing.Refused, match=words) as found:
        masa.voucher(octets, media)
    assert found.value.status == status
    assert masa.store.log("SN-1", 10) == ([], 0)


def test_a_registrar_whose_certificate_is_for_something_else_is_refused(masa):
    refused(masa, asked(masa, Registrar(cmcra=False)), HTTPStatus.FORBIDDEN, "cmcRA")


def test_a_phone_needs_no_registrars_certificate_where_the_box_has_answered_its_challenge(masa):
    """The smarkaklink way: the phone signs with a certificate of its own."""
    phone = Registrar("Phone", cmcra=False)
    prior = box_request(*masa.box, phone.octets, challenge=b"c" * 32)

    said, _ = voucher.read_voucher(masa.voucher(phone.request(prior), CMS), CMS)

    assert said.assertion is Assertion.PROXIMITY


def test_a_box_that_saw_another_registrar_gets_none(masa):
    refused(masa, asked(masa, near=OTHER.octets), HTTPStatus.FORBIDDEN, "another registrar")


def test_a_box_that_says_nothing_of_who_it_saw_gets_one_that_is_logged(masa):
    said, _ = voucher.read_voucher(masa.voucher(asked(masa, near=b""), CMS), CMS)

    assert said.assertion is Assertion.LOGGED


def test_another_makers_box_of_the_same_serial_gets_none(masa):
    foreign = making.device("SN-1", "masa.example", making.authority("Other", NOW), NOW)

    refused(masa, asked(masa, box=foreign), HTTPStatus.NOT_FOUND, "another maker")


def test_a_second_certificate_of_the_same_serial_gets_none(masa):
    """Ours, but not the one that we put into that box."""
    refused(masa, asked(masa, box=making.device("SN-1", "masa.example", masa.ca, NOW)), HTTPStatus.NOT_FOUND, "no such")


def test_a_serial_that_is_not_the_boxs_own_is_refused(masa):
    prior = box_request(*masa.box, REGISTRAR.octets, "SN-2")

    refused(masa, REGISTRAR.request(prior, "SN-2"), HTTPStatus.BAD_REQUEST, "different serial")
    refused(masa, REGISTRAR.request(box_request(*masa.box), "SN-2"), HTTPStatus.BAD_REQUEST, "different serial")


def test_a_nonce_that_is_not_the_boxs_is_refused(masa):
    prior = box_request(*masa.box, REGISTRAR.octets, nonce=b"m" * 16)

    refused(masa, REGISTRAR.request(prior), HTTPStatus.BAD_REQUEST, "another nonce")


def test_a_request_whose_signature_is_not_its_signers_is_refused(masa):
    made, _ = masa.box
    prior = box_request(made, ec.generate_private_key(ec.SECP256R1()), REGISTRAR.octets)

    refused(masa, REGISTRAR.request(prior), HTTPStatus.FORBIDDEN, "signature of the box")


@pytest.mark.parametrize("octets", [b"", b"x", b"{}", b"\x30\x80"])
@pytest.mark.parametrize("media", [CMS, JWS])
def test_what_is_no_request_is_refused(masa, octets, media):
    refused(masa, octets, HTTPStatus.BAD_REQUEST, ".", media)


def test_a_box_that_is_not_known_gets_none(masa):
    box = making.device("SN-9", "masa.example", masa.ca, NOW)
    prior = box_request(*box, REGISTRAR.octets, "SN-9")

    refused(masa, REGISTRAR.request(prior, "SN-9"), HTTPStatus.NOT_FOUND, "no such box")


def test_a_stopped_box_gets_none(masa):
    masa.store.stop("SN-1", "recalled", NOW)

    refused(masa, asked(masa), HTTPStatus.FORBIDDEN, "any more")


def test_a_sold_box_gets_one_for_its_buyer_alone(masa):
    masa.store.sell("SN-1", issuing.domain_of(OTHER.ca), NOW)

    refused(masa, asked(masa), HTTPStatus.FORBIDDEN, "somebody else")
    said, _ = voucher.read_voucher(masa.voucher(asked(masa, OTHER), CMS), CMS)
    assert said.assertion is Assertion.VERIFIED


def test_without_the_box_a_voucher_is_the_buyers_and_ends_after_a_day(masa):
    refused(masa, REGISTRAR.request(b"", nonce=None), HTTPStatus.FORBIDDEN, "buyer")
    masa.store.sell("SN-1", issuing.domain_of(REGISTRAR.ca), NOW)

    said, _ = voucher.read_voucher(masa.voucher(REGISTRAR.request(b"", nonce=None), CMS), CMS)

    assert (said.nonce, said.expires_on, said.assertion) == (None, NOW + issuing.LASTS, Assertion.VERIFIED)


def test_another_makers_name_in_the_request_is_refused(masa):
    octets = asked(masa, idevid_issuer=idevid.extension_of(b"x" * 20))

    refused(masa, octets, HTTPStatus.NOT_FOUND, "another maker")


def test_the_log_of_a_box_is_told_to_who_has_its_request_alone(masa):
    masa.voucher(asked(masa), CMS)

    with pytest.raises(issuing.Refused, match="no such box"):
        masa.log(REGISTRAR.request(b"", nonce=None), CMS)
