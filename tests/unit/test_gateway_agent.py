"""The agent against a registry made of dnspython and real sockets: what it sends, and what it says about it."""

import contextlib
import itertools
import json
import select
import socketserver
import struct
import threading
import time
import types

import click.testing
import dns.edns
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import pytest
from ports import free_port, servers_on

from ddns import cli
from ddns.auth import sig0
from ddns.auth.identity import Identity
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.gateway import client, retry, state
from ddns.gateway.invitation import Invitation
from ddns.gateway.outcome import Status

SECRET = b"s" * 32
KEYRING = dns.tsigkeyring.from_text(
    {"invite.homes.example.": ("hmac-sha256", "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M=")}
)
HOME = names.from_text("smith.homes.example.")


class Registry:
    """Takes updates; `script` says for each one what happens to it: a function of the request, or None for silence."""

    def __init__(self):
        self.ahead = 0  # seconds, of its clock
        self.script = []
        self.heard = []
        self.identity = None
        self.port = free_port()
        self.udp, self.tcp = servers_on(self.port, self._handler(stream=False), self._handler(stream=True))
        self.threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (self.udp, self.tcp)]
        for thread in self.threads:
            thread.start()

    def close(self):
        for one in (self.udp, self.tcp):
            one.shutdown()
            one.server_close()
        for thread in self.threads:
            thread.join()

    def line(self, secret=SECRET):
        key = names.from_text("invite.homes.example.")
        return Invitation(key, secret, HOME, "127.0.0.1", self.port).to_text()

    def _handler(outer, *, stream):  # noqa: N805
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                if stream:
                    octets = self.request.recv(int.from_bytes(self.request.recv(2), "big"))
                    for answer in outer.answers(octets, "tcp"):
                        self.request.sendall(len(answer).to_bytes(2, "big") + answer)
                else:
                    octets, sock = self.request
                    for answer in outer.answers(octets, "udp"):
                        sock.sendto(answer, self.client_address)

        return Handler

    def answers(self, octets, transport):
        if not octets[2] >> 3 & 15:
            with clock_ahead(self.ahead):
                return [self.about_itself(octets)]
        self.heard.append((transport, octets))
        step = self.script.pop(0) if self.script else ok
        if step is None:
            return []
        answer = step(self, octets)
        return answer if isinstance(answer, list) else [answer]

    def about_itself(self, octets):
        """Answer who the zone's primary is, and with which key it signs, if it does."""
        request = dns.message.from_wire(octets, keyring=KEYRING)
        answer = dns.message.make_response(request)
        (question,) = request.question
        values = {
            "SOA": "ns1.homes.example. hostmaster.homes.example. 1 7200 3600 1209600 300",
            "KEY": self.identity and dns.rdata.from_wire(1, 25, self.identity.public, 0, len(self.identity.public)),
        }
        value = values[dns.rdatatype.to_text(question.rdtype)]
        if value:
            answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", question.rdtype, str(value)))
        return answer.to_wire()


