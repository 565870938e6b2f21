"""Nonces that cost no row: which are ours, and how long."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from ddns.proof import b64, nonce

SECRET = bytes(range(32))
DICE = bytes(range(12))
NOW = 1_790_000_000


def test_a_nonce_is_good_up_to_its_last_second():
    """And not in the next one."""
    text = nonce.make(SECRET, NOW + 600, DICE)

    octets = nonce.good(SECRET, text, NOW + 600)

    assert octets is not None
    assert nonce.ends(octets) == NOW + 600
    assert nonce.good(SECRET, text, NOW + 601) is None


def test_a_nonce_is_what_the_page_says():
    """Its end, its chance, and half an HMAC; 43 characters that an eat_nonce may have (8 to 88)."""
    text = nonce.make(SECRET, NOW, DICE)
    head = NOW.to_bytes(4, "big") + DICE

    proof = hmac.digest(SECRET, b"nameplate nonce 1" + head, hashlib.sha256)[:16]

    assert b64.decode(text) == head + proof
    assert len(text) == 43


def test_every_other_nonce_is_nobodys():
    """A changed character, another length, another secret, another alphabet, padding."""
    text = nonce.make(SECRET, NOW, DICE)
    others = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(len(text))]
    others += [text[:size] for size in range(len(text))] + [text + "A", text + "=", f" {text}", text.replace("A", "é")]
    others.remove(text) if text in others else None

    assert [one for one in others if nonce.good(SECRET, one, NOW) is not None] == []
    assert nonce.good(bytes(32), text, NOW) is None


def test_two_spellings_of_one_nonce_are_not_both_good():
    """The bits behind the last octet are zero: a nonce that was spent cannot come back in another spelling."""
    text = nonce.make(SECRET, NOW, DICE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    good = [text[:-1] + letter for letter in alphabet if nonce.good(SECRET, text[:-1] + letter, NOW)]

    assert good == [text]


@pytest.mark.parametrize(("ends", "dice"), [(-1, DICE), (2**32, DICE), (NOW, DICE[:-1]), (NOW, DICE + b"x")])
def test_what_does_not_fit_is_not_made(ends, dice):
    """A caller's error, and no nonce."""
    with pytest.raises(ValueError, match="nonce"):
        nonce.make(SECRET, ends, dice)
