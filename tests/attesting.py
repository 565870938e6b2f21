"""Attestation tokens for tests: the same claims in JSON, signed by an independent library, and in CBOR."""

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from ddns.proof import b64, cbor, cose, jwk, nonce

NOW = 1_800_000_000
SIGNER = ec.generate_private_key(ec.SECP256R1())
BOX = ed25519.Ed25519PrivateKey.generate()
NONCE = nonce.make(b"s" * 32, NOW + 600, bytes(12))
PEM = SIGNER.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
IN_JSON = {
    "eat_nonce": NONCE, "ueid": b64.encode(b"\1" * 17), "oemid": b64.encode(b"oem"), "dbgstat": "disabled-permanently",
    "hwversion": ["1.2", 1], "exp": NOW + 600, "iat": NOW, "submods": {"radio": {"dbgstat": "enabled", "swname": "fw"}},
    "measurements": [[258, b64.encode(b"measured")]], "cnf": {"jwk": jwk.members(jwk.of(BOX))},
}  # fmt: skip
IN_CBOR = {
    10: NONCE.encode(), 256: b"\1" * 17, 258: b"oem", 263: 3, 260: ["1.2", 1], 4: NOW + 600, 6: NOW,
    266: {"radio": {263: 0, 270: "fw"}}, 273: [[258, b"measured"]], 8: {1: cose.members_of(jwk.of(BOX))},
}  # fmt: skip


def as_jwt(**changed):
    claims = {key: one for key, one in (IN_JSON | changed).items() if one is not None}
    return jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(PEM)).encode()


def as_cwt(changed=None):
    claims = {key: one for key, one in (IN_CBOR | (changed or {})).items() if one is not None}
    return cose.sign(cbor.write(claims), SIGNER)