@contextlib.contextmanager
def clock_ahead(seconds):
    """Have dnspython sign and verify by a clock that is wrong, and nobody else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dns.message, "time", types.SimpleNamespace(time=lambda: time.time() + seconds))
        yield


def respond(octets, rcode="NOERROR", *, ede=None, signed=True, error=0, other=b""):
    """Return an answer as an independent implementation writes it, TSIG-signed where the request was."""
    record = sig0.cut(octets)
    if isinstance(record, sig0.Sig0Record):
        answer = dns.message.make_response(dns.message.from_wire(record.message))
    else:
        request = dns.message.from_wire(octets, keyring=lambda *_: False)  # read, not checked
        answer = dns.message.make_response(request)
        answer.tsig = None
        if signed:
            answer.use_tsig(KEYRING, "invite.homes.example.", tsig_error=error, other_data=other)
            answer.request_mac = request.mac
    answer.use_edns(0, options=[dns.edns.EDEOption(*ede)] if ede else [])
    answer.set_rcode(dns.rcode.from_text(rcode))
    return answer.to_wire()


def ok(_registry, octets):
    return respond(octets)


@pytest.fixture
def registry():
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `ddns gateway` and return its exit status and all that it said."""
    monkeypatch.setenv("DDNS_GATEWAY", str(tmp_path / "gateway"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 10.0)  # the registry answers in time, however slow this machine is
    monkeypatch.setattr(client, "DOUBT", 10.0)

    def run(*words, wait=60, text=None):
        options = [] if words[0] == "status" else ["--wait", str(wait)]
        result = click.testing.CliRunner().invoke(_Command(), ["gateway", *words, *options], input=text)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output.strip()

    return run


@pytest.fixture
def hasty(run, monkeypatch):
    """Have the agent ask again soon."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.1)


@pytest.fixture
def trusting(run, monkeypatch):
    """Have the agent believe soon that no better answer comes."""
    monkeypatch.setattr(client, "DOUBT", 0.05)


class _Command(click.Command):
    """The whole command line, its own error handling included."""

    def __init__(self):
        super().__init__("ddns", callback=None)

    def main(self, args, **_):
        raise SystemExit(cli.run(args))


@pytest.fixture
def enrolled(run, registry):
    assert run("enrol", registry.line())[0] == Status.DONE
    registry.heard.clear()
    return registry


def test_enrolling_spends_the_invitation_with_one_signed_update(run, registry, tmp_path):
    """Another implementation finds the TSIG right and one KEY at the home."""
    status, said = run("enrol", registry.line())

    ((_, octets),) = registry.heard
    request = dns.message.from_wire(octets, keyring=KEYRING)
    assert request.had_tsig
    assert [(str(rrset.name), rrset.rdtype.name) for rrset in request.update] == [("smith.homes.example.", "KEY")]
    assert status == 0
    assert said.startswith("smith.homes.example. is this gateway's: the registry accepted its key ")
    assert (tmp_path / "gateway").stat().st_mode & 0o777 == 0o700


def test_the_invitation_may_come_from_stdin(run, registry):
    """So that no process list shows it."""
    assert run("enrol", "-", text=registry.line() + "\n")[0] == 0


def test_no_file_keeps_the_invitations_secret(run, registry, tmp_path):
    """It is spent or void; nothing needs it again."""
    run("enrol", registry.line())

    assert all(SECRET not in path.read_bytes() for path in (tmp_path / "gateway").iterdir())
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "gateway").iterdir())


def test_enrolling_twice_asks_nobody(run, enrolled):
    """What is done is done."""
    status, said = run("enrol", enrolled.line())

    assert (status, enrolled.heard) == (0, [])
    assert "already" in said


def test_another_homes_invitation_needs_another_folder(run, enrolled):
    """One gateway, one home."""
    line = enrolled.line().replace("smith", "jones")

    status, said = run("enrol", line)

    assert (status, enrolled.heard) == (2, [])
    assert "--home" in said


def test_lost_datagrams_are_sent_again_with_the_same_octets(run, registry, hasty):
    """The registry can find its answer to the first one."""
    registry.script = [None, None, None, None]

    status, _ = run("enrol", registry.line())

    assert status == 0
    assert len({octets for _, octets in registry.heard}) == 1
    assert [transport for transport, _ in registry.heard][:5] == ["udp", "udp", "tcp", "udp", "udp"]


def test_where_datagrams_came_through_before_a_registry_is_rather_busy_than_out_of_reach(run, enrolled, hasty):
    """Of a crowd that comes back each connection would cost it more than all the datagrams of a home."""
    enrolled.script = [None] * 6

    status, _ = run("publish", "cam", "--address", "192.0.2.1")

    assert status == 0
    assert [transport for transport, _ in enrolled.heard][:7] == ["udp"] * 6 + ["tcp"]


def test_where_datagrams_come_through_no_more_tcp_is_tried_soon_again(run, enrolled, hasty):
    enrolled.script = [None] * 100
    assert run("publish", "cam", "--address", "192.0.2.1", wait=1)[0] == Status.UNREACHABLE
    enrolled.heard.clear()
    enrolled.script = [None, None]

    status, _ = run("publish", "cam", "--address", "192.0.2.1")

    assert status == 0
    assert [transport for transport, _ in enrolled.heard][:3] == ["udp", "udp", "tcp"]


def test_waits_double_and_none_of_them_is_exact():
    """RFC 8961 §4; homes that lost their power together do not come back in step, not even with the second try."""
    shortest, longest = (list(itertools.islice(retry.waits(dice), 11)) for dice in (lambda: 0, lambda: 1))

    assert shortest == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert longest == [wait * 1.5 for wait in shortest]


def test_an_answer_that_comes_after_the_next_try_counts(run, enrolled, hasty):
    """A registry that is slow because all homes ask at once is not asked for ever."""

    tried_again = []

    def late(registry, octets):
        tried_again.extend(select.select([registry.udp], [], [], 60)[0])
        return respond(octets)

    enrolled.script = [late] + [None] * 100

    status, _ = run("publish", "cam", "--address", "192.0.2.1")

    assert status == 0
    assert tried_again


def test_who_asks_for_long_signs_anew_and_asks_for_the_same(run, enrolled, hasty, monkeypatch):
    """An old signature would be refused for its time; the registry sees another message with the same wish."""
    monkeypatch.setattr(retry, "SIGN_ANEW", 0.05)
    enrolled.script = [None, None]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == 0

    octets = [octets for _, octets in enrolled.heard]
    assert len(set(octets)) == len(octets) >= 3
    assert len({sig0.cut(one).message for one in octets}) == 1


def test_a_truncated_answer_is_fetched_by_tcp(run, registry):
    """RFC 7766 §5."""

    def cut(_registry, octets):
        answer = dns.message.make_response(dns.message.from_wire(octets, keyring=KEYRING))
        answer.flags |= dns.flags.TC
        return answer.to_wire()

    registry.script = [cut]

    assert run("enrol", registry.line())[0] == 0
    assert [transport for transport, _ in registry.heard] == ["udp", "tcp"]


def test_an_unsigned_noerror_is_not_believed(run, registry):
    """Anybody could have sent it; whether it was done is asked with the gateway's own key, which nobody knows."""

    def forge(_, octets):
        return respond(octets, "REFUSED" if isinstance(sig0.cut(octets), sig0.Sig0Record) else "NOERROR", signed=False)

    registry.script = [forge] * 100

    status, said = run("enrol", registry.line(), wait=2)

    assert status == Status.UNPROVED
    assert "it is not signed" in said
    assert json.loads(run("status", "--json")[1])["enrolled_at"] is None


def test_a_forged_complaint_does_not_hide_the_true_answer(run, registry):
    """An unsigned BADSIG and an unsigned REFUSED first, the signed NOERROR behind them."""
    registry.script = [
        lambda _, octets: [complain(octets, 16), respond(octets, "REFUSED", signed=False), respond(octets)]
    ]

    assert run("enrol", registry.line())[0] == 0


def complain(octets, error):
    """Return NOTAUTH with an empty TSIG that names *error*, as RFC 8945 §5.3.2 has it."""
    request = dns.message.from_wire(octets, keyring=lambda *_: False)
    answer = dns.message.make_response(request)
    answer.tsig = None
    answer.set_rcode(dns.rcode.NOTAUTH)
    wire = bytearray(answer.to_wire())
    wire[10:12] = struct.pack("!H", int.from_bytes(wire[10:12], "big") + 1)
    algorithm = dns.name.from_text("hmac-sha256").to_wire()
    data = algorithm + struct.pack("!HIHHHHH", 0, int(time.time()), 300, 0, request.id, error, 0)
    return (
        bytes(wire)
        + dns.name.from_text("invite.homes.example.").to_wire()
        + struct.pack("!HHIH", 250, 255, 0, len(data))
        + data
    )


@pytest.mark.parametrize(("error", "words"), [(17, "does not accept this key"), (16, "signature wrong")])
def test_a_spent_or_damaged_invitation_is_said_so(run, registry, trusting, error, words):
    """BADKEY and BADSIG come unsigned; after them the agent asks whether its key is known, and it is not."""
    registry.script = [lambda _, octets: complain(octets, error)] + [lambda _, octets: respond(octets, "NOTAUTH")] * 9

    status, said = run("enrol", registry.line())

    assert status == Status.KEY
    assert words in said
    assert json.loads(run("status", "--json")[1])["enrolled_at"] is None


def test_an_enrolment_whose_answer_got_lost_is_found_done(run, registry, trusting):
    """The invitation is spent, but the registry takes the key's word: the home is ours."""
    registry.script = [lambda _, octets: complain(octets, 17), ok]

    status, said = run("enrol", registry.line())

    assert status == 0, said
    record = sig0.cut(registry.heard[1][1])
    assert record.signer == HOME


def test_a_wrong_clock_is_forgiven_once_with_the_registrys_proved_time(run, registry):
    """A box that booted in 1970 can enrol: BADTIME carries the registry's time, and its TSIG proves it."""
    theirs = int(time.time()) + 5000
    registry.ahead = 5000

    def bad_time(_, octets):
        other = struct.pack("!HI", theirs >> 32, theirs & 0xFFFFFFFF)
        return respond(octets, "NOTAUTH", error=18, other=other)

    def at_their_time(_, octets):
        request = dns.message.from_wire(octets, keyring=lambda *_: False)
        assert 0 <= request.tsig[0].time_signed - theirs < 60
        with clock_ahead(5000):
            return respond(octets)

    registry.script = [bad_time, at_their_time]

    assert run("enrol", registry.line())[0] == 0


def test_a_clock_that_stays_wrong_is_its_own_exit_status(run, registry):
    """The sentence says by how much."""
    theirs = int(time.time()) + 5000
    other = struct.pack("!HI", theirs >> 32, theirs & 0xFFFFFFFF)
    registry.script = [lambda _, octets: respond(octets, "NOTAUTH", error=18, other=other)] * 2

    status, said = run("enrol", registry.line())

    assert status == Status.CLOCK
    assert " s behind the registry's" in said


def test_publishing_is_one_update_signed_with_the_gateways_key(run, enrolled):
    """Addresses and pins together, in the home's own zone."""
    status, said = run("publish", "cam", "--address", "192.0.2.1", "--address", "2001:db8::1")

    ((_, octets),) = enrolled.heard
    record = sig0.cut(octets)
    update = dns.message.from_wire(record.message)
    assert (record.signer, str(update.zone[0].name)) == (HOME, "smith.homes.example.")
    assert [rrset.to_text() for rrset in update.update][2:] == [
        "cam.smith.homes.example. 300 IN A 192.0.2.1",
        "cam.smith.homes.example. 300 IN AAAA 2001:db8::1",
    ]
    assert (status, said) == (0, "cam.smith.homes.example. now has 192.0.2.1, 2001:db8::1.")


def test_a_name_may_be_given_in_full(run, enrolled):
    """With or without its last dot; `cam` is not put below the home twice."""
    for text in ("cam.smith.homes.example", "cam.smith.homes.example.", "CAM"):
        assert "cam.smith.homes.example. now has" in run("publish", text, "--address", "192.0.2.1")[1]
    assert list(json.loads(run("status", "--json")[1])["devices"]) == ["cam.smith.homes.example."]


def test_renumbering_keeps_what_was_not_mentioned(run, enrolled):
    """Only addresses are given: the TTL stays as it was."""
    run("publish", "cam", "--address", "192.0.2.1", "--ttl", "77")

    run("publish", "cam", "--address", "192.0.2.9")

    update = dns.message.from_wire(sig0.cut(enrolled.heard[-1][1]).message)
    assert update.update[-1].to_text() == "cam.smith.homes.example. 77 IN A 192.0.2.9"


def test_equal_wishes_in_one_second_are_different_messages(run, enrolled):
    """Else the registry would take the third for a replay of the first."""
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        run("publish", "cam", "--address", address)

    digests = {sig0.digest(sig0.cut(octets)) for _, octets in enrolled.heard}
    assert len(digests) == 3


def test_a_refusal_is_said_with_the_registrys_own_words_and_no_success(run, enrolled):
    """REFUSED with an extended error: status 3, and `status` remembers."""
    enrolled.script = [lambda _, octets: respond(octets, "REFUSED", ede=(18, "Only addresses may be\x1b[31m written"))]

    status, said = run("publish", "cam", "--address", "192.0.2.1")

    assert status == Status.REFUSED
    assert said == "ddns: The registry refused it (REFUSED). Only addresses may be [31m written."
    assert run("status")[0] == Status.REFUSED


def test_a_registry_that_says_later_is_asked_again(run, enrolled, hasty):
    """SERVFAIL, and REFUSED with the extended error "blocked", pass."""
    enrolled.script = [
        lambda _, octets: respond(octets, "SERVFAIL"),
        lambda _, octets: respond(octets, "REFUSED", ede=(15, "Too many signatures.")),
    ]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == 0
    assert len(enrolled.heard) >= 3


def test_a_registry_that_keeps_saying_later_is_not_a_success(run, enrolled):
    """Its words are passed on."""
    enrolled.script = [lambda _, octets: respond(octets, "SERVFAIL", ede=(14, "The database is away"))] * 99

    status, said = run("publish", "cam", "--address", "192.0.2.1", wait=2)

    assert status == Status.LATER
    assert "SERVFAIL" in said
    assert "The database is away." in said


@pytest.mark.parametrize(
    ("rcode", "code", "status"),
    [
        ("REFUSED", "name-not-granted", Status.REFUSED),
        ("YXRRSET", "rrset-exists", Status.REFUSED),
        ("FORMERR", "record-malformed", Status.REFUSED),
        ("NOTAUTH", "zone-unknown", Status.REFUSED),
        ("REFUSED", "key-revoked", Status.KEY),
        ("NOTAUTH", "sig0-key-unknown", Status.KEY),
        ("NOTAUTH", "sig0-time-wrong", Status.CLOCK),
        ("BADTIME", "sig0-window-wide", Status.REFUSED),
        ("SERVFAIL", "database-away", Status.LATER),
        ("REFUSED", "sig0-rationed", Status.LATER),
        ("REFUSED", "a-code-of-a-later-version", Status.REFUSED),
        ("BADKEY", "a-code-of-a-later-version", Status.KEY),
    ],
)
def test_the_registrys_code_tells_the_exit_status(run, enrolled, rcode, code, status):
    """Where it gives one that is known; else the numbers do."""
    enrolled.script = [lambda _, octets: respond(octets, rcode, ede=(0, f"Because. [{code}]"))] * 99

    assert run("publish", "cam", "--address", "192.0.2.1", wait=2)[0] == status


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda _, octets: respond(octets, "REFUSED", signed=False), Status.UNPROVED),
        (
            lambda _, octets: respond(octets, "REFUSED", signed=False, ede=(18, "No. [name-not-granted]")),
            Status.UNPROVED,
        ),
        (
            lambda _, octets: respond(octets, "REFUSED", signed=False, ede=(18, "TLS. [update-cleartext]")),
            Status.REFUSED,
        ),
        (lambda _, octets: respond(octets, "REFUSED", ede=(18, "No. [home-suspended]")), Status.REFUSED),
        (lambda _, octets: respond(octets, "SERVFAIL", signed=False), Status.LATER),
        (lambda _, octets: forged(octets), Status.UNPROVED),
    ],
    ids=["unsigned", "unsigned with a code", "before any key", "signed", "later", "another key's"],
)
def test_a_refusal_of_an_enrolment_counts_where_it_is_signed(run, registry, answer, status):
    """But for what a registry says before it knows the key."""

    def step(outer, octets):
        own = isinstance(sig0.cut(octets), sig0.Sig0Record)
        return respond(octets, "BADKEY") if own else answer(outer, octets)

    registry.script = [step] * 99

    assert run("enrol", registry.line(), wait=2)[0] == status


