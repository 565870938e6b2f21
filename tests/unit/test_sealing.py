"""TSIG secrets at rest: what opens, and what does not."""

from __future__ import annotations

import pytest

from ddns.auth.principal import Secret
from ddns.auth.sealing import BadSeal, Sealer
from ddns.dns import names

KEY = bytes(range(32))
NAME = names.from_text("k.example.")
SECRET = Secret(b"sixteen or more octets")


def test_what_is_sealed_opens():
    """With the same key and name, and the secret cannot be read in it."""
    sealed = Sealer(KEY).seal(NAME, SECRET)

    assert SECRET.reveal() not in sealed
    assert Sealer(KEY).open(NAME, sealed) == SECRET


def test_an_empty_secret_is_a_secret():
    """Nothing special happens at length 0."""
    assert Sealer(KEY).open(NAME, Sealer(KEY).seal(NAME, Secret(b""))) == Secret(b"")


def test_a_row_moved_to_another_name_does_not_open():
    """The name is bound in."""
    with pytest.raises(BadSeal, match=r"l\.example\..*damaged"):
        Sealer(KEY).open(names.from_text("l.example."), Sealer(KEY).seal(NAME, SECRET))


def test_another_key_is_named_as_the_cause():
    """So that an operator who restored the wrong file sees it."""
    with pytest.raises(BadSeal, match="another key"):
        Sealer(bytes(32)).open(NAME, Sealer(KEY).seal(NAME, SECRET))


def test_every_changed_octet_and_every_truncation_is_noticed():
    """Nothing opens that is not whole."""
    sealed = Sealer(KEY).seal(NAME, SECRET)
    broken = [sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :] for at in range(len(sealed))]
    broken += [sealed[:size] for size in range(len(sealed))]

    for octets in broken:
        with pytest.raises(BadSeal):
            Sealer(KEY).open(NAME, octets)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_the_key_has_32_octets(size):
    """Any other length is refused with a sentence."""
    with pytest.raises(BadSeal, match="32"):
        Sealer(bytes(size))


def test_the_key_comes_from_a_file(tmp_path):
    """A missing or short file is named."""
    path = tmp_path / "secrets.key"
    with pytest.raises(BadSeal, match=r"secrets\.key"):
        Sealer.from_file(path)
    path.write_bytes(b"short")
    with pytest.raises(BadSeal, match=r"secrets\.key"):
        Sealer.from_file(path)
    path.write_bytes(KEY)

    assert Sealer.from_file(path).open(NAME, Sealer(KEY).seal(NAME, SECRET)) == SECRET


def test_a_sealer_shows_nothing():
    """No key in a traceback or log."""
    assert repr(Sealer(KEY)) == "Sealer(…)"
