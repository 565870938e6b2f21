"""The server's own SIG(0) key: always the same for one secret, and never shown."""

from ddns.auth import sig0
from ddns.auth.identity import Identity
from ddns.dns import names

NAME = names.from_text("ns1.homes.example.")
NOW = 1_800_000_000


def test_servers_that_share_a_secret_share_their_key():
    assert Identity(b"s" * 32, NAME).public == Identity(b"s" * 32, NAME).public
    assert Identity(b"s" * 32, NAME).public != Identity(b"t" * 32, NAME).public


def test_what_it_signs_is_good_under_the_key_that_it_publishes():
    identity = Identity(b"s" * 32, NAME)
    reply = identity.sign_reply(b"\x12\x34\xa8\0" + bytes(8), b"the request", NOW)

    assert sig0.verify_reply(reply, b"the request", identity.public, NAME, NOW) is None


def test_its_secret_half_is_not_shown():
    assert "key" not in repr(Identity(b"s" * 32, NAME)).lower().replace("identity", "")