def forged(octets):
    """Return NOERROR signed with another secret."""
    answer = dns.message.from_wire(octets, keyring=lambda *_: False)
    made = dns.message.make_response(answer)
    made.tsig = None
    ring = dns.tsigkeyring.from_text({"invite.homes.example.": ("hmac-sha256", "eHh4eHh4eHh4eHh4eHh4eA==")})
    made.use_tsig(ring, "invite.homes.example.")
    made.request_mac = answer.mac
    return made.to_wire()


def test_a_key_that_is_not_known_is_its_own_exit_status(run, enrolled, trusting):
    """NOTAUTH with the number of BADKEY, or without EDNS just NOTAUTH."""
    enrolled.script = [lambda _, octets: respond(octets, "BADKEY"), lambda _, octets: respond(octets, "NOTAUTH")]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.KEY
    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.KEY


def told(seconds, *, signed=True):
    """Answer a time signed for 1970 with BADTIME and the registry's time, signed unless somebody made it up."""

    def answer(_, octets):
        return respond(octets, "NOTAUTH", error=18, other=struct.pack("!HI", 0, seconds), signed=signed)

    return answer


def badtime(_, octets):
    return respond(octets, "BADTIME")


def inception(octets):
    return sig0.cut(octets).inception


def test_a_clock_that_the_registry_finds_wrong_is_corrected_by_what_it_proves(run, enrolled, trusting):
    """SIG(0) has no signed time: it is asked for with the spent invitation's key, and the update signed again."""
    ahead = int(time.time()) + 10**6
    enrolled.script = [badtime, told(ahead), ok]

    status, said = run("publish", "cam", "--address", "192.0.2.1")

    assert status == Status.DONE, said
    assert "behind the registry's" in said
    first, question, second = (octets for _, octets in enrolled.heard)
    asked = dns.message.from_wire(question, keyring=lambda *_: False)
    assert asked.tsig[0].time_signed == 0
    assert not asked.sections[2], "the question must change nothing"
    assert abs(inception(first) - int(time.time()) + 300) < 60
    assert abs(inception(second) - ahead + 300) < 60


