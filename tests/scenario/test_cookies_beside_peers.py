"""One cookie secret at four servers (RFC 9018): BIND, Knot and NSD give out what ours accepts, and accept ours."""

import time

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest
from peers import Peer

from ddns.answer.cookies import Cookies, Verdict

SECRET = "0123456789abcdef0123456789abcdef"
HOME = "127.0.0.1"
ZONE = "$TTL 60\n@ SOA ns1 admin 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n"
COOKIE = 10


class Sharing(Peer):
    """A peer that makes cookies with `SECRET` and, where it can, tells those with a bad one."""

    def _nsd(self, zones):
        command = super()._nsd(zones)
        self._put(command[-1], "server:\n", f'server:\n answer-cookie: yes\n cookie-secret: "{SECRET}"\n')
        return command

    def _bind(self, zones):
        command = super()._bind(zones)
        how = f'options {{ cookie-algorithm siphash24; cookie-secret "{SECRET}"; require-server-cookie yes;'
        self._put(command[-1], "options {", how)
        return command

    def _knot(self, zones):
        command = super()._knot(zones)
        module = f"mod-cookies:\n  - id: default\n    secret: 0x{SECRET}\n    badcookie-slip: 1\ntemplate:\n"
        self._put(command[-1], "template:\n", module)
        self._put(command[-1], "    semantic", "    global-module: mod-cookies/default\n    semantic")
        return command

    @staticmethod
    def _put(file, before, after):
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))

    def _wait(self, zones):
        # One that wants a cookie answers the first question by TCP only.
        end = time.monotonic() + 30
        for origin in zones:
            while not self._answers(origin):
                assert time.monotonic() < end, self.log()
                assert self.process.poll() is None, self.log()
                time.sleep(0.1)

    def _answers(self, origin):
        try:
            return dns.query.tcp(dns.message.make_query(origin, "SOA"), HOME, timeout=0.5, port=self.port).answer
        except OSError:
            return False

    def shown(self, octets):
        """Return the response code and the cookie that come back to *octets*."""
        message = dns.message.make_query(
            "example.", "SOA", use_edns=0, options=[dns.edns.GenericOption(COOKIE, octets)]
        )
        answer = dns.query.udp(message, HOME, timeout=20, port=self.port)
        return answer.rcode(), b"".join(one.to_wire() for one in answer.options if one.otype == COOKIE)


@pytest.mark.parametrize("name", ["bind", "knot", "nsd"])
def test_a_cookie_of_one_server_is_good_at_the_other(tmp_path, name):
    ours = Cookies(b"", (bytes.fromhex(SECRET),))
    (tmp_path / "zone").write_text("$ORIGIN example.\n" + ZONE)

    with Sharing(name, tmp_path / name, {"example.": tmp_path / "zone"}) as peer:
        now = int(time.time())
        _, theirs = peer.shown(b"8 octets")
        made = ours.renew(b"9 octets", HOME, now)
        code, back = peer.shown(made)
        refused, _ = peer.shown(ours.renew(b"9 octets", "192.0.2.1", now))

    assert ours.judge(theirs, HOME, now) == Verdict.GOOD
    assert ours.judge(back, HOME, now) == Verdict.GOOD
    assert code == dns.rcode.NOERROR
    if name == "nsd":
        # It answers a bad cookie like none, as ours does, but a good one with itself.
        assert (refused, back) == (dns.rcode.NOERROR, made)
    else:
        assert refused == dns.rcode.BADCOOKIE
