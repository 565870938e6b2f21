"""CBOR, COSE and tokens: read or refused, written again as the same octets, and signed content is what was signed."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ddns.proof import cbor, cose, eat, jwk
from ddns.proof.bad import BadProof

BOUND = 30_000  # calls
KEY = Ed25519PrivateKey.from_private_bytes(b"0123456789abcdef0123456789abcdef")
PUBLIC = jwk.of(KEY)
CLAIMS = cbor.write(
    {10: b"n" * 32, 4: 1_800_000_000, 8: {1: cose.members_of(PUBLIC)}, 263: 3, 266: {"a": {263: 0}}, 273: [[1, b"x"]]}
)  # fmt: skip


def seeds():
    return [
        cose.sign(CLAIMS, KEY, kid=b"11", x5chain=(b"a", b"b")),
        CLAIMS,
        cbor.write([1, -1, 2**40, "text", b"octets", None, True, {"a": [[]], 1: cbor.Tag(cbor.CWT, {})}]),
        b"\x81" * 40 + b"\x00",
    ]


def work(octets):
    try:
        value = cbor.read(octets)
    except cbor.BadCbor:
        value = ()
    try:
        token = eat.read_cwt(octets)
    except BadProof:
        token = None
    return value, token


def judge(octets, outcome):
    value, token = outcome
    if value != ():
        try:
            written = cbor.write(value)
        except TypeError:  # floats are read, and not written
            written = octets
        assert len(written) == len(octets)  # keys of maps may have been in another order
        assert "nan" in repr(value) or cbor.read(written) == value
    if token is not None and token.verify(PUBLIC):
        assert token.payload == CLAIMS
        assert token.key == PUBLIC