@pytest.mark.parametrize("why", ["unsigned", "long ago", "no key"])
def test_a_time_that_is_not_proved_or_lies_before_the_last_one_is_not_believed(run, enrolled, trusting, tmp_path, why):
    """The gateway says that its clock is wrong, as it did before, and signs nothing for another time."""
    enrolled.script = [
        badtime,
        told(10**6 if why == "long ago" else int(time.time()) + 10**6, signed=why != "unsigned"),
    ]
    if why == "no key":
        (tmp_path / "gateway" / "clock.json").unlink()

    status, said = run("publish", "cam", "--address", "192.0.2.1")

    assert status == Status.CLOCK, said
    signed = [octets for _, octets in enrolled.heard if isinstance(sig0.cut(octets), sig0.Sig0Record)]
    assert all(abs(inception(octets) - int(time.time()) + 300) < 60 for octets in signed)


def test_the_clock_key_is_its_owners_alone_and_no_command_prints_it(run, enrolled, tmp_path):
    path = tmp_path / "gateway" / "clock.json"

    assert path.stat().st_mode & 0o777 == 0o600
    secret = json.loads(path.read_text())["secret"]
    assert secret not in run("status", "--json")[1]


def test_a_leased_name_says_until_when_and_asks_again_for_the_same(run, enrolled):
    """The option goes out with each update of that name, and what was granted is kept."""

    def grants(_, octets):
        answer = dns.message.from_wire(respond(octets))
        answer.use_edns(0, options=[dns.edns.GenericOption(2, struct.pack("!I", 600))])
        return answer.to_wire()

    enrolled.script = [grants, grants]

    first = run("publish", "cam", "--address", "192.0.2.1", "--lease", "7200")
    second = run("publish", "cam")
    device = json.loads(run("status", "--json")[1])["devices"]["cam.smith.homes.example."]

    assert (first[0], second[0]) == (Status.DONE, Status.DONE)
    assert "UTC, unless it is published again" in first[1]
    for _, octets in enrolled.heard:
        options = {int(one.otype): one for one in dns.message.from_wire(sig0.cut(octets).message).options}
        assert options[2].data == struct.pack("!I", 7200)
    assert 0 < device["until"] - int(time.time()) <= 600


