"""What stands in a box's QR code: others' codes are read, ours are read by others, and nothing else is a code."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ddns.proof import dpp
from ddns.proof.bad import BadProof
from ddns.proof.dpp import DppUri

# As fountain, the registrar of smarkaklink's authors, prints it: the whole point, one semicolon at the end.
CIRA = (
    "DPP:M:00163E8D519B;K:MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEujp6VXpEgkSkPFM+R5iETYQ4hTZiZDZPJKqJWJJmQ6nFC8tS6QjITod6"
    "LFZ22WrwJ4NK987wAeRNkh3XTtCD5w==;L:02163EFFFE8D519B;S:highway-test.example.com:9443;E:SHG3CE618;"
)
# As wpa_supplicant prints it (hostap's documentation), and an access point of a maker of today.
HOSTAP_KEY = "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADM2boj9hWXVqAYL/AHHsenjzwjf9HwEsfksjEScdSPyo="
HOSTAP = f"DPP:C:81/1,115/36;M:010203040506;I:id;V:2;K:{HOSTAP_KEY};;"
ACCESS_POINT = (
    "DPP:M:94bb43dcf993;V:3;K:MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADpfVUMGW64skm+qzbmcn1nw3cgZw+fA2oJgEYSI06oAk=;;"
)


def key():
    """Return the key of `HOSTAP`."""
    return base64.b64decode(HOSTAP_KEY)


def test_the_code_of_smarkaklinks_authors():
    """All its fields; its key is kept as one point, not two."""
    said = dpp.read(CIRA)

    assert (said.mac, said.interface, said.maker) == (
        "00163E8D519B", "02163EFFFE8D519B", "highway-test.example.com:9443",
    )  # fmt: skip
    assert said.network == "SHG3CE618"
    assert len(said.key) == 59
    whole = base64.b64decode(CIRA.split("K:")[1].partition(";")[0])
    assert said.public_key.public_numbers() == load_der_public_key(whole).public_numbers()


def test_codes_of_wi_fi_easy_connect():
    """DPP alone, without what smarkaklink adds."""
    one, other = dpp.read(HOSTAP), dpp.read(ACCESS_POINT)

    assert (one.channels, one.mac, one.information, one.version) == ("81/1,115/36", "010203040506", "id", "2")
    assert one.key == key()
    assert (other.mac, other.version, other.maker) == ("94bb43dcf993", "3", "")


def test_what_is_written_is_read():
    """Every field, in the order in which readers of DPP alone expect them, and the key as short as can be."""
    said = DppUri(
        key(), "00163e8d519b", "02163efffe8d519b", "masa.example:9443", "BRSKI", "https://mud.example/box", "81/1",
        "SN0001", "2", "box.example", (("Z", "later"),),
    )  # fmt: skip

    text = dpp.write(said)

    assert dpp.read(text) == said
    assert text.startswith("DPP:C:81/1;M:00163e8d519b;I:SN0001;V:2;H:box.example;K:MDkw")
    assert text.endswith(";Z:later;;")


def test_the_order_of_fields_is_free():
    """As the draft has it."""
    fields = HOSTAP.removeprefix("DPP:").removesuffix(";;").split(";")

    assert dpp.read(f"DPP:{';'.join(reversed(fields))};;") == dpp.read(HOSTAP)


def test_a_key_with_its_whole_point_is_written_compressed():
    """The code stays small enough for a label."""
    private = ec.generate_private_key(ec.SECP256R1())
    whole = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    said = dpp.read(dpp.write(DppUri(whole)))

    assert (len(whole), len(said.key)) == (91, 59)
    assert said.public_key.public_numbers() == private.public_key().public_numbers()


OTHER_CURVE = base64.b64encode(
    ec.derive_private_key(7, ec.SECP384R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
OTHER_KIND = base64.b64encode(
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
OFF_CURVE = base64.b64encode(base64.b64decode(HOSTAP_KEY)[:27] + b"\xff" * 32).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begin"),
        ("http://example.com/", "begin"),
        ("dpp:K:x;;", "begin"),
        ("DPP:", "end is missing"),
        ("DPP:;;", "no letter"),
        (f"DPP:K:{HOSTAP_KEY}", "end is missing"),
        ("DPP:M:010203040506;;", "no key"),
        (f"DPP:K:{HOSTAP_KEY};K:{HOSTAP_KEY};;", "K is there twice"),
        (f"DPP:M:010203040506;M:010203040506;K:{HOSTAP_KEY};;", "M is there twice"),
        (f"DPP:M:0102030405;K:{HOSTAP_KEY};;", "field M"),
        (f"DPP:L:fe80;K:{HOSTAP_KEY};;", "field L"),
        (f"DPP:;K:{HOSTAP_KEY};;", "no letter"),
        (f"DPP:m:010203040506;K:{HOSTAP_KEY};;", "no letter"),
        (f"DPP:I:gr\u00fcn;K:{HOSTAP_KEY};;", "no letter"),
        (f"DPP:I:a\tb;K:{HOSTAP_KEY};;", "no letter"),
        ("DPP:K:not base64;;", "no base64"),
        ("DPP:K:;;", "cannot be read"),
        ("DPP:K:AAAA;;", "cannot be read"),
        (f"DPP:K:{OFF_CURVE};;", "cannot be read"),
        (f"DPP:K:{OTHER_CURVE};;", "P-256"),
        (f"DPP:K:{OTHER_KIND};;", "P-256"),
        (f"DPP:I:{'x' * 513};K:{HOSTAP_KEY};;", "512"),
        (f"DPP:I:{'x' * 2000};;", "1024"),
        ("DPP:" + "".join(f"{letter}:x;" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZA") + ";", "26"),
    ],
)
def test_what_is_no_code_is_refused(text, why):
    """With one sentence that says what is wrong, and the cure."""
    with pytest.raises(BadProof, match=why) as raised:
        dpp.read(text)
    assert raised.value.code == "qr-malformed"
    assert "scan the code" in raised.value.sentence


@pytest.mark.parametrize(
    "fields",
    [
        {"maker": "a;b"}, {"information": "x\ny"}, {"mac": "zz"}, {"others": (("K", "x"),)}, {"others": (("M", "x"),)},
        {"others": (("Z", "x"), ("Z", "y"))}, {"others": (("ZZ", "x"),)}, {"key": b""}, {"information": "x" * 513},
    ],
)  # fmt: skip
def test_what_nobody_would_read_is_not_written(fields):
    """A label is printed once."""
    with pytest.raises(BadProof):
        dpp.write(DppUri(**{"key": key(), **fields}))
