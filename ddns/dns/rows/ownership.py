"""Rows of the catalogue: what is signed by owners, boxes and gateways, and what they may do with what is theirs."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.OWNERSHIP,
        (
            "statement-malformed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the octets are no signed statement: not JSON, not base64url, a member twice, or an algorithm not taken",
            "the sentence says where; the client's bug",
        ),
        (
            "statement-signature-wrong", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "a signature is missing, does not show its key, is not by that key, or is one too many",
            "have everybody sign who has to, in the order that the sentence says, over the same octets",
        ),
        (
            "statement-stale", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the statement is over, or comes from the future",
            "set the clock that is wrong, and sign anew",
        ),
        (
            "statement-too-long", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "the time from `iat` to `exp` is longer than the act may be signed for",
            "sign for 15 minutes; what a phone carries for 30 days, a release for 90",
        ),
        (
            "not-yours", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the keys that signed may not do this to the home, or there is no such home",
            "sign with the owner's key; [the table](ownership.md) says who may do what",
        ),
        (
            "vendor-has-no-say", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a vendor's key signed: vendors vouch for new boxes and for nothing else",
            "ask the home's owner",
        ),
        (
            "not-in-this-state", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "home, box, claim or recovery are not in a state in which this can be done",
            "the sentence says what is in the way; [the table](ownership.md) says from where it can be done",
        ),
        (
            "home-held", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the registry has suspended or quarantined the home, with a reason that its owner can read",
            "speak to the registry",
        ),
        (
            "reason-needed", "REFUSED", Ede.PROHIBITED, Turn.FORM,
            "an operator gave no reason, or one that is too long or of several lines",
            "write one line of at most 400 characters; the owner reads it",
        ),
        (
            "key-is-the-owners", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the update changes the KEY records at a home's apex otherwise than from its signer's key to one new key",
            "delete the KEY that signs and add another, in an update that does just that; or have the owner replace it",
        ),
        (
            "key-rolls-rationed", "REFUSED", Ede.BLOCKED, Turn.LATER,
            "the gateway has put a new key in the place of its own a dozen times within the hour",
            "go on with the key that the home has",
        ),
        (
            "keys-pending", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "three new keys of the home wait for approval already",
            "have the owner approve the right one; after a week they end",
        ),
        (
            "assurance-below-policy", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the key is of a lower tier than the registry asks for",
            "enrol by a method that shows more, such as a voucher or evidence",
        ),
        (
            "box-owned", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "the box is somebody's; only who has proved the box's key is told",
            "have its owner release it, or claim it",
        ),
        (
            "box-claimed", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "a claim on the box is open",
            "wait until it is decided",
        ),
        (
            "box-stolen", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the box was reported stolen",
            "whoever reported it says that it is found",
        ),
        (
            "release-wrong", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "there is no release of this box for this secret or key, or it is over or used",
            "ask the seller for a release, or for the secret of it",
        ),
        (
            "claim-open", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "a claim on the home's box is open",
            "object to it, or wait until it is decided",
        ),
        (
            "claim-barred", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the owner has objected to this claimant's claim on the box, not long ago",
            "speak to the seller",
        ),
        (
            "too-many-claims", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "the claimant has three open claims",
            "wait until one is decided",
        ),
        (
            "too-many-keys", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "an owner has eight keys, or a home twenty with one narrow right",
            "take one away first",
        ),
        (
            "key-known", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the new owner key is an owner's already",
            "make a new key",
        ),
        (
            "last-owner-key", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "it is the last key of the role owner",
            "add another one first",
        ),
        (
            "recovery-open", "REFUSED", Ede.PROHIBITED, Turn.LATER,
            "a recovery of the owner's keys is under way",
            "object to it, or wait until it is over",
        ),
        (
            "recovery-disputed", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "two keys of one owner contradict one another",
            "the registry finds out whose they are: `ddns owner recover`",
        ),
        (
            "nonce-wrong", "REFUSED", Ede.PROHIBITED, Turn.STATE,
            "the nonce that a claim bears is not the registry's, or over or used",
            "ask for another one, `POST /v1/nonces`, and have the box sign that",
        ),
    ),
)  # fmt: skip
