"""CMS and what it carries: read or refused as a proof, and a signature holds for the content that it was made for."""

from base64 import b64decode

from fuzzing import TESTS

from ddns.proof import cms, idevid, voucher
from ddns.proof.bad import BadProof

BOUND = 30_000  # calls: two certificates, and JSON of some kilobytes
VECTORS = TESTS / "vectors" / "vouchers"
WHOLE = {name: b64decode((VECTORS / f"{name}.cms.b64").read_bytes()) for name in ("voucher", "request")}
KEYS = {name: cms.read(octets).signer.public_key() for name, octets in WHOLE.items()}
CONTENTS = {name: cms.read(octets).content for name, octets in WHOLE.items()}


def seeds():
    return list(WHOLE.values())


def work(octets):
    found = []
    for read in (voucher.read_voucher, voucher.read_request):
        try:
            found.append(read(octets, voucher.CMS))
        except BadProof:
            found.append(None)
    signers = [one[1].signer for one in found if one is not None and one[1].signer is not None]
    for signer in signers:
        try:
            idevid.read(signer)
        except BadProof:
            continue
    return found


def judge(_octets, outcome):
    for one in outcome:
        if one is None:
            continue
        _, signed = one
        for name, key in KEYS.items():
            assert not cms.verify(signed.structure, key) or signed.structure.content == CONTENTS[name]