def test_a_registry_that_grants_no_lease_is_said_to(run, enrolled):
    status, said = run("publish", "cam", "--address", "192.0.2.1", "--lease", "7200")

    assert status == Status.DONE
    assert "grants no lease" in said


@pytest.fixture
def signing(run, registry):
    """Yield a registry that signs its answers to SIG(0), and a gateway that has been told so."""
    registry.identity = Identity(b"s" * 32, names.from_text("ns1.homes.example."))
    assert run("enrol", registry.line())[0] == Status.DONE
    registry.heard.clear()
    return registry


def signed(registry, octets, rcode="NOERROR", identity=None, **more):
    answer = respond(octets, rcode, **more)
    return (identity or registry.identity).sign_reply(answer, octets, int(time.time()))


def test_a_registry_that_signs_its_answers_is_believed(run, signing):
    signing.script = [signed]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.DONE


def other_key(registry, octets):
    return signed(registry, octets, identity=Identity(b"t" * 32, registry.identity.name))


def other_request(registry, octets):
    return registry.identity.sign_reply(respond(octets), octets[:-1] + b"?", int(time.time()))


@pytest.mark.parametrize("forge", [ok, other_key, other_request])
def test_from_a_registry_that_signs_an_unsigned_noerror_is_not_believed(run, signing, forge):
    """Nor one with another key's signature, nor the answer to another request; the true one still is."""
    signing.script = [forge] * 99

    status, said = run("publish", "cam", "--address", "192.0.2.1", wait=2)

    assert status == Status.UNPROVED
    assert "signed" in said
    signing.script = [lambda registry, octets: [forge(registry, octets), signed(registry, octets)]]
    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.DONE


