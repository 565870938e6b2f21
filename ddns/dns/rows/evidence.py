"""Rows of the catalogue: vouchers, certificates, attestations and other evidence."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.EVIDENCE,
        (
            "qr-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "what was scanned is no code of a box, or one that is damaged",
            "scan the code on the box again",
        ),
        (
            "qr-proof-missing", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an enrolment by the code on a box without what the key on it has signed",
            "have the box sign the registry's nonce, and put that into `proof`",
        ),
        (
            "qr-proof-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "who answered does not have the key that is printed on the box",
            "stand before the box, scan its code again and be in its network",
        ),
        (
            "evidence-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "a voucher, a certificate, a request or another proof is not in the form that its standard gives it",
            "as the sentence says; the box or its maker has a bug",
        ),
        (
            "evidence-expired", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the time until which an attestation token holds is over",
            "have the box make a new one",
        ),
        (
            "evidence-not-yet", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "an attestation token says that it was made, or begins to hold, in the future",
            "set the clock of the box",
        ),
        (
            "idevid-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the box's own certificate has no serial number, two, or an extension that cannot be read",
            "enrol the box by invitation, and tell its maker",
        ),
        (
            "voucher-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "what a voucher, or the request for one, says is not what RFC 8366 gives it to say",
            "as the sentence says; the box or its maker has a bug",
        ),
        (
            "evidence-nonce-wrong", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an attestation token holds no nonce that this registry gave out, or one that is over",
            "ask for a nonce (`POST /v1/nonces`) and have the box make a new token",
        ),
        (
            "evidence-key-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the key in `cnf` of an attestation token, or under a chip's signature, is not the one that enrols",
            "have the box attest its SIG(0) key",
        ),
        (
            "evidence-not-enough", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the rules of the verifier that signed want claims that the token does not have so",
            "look at the claims that the sentence names; `ddns verifier test` shows the rest to the operator",
        ),
        (
            "verifier-unknown", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "nobody whose word counts here signed the attestation token",
            "ask the registry which verifiers it takes: `ddns verifier add`",
        ),
        (
            "bond-missing", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the bond of the box's maker does not cover this model",
            "enrol by invitation, or ask the registry",
        ),
        (
            "box-not-expected", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the policy takes only boxes that its tenant was told of (`expected_only`), and this one was not",
            "ask the registry to expect it: `ddns device expect`",
        ),
        (
            "bond-wider", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a vendor's statement names none of the models that an operator accepted of this vendor",
            "ask the operator to accept them: `ddns vendor bond FILE --widen`",
        ),
        (
            "bond-withdrawn", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the bond of the box's maker is withdrawn or over: no new boxes enrol by its word",
            "enrol by invitation, or ask the registry",
        ),
        (
            "idevid-unknown-issuer", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the box's certificate leads to no maker that has a bond",
            "enrol by invitation, or have the registry bond the maker: `ddns vendor bond`",
        ),
        (
            "voucher-signature-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the voucher, or the request for one, is not signed by whom it has to be",
            "the maker signs with a key that its bond names, the box with the key of its own certificate",
        ),
        (
            "voucher-other-serial", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the voucher, or the request for one, names another box than the one that asks",
            "ask the maker for a voucher for this box",
        ),
        (
            "voucher-other-domain", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the voucher has the box trust somebody else than this registry",
            "ask the maker for a voucher for this registry",
        ),
        (
            "voucher-nonce-wrong", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the voucher holds another nonce than the box asked with, or none and no end",
            "ask again with a fresh nonce",
        ),
        (
            "voucher-expired", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the time until which the voucher holds is over",
            "ask the maker for a new one",
        ),
        (
            "voucher-not-yet", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the voucher, or the request for one, was made in the future",
            "have the one who made it set the clock",
        ),
        (
            "client-certificate-missing", "NOTAUTH", Ede.PROHIBITED, Turn.KEY,
            "a box came to the listener for devices without its certificate",
            "show it in the TLS handshake: `curl --cert --key`",
        ),
        (
            "registrar-not-named", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the request for a voucher names another registrar than the one that it reached",
            "have the box ask again with the certificate that it sees; if that differs, somebody is in between",
        ),
        (
            "voucher-missing", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "the box's maker signs vouchers, and none was brought for this box",
            "ask for one first (`/.well-known/brski/requestvoucher`), or put it into the statement",
        ),
        (
            "voucher-denied", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the maker of the box answered that it gives no voucher",
            "ask the maker, or enrol by invitation",
        ),
        (
            "voucher-unknown", "NXDOMAIN", Ede.OTHER, Turn.STATE,
            "a box speaks of a voucher, or an operator asks about one, and none was brought here",
            "ask for one first",
        ),
        (
            "box-proof-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "what the box signed does not show that it is the one of the voucher, now and for this key",
            "have the box sign `nonce` and `key` with the key of its certificate, and put that into `x5c`",
        ),
        (
            "evidence-missing", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the enrolment is to be by evidence, and holds none",
            "put an attestation token, or a certification request with one, into `evidence`",
        ),
    ),
)  # fmt: skip
