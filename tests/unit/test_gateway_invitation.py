"""The invitation's line: what one side writes the other reads, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.dns import names
from ddns.gateway.invitation import ALGORITHMS, BadInvitation, Invitation

LINE = "ddns://invite-smith.homes.example:c2VjcmV0LXNlY3JldA@127.0.0.1:5300/smith.homes.example?alg=hmac-sha256"


def test_a_line_says_key_secret_place_and_home():
    """The form that the registry prints."""
    invitation = Invitation.from_text(LINE)

    assert names.to_text(invitation.key) == "invite-smith.homes.example."
    assert invitation.secret == b"secret-secret"
    assert (invitation.host, invitation.port) == ("127.0.0.1", 5300)
    assert names.to_text(invitation.home) == "smith.homes.example."
    assert names.to_text(invitation.zone) == "homes.example."
    assert invitation.to_text() == LINE


def test_an_invitation_shows_no_secret_in_its_repr():
    """What a log or a traceback might print."""
    assert repr(Invitation.from_text(LINE)) == "Invitation('smith.homes.example.')"


def test_an_ipv6_address_stands_in_brackets():
    """RFC 3986 §3.2.2."""
    invitation = Invitation.from_text(LINE.replace("127.0.0.1", "[2001:db8::53]"))

    assert invitation.host == "2001:db8::53"
    assert "@[2001:db8::53]:5300/" in invitation.to_text()


def test_a_line_that_a_mail_broke_in_two_is_put_together():
    """Terminals and mails wrap long lines."""
    assert Invitation.from_text(LINE[:40] + "\n  " + LINE[40:]) == Invitation.from_text(LINE)


def test_a_registry_that_is_spoken_to_over_tls_says_where():
    invitation = Invitation.from_text(f"{LINE}&tls=853")

    assert invitation.tls == 853
    assert Invitation.from_text(invitation.to_text()) == invitation
    with pytest.raises(BadInvitation, match="no port"):
        Invitation.from_text(f"{LINE}&tls=70000")


def test_port_and_algorithm_have_defaults():
    """Port 53 and hmac-sha256."""
    invitation = Invitation.from_text("ddns://k:c2VjcmV0@dns.homes.example/smith.homes.example")

    assert (invitation.port, invitation.algorithm) == (53, "hmac-sha256")


@given(
    st.binary(min_size=1, max_size=64),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-_%/@:?#+ ", min_size=1, max_size=20),
    st.sampled_from(["192.0.2.1", "2001:db8::1", "dns.homes.example"]),
    st.integers(1, 65535),
    st.sampled_from(ALGORITHMS),
)
def test_what_is_written_is_read(secret, label, host, port, algorithm):
    """Any secret and any label of a name survive the way through the line."""
    registry = names.from_text("homes.example.")
    home = names.prepend(label.encode(), registry)
    invitation = Invitation(names.prepend(b"k", home), secret, home, host, port, algorithm, registry)

    assert Invitation.from_text(invitation.to_text()) == invitation


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "starts with ddns://"),
        ("https://homes.example/", "starts with ddns://"),
        ("ddns://", "where the registry is"),
        ("ddns://k:c2VjcmV0@:53/smith.homes.example", "where the registry is"),
        ("ddns://127.0.0.1:5300/smith.homes.example", "holds no key"),
        ("ddns://k@127.0.0.1:5300/smith.homes.example", "holds no key"),
        (LINE.replace(":5300", ":99999"), "does not parse"),
        (LINE.replace(":5300", ":0"), "where the registry is"),
        (LINE.replace("127.0.0.1", "[::1"), "does not parse"),
        (LINE.replace("c2VjcmV0LXNlY3JldA", "c2V!cmV0"), "damaged"),
        (LINE.replace("c2VjcmV0LXNlY3JldA", "c2VjcmV0L"), "damaged"),
        (LINE.replace("sha256", "md5"), "algorithm"),
        (LINE.replace("/smith.homes.example", "/"), "name"),
        (LINE.replace("/smith.homes.example", "/smith..example"), "no domain name"),
        (LINE + "&zone=other.example", "not below"),
        (LINE + "&zone=smith.homes.example", "not below"),
    ],
)
def test_a_damaged_line_is_refused_with_a_sentence_and_without_its_secret(line, words):
    """Whoever pasted it learns what is wrong; the terminal's log learns no key."""
    with pytest.raises(BadInvitation, match=words) as caught:
        Invitation.from_text(line)

    assert "c2VjcmV0" not in str(caught.value)


@given(st.text(max_size=80))
def test_no_text_gives_anything_but_an_invitation_or_that_refusal(text):
    """The parser's only exception is its own."""
    for line in (text, f"ddns://{text}", f"ddns://k:c2VjcmV0@{text}", LINE.replace("smith.homes.example", text)):
        try:
            Invitation.from_text(line)
        except BadInvitation:
            continue