def test_a_forged_refusal_does_not_hide_the_true_answer_of_a_registry_that_signs(run, signing):
    signing.script = [lambda registry, octets: [respond(octets, "REFUSED"), signed(registry, octets)]]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.DONE


def test_what_a_registry_refuses_with_its_signature_is_refused(run, signing):
    signing.script = [lambda registry, octets: signed(registry, octets, "REFUSED", ede=(18, "No. [home-suspended]"))]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == Status.REFUSED


def test_answers_that_are_not_ours_are_passed_over(run, enrolled):
    """Another ID, another zone, a question's echo, noise: the true answer behind them counts."""

    def noise(_, octets):
        other_id = bytes([octets[0] ^ 1]) + respond(octets)[1:]
        other_zone = respond(octets).replace(b"\x05smith", b"\x05jones", 1)
        return [b"", b"x", octets, other_id, other_zone, respond(octets)[:20], respond(octets)]

    enrolled.script = [noise]

    assert run("publish", "cam", "--address", "192.0.2.1")[0] == 0
    assert len(enrolled.heard) == 1


def test_a_silent_registry_is_said_so_in_time(run, enrolled):
    """--wait bounds it."""
    enrolled.script = [None] * 99
    started = time.monotonic()

    status, said = run("publish", "cam", "--address", "192.0.2.1", wait=2)

    assert status == Status.UNREACHABLE
    assert "could not be reached" in said
    assert time.monotonic() - started < client.WAIT


