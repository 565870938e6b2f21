"""What a worker is told of EDNS out of the settings, and the file of cookie secrets that other servers share."""

import pytest

from ddns.answer.cookies import Verdict
from ddns.net.edns import BadCookieSecrets, configure, options, read_secrets
from ddns.settings import Edns

ONE, TWO = "0123456789abcdef" * 2, "FEDCBA9876543210" * 2
NOW = 1_900_000_000


@pytest.fixture
def file(tmp_path):
    """Return a function that writes the file of secrets."""

    def write(text, mode=0o600):
        path = tmp_path / "cookies"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_one_or_two_secrets_stand_in_a_file(file):
    assert read_secrets(file(f"{ONE}\n")) == (bytes.fromhex(ONE),)
    assert read_secrets(file(f"{ONE}\n{TWO}\n")) == (bytes.fromhex(ONE), bytes.fromhex(TWO))


@pytest.mark.parametrize("text", ["", "\n", ONE[:-1], ONE + "0", "x" * 32, f"{ONE}\n{TWO}\n{ONE}\n", "\xff" * 32])
def test_another_file_is_refused_without_saying_what_is_in_it(file, text):
    path = file(text)

    with pytest.raises(BadCookieSecrets, match="must hold one or two lines of 32 hexadecimal digits") as refused:
        read_secrets(path)
    assert ONE[:8] not in str(refused.value)


def test_a_file_that_others_can_read_is_refused_with_the_cure(file):
    path = file(ONE, 0o640)

    with pytest.raises(BadCookieSecrets, match=f"chmod 600 {path}"):
        read_secrets(path)
    with pytest.raises(BadCookieSecrets, match="No such file"):
        read_secrets(path.with_name("missing"))


def test_workers_that_share_a_secret_accept_the_cookies_of_each_other():
    one, two = (options(configure(Edns(), 10.0), bytes(32), lambda: NOW).cookies for _ in range(2))

    made = one.renew(b"8 octets", "192.0.2.1", NOW)

    assert two.judge(made, "192.0.2.1", NOW) == Verdict.GOOD
    assert "secret" not in repr(configure(Edns(), 10.0))


def test_secrets_of_the_file_win_over_those_of_the_registry(file):
    chosen = configure(Edns(cookie_secret_file=str(file(ONE))), 10.0)

    cookies = options(chosen, bytes(32), lambda: NOW).cookies
    others = options(chosen, bytes([1]) * 32, lambda: NOW).cookies

    assert others.judge(cookies.renew(b"8 octets", "192.0.2.1", NOW), "192.0.2.1", NOW) == Verdict.GOOD


def test_what_is_not_set_is_not_said():
    chosen = options(configure(Edns(cookies=False), 10.0), bytes(32), lambda: NOW)

    assert chosen.cookies is None
    assert chosen.report == ()
    assert not any((chosen.about.nsid, chosen.about.identity, chosen.about.version))