def test_after_a_lost_answer_the_next_attempt_clears_all_that_may_stand_there(run, enrolled, tmp_path):
    """The first attempt may have been done: its pin is cleared with the others."""
    enrolled.script = [None] * 99
    certificate = tmp_path / "key.pem"
    certificate.write_text(PUBLIC_KEY)
    run("publish", "cam", "--tls", f"443={certificate}", wait=2)
    enrolled.script = []

    run("publish", "cam", "--tls", f"8443={certificate}", "--address", "192.0.2.1")

    update = dns.message.from_wire(sig0.cut(enrolled.heard[-1][1]).message)
    assert "_443._tcp.cam.smith.homes.example. ANY TLSA" in [rrset.to_text() for rrset in update.update]


PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYD54V/vp+54P9DXarYqx4MPcm+HK
RIQzNasYSoRQHQ/6S6Ps8tpMcT+KvIIC8W/e9k0W7Cm72M1P9jU7SLf/vg==
-----END PUBLIC KEY-----
"""


def test_removing_a_name_forgets_it(run, enrolled):
    """Nothing wanted, nothing published, nothing remembered."""
    run("publish", "cam", "--address", "192.0.2.1")

    status, said = run("publish", "cam", "--remove")

    assert (status, said) == (0, "cam.smith.homes.example. is published no more.")
    assert json.loads(run("status", "--json")[1])["devices"] == {}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("publish", "cam", "--address", "192.0.2.300"), "no IPv4 or IPv6 address"),
        (("publish", "cam", "--address", "fe80::1"), "means nothing to others"),
        (("publish", "cam", "--address", "0.0.0.0"), "means nothing to others"),
        (("publish", "cam", "--tls", "443"), "PORT=CERT.pem"),
        (("publish", "cam", "--tls", "443=/nowhere/cam.pem"), "/nowhere/cam.pem cannot be read"),
        (("publish", "cam"), "nothing is known of this name yet"),
        (("publish", "cam", "--remove", "--ttl", "5"), "no other option"),
        (("publish", "cam.jones.homes.example.", "--address", "192.0.2.1"), "all that this gateway speaks for"),
        (("publish", "cäm", "--address", "192.0.2.1"), "xn--"),
        (("enrol", "https://homes.example"), "starts with ddns://"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_sends_nothing(run, enrolled, words, complaint):
    """Exit status 2."""
    status, said = run(*words)

    assert (status, enrolled.heard) == (2, [])
    assert complaint in said
    assert said.count("\n") == 0


def test_publishing_without_a_home_says_how_to_get_one(run):
    """Nothing is sent, nothing is made."""
    status, said = run("publish", "cam", "--address", "192.0.2.1")

    assert status == 2
    assert "ddns gateway enrol" in said


def test_two_commands_at_once_do_not_mix(run, enrolled, tmp_path):
    """The second one says that it has to wait."""
    with state.held(tmp_path / "gateway"):
        status, said = run("publish", "cam", "--address", "192.0.2.1")

    assert status == 1
    assert "at work" in said


@pytest.mark.parametrize("octets", [b"", b"{}", b"\xff", b'{"version": 9', b"[]"])
def test_a_damaged_state_is_named(run, enrolled, tmp_path, octets):
    """The sentence has the file in it."""
    (tmp_path / "gateway" / "gateway.json").write_bytes(octets)

    status, said = run("status")

    assert status == 1
    assert "gateway.json cannot be read" in said


def test_the_signature_is_good_for_the_registered_key_only(enrolled, run, tmp_path):
    """What publish sends verifies with the KEY that enrol put there."""
    run("publish", "cam", "--address", "192.0.2.1")
    (public,) = (tmp_path / "gateway").glob("K*.key")
    rdata = dns.rdata.from_text("IN", "KEY", public.read_text().split("KEY")[1])
    record = sig0.cut(enrolled.heard[-1][1])
    credential = Credential(1, HOME, "sig0", "13", tag=record.tag, public=rdata.to_wire())

    assert sig0.verify(record, sig0.candidates(record, [credential])) == credential
