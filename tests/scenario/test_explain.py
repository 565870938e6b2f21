"""Every refusal over the wire says why to those who spoke EDNS, and `ddns explain` makes the decision again."""

import json
import shlex
import time

import dns.edns
import dns.message
import dns.rcode
import messages
import pytest
from messages import IN, SIG, TSIG, A, question, record, tsig_signed
from registry import SECRETS, nsupdate, run, tsig
from service import eventually

ZONE = "hash.example."
OPT = b"\0" + (41).to_bytes(2, "big") + (1232).to_bytes(2, "big") + bytes(6)
WRITE = record("www.hash.example.", A, IN, 60, bytes([198, 51, 100, 66]))


def update(zone=ZONE, needs=(), changes=(WRITE,), *, edns=True):
    """Return an UPDATE message with an OPT, or without."""
    wire = messages.update([question(zone)], needs, changes)
    return wire[:10] + b"\0\1" + wire[12:] + OPT if edns else wire


def by_tsig(key, secret=None, at=None, **what):
    return tsig_signed(update(**what), f"{key}.", SECRETS[secret or key], at=at)


def with_extra(wire, *records):
    """Return *wire* with more records in its additional section."""
    count = int.from_bytes(wire[10:12], "big") + len(records)
    return wire[:10] + count.to_bytes(2, "big") + wire[12:] + b"".join(records)


ELSE = "walk.example."
BELOW = [record(f"a.gw.{ZONE}", A, IN, 60, bytes(4))]
THEN = 5000  # seconds ago

# What is refused: (RCODE, extended error, code, message), each message made for the running registry.
REFUSED = {
    "no signature": ("REFUSED", 18, "update-unsigned", lambda _: update()),
    "a TSIG that does not parse": (
        "FORMERR", 0, "tsig-malformed", lambda _: with_extra(update(), record("k256.", TSIG, 255, 0, b"\x00")),
    ),
    "a TSIG that is not the last record": (
        "FORMERR", 0, "signature-misplaced", lambda _: with_extra(by_tsig("k256"), record(".", A, IN, 0, bytes(4))),
    ),
    "a SIG(0) that does not parse": (
        "FORMERR", 0, "sig0-malformed", lambda _: with_extra(update(), record(".", SIG, 255, 0, bytes(18) + b"\0")),
    ),
    "an unknown TSIG key": ("NOTAUTH", 18, "tsig-key-unknown", lambda _: by_tsig("nobody", "k256")),
    "a wrong secret": ("NOTAUTH", 18, "tsig-signature-wrong", lambda _: by_tsig("k256", "k384")),
    "a TSIG of another time": ("NOTAUTH", 18, "tsig-time-wrong", lambda _: by_tsig("k256", at=time.time() - THEN)),
    "an unknown SIG(0) key": (
        "BADKEY", 18, "sig0-key-unknown", lambda registry: registry.keys["stranger"].signed(update()),
    ),
    "a SIG(0) of another time": (
        "BADTIME", 18, "sig0-time-wrong",
        lambda registry: registry.keys["p256"].signed(update(), at=time.time() - THEN),
    ),
    "a wrong SIG(0)": (
        "BADVERS", 18, "sig0-signature-wrong",  # 16 is BADSIG in a signature and BADVERS in an OPT
        lambda registry: flipped(registry.keys["p256"].signed(update(changes=BELOW))),
    ),
    "a zone that is not here": ("NOTAUTH", 20, "zone-unknown", lambda _: by_tsig("k256", zone="else.example.")),
    "a zone that is not granted": ("REFUSED", 18, "zone-not-granted", lambda _: by_tsig("narrow", zone=ELSE)),
    "a name that is not granted": ("REFUSED", 18, "name-not-granted", lambda _: by_tsig("narrow")),
    "a name out of the zone": (
        "NOTZONE", 0, "name-outside-zone", lambda _: by_tsig("k256", changes=[record("a.test.", A, IN, 60, bytes(4))]),
    ),
    "a record that does not parse": (
        "FORMERR", 0, "record-malformed", lambda _: by_tsig("k256", changes=[record(f"a.{ZONE}", A, IN, 60, bytes(3))]),
    ),
    "a prerequisite that does not hold": (
        "YXDOMAIN", 0, "name-in-use", lambda _: by_tsig("k256", needs=[record(f"www.{ZONE}", 255, 254)]),
    ),
    "a record of the signer": (
        "REFUSED", 18, "type-is-signers", lambda _: by_tsig("k256", changes=[record(f"a.{ZONE}", 47, 255)]),
    ),
}  # fmt: skip


def flipped(wire):
    return wire[:-1] + bytes([wire[-1] ^ 1])


def answered(registry, wire):
    """Send *wire* and return the answer, its signatures not looked at."""
    return dns.message.from_wire(registry.exchange(wire), keyring=lambda *_: False, ignore_trailing=True)


def reason(answer):
    """Return the one extended error of *answer*."""
    (error,) = [one for one in answer.options if isinstance(one, dns.edns.EDEOption)]
    return error


@pytest.mark.parametrize("case", REFUSED)
def test_who_sends_an_opt_hears_the_reason_the_cure_and_the_code(registry, case):
    rcode, ede, code, make = REFUSED[case]

    answer = answered(registry, make(registry))

    error = reason(answer)
    assert dns.rcode.to_text(answer.rcode()) == rcode
    assert (error.code, error.text.rsplit(" ", 1)[1]) == (ede, f"[{code}]")
    assert len(error.text.encode()) < 200
    assert error.text[0].isupper()


def test_who_sends_no_opt_gets_none(registry):
    answer = answered(registry, tsig_signed(update(edns=False), "narrow.", SECRETS["narrow"]))

    assert (answer.rcode(), answer.edns) == (dns.rcode.REFUSED, -1)


@pytest.mark.parametrize("zone", ["hash.example.", "walk.example."])
@pytest.mark.parametrize("name", ["www", "none"])
def test_rights_and_records_are_told_to_nobody_who_only_names_a_key(registry, zone, name):
    """A forged signature gets the same answer whether or not the key may write there, and whatever is there."""
    changes = [record(f"{name}.{zone}", A, IN, 60, bytes(4))]
    needs = [record(f"{name}.{zone}", 255, 254)]

    forged = flipped(registry.keys["p256"].signed(update(zone, needs, changes)))
    shared = by_tsig("narrow", "k256", zone=zone, needs=needs, changes=changes)

    assert "[sig0-signature-wrong]" in reason(answered(registry, forged)).text
    assert "[tsig-signature-wrong]" in reason(answered(registry, shared)).text


def latest(registry, *words, code=None, naming=""):
    """Return the latest refusal that fits, and that names *naming*, as soon as it is written."""

    def found():
        listed = json.loads(registry.ddns("explain", "--json", "--limit", "1", *words))
        fits = listed and code in (None, listed[0]["code"]) and naming in json.dumps(listed[0])
        return listed[0] if fits else None

    return eventually(found)


def test_a_refusal_is_found_explained_and_cured_by_the_command_that_is_printed(registry):
    owner = "cure-me.hash.example."
    lines = [f"update delete {owner} A", f"update add {owner} 60 A 192.0.2.88", f'update add {owner} 60 TXT "x"']
    assert nsupdate(registry, tsig("narrow"), ZONE, *lines)[0] != 0

    number = str(
        latest(
            registry, "--key", "narrow", "--zone", "example", "--since", "1h", code="name-not-granted", naming="cure-me"
        )["number"]
    )
    before = registry.ddns("explain", number)
    command = next(line for line in before.splitlines() if line.startswith("  ddns grant add"))
    registry.ddns(*shlex.split(command)[1:])
    after = registry.ddns("explain", number)

    assert "add cure-me.hash.example. 60 A 192.0.2.88" in before
    assert "rule" in before.split("What the key held then")[1].split("What it holds now")[0]
    assert "NO   May the key write what it asks for?" in before
    assert "It would be refused today." in before
    assert "It would be accepted today." in after
    assert owner in after.split("What it holds now")[1]
    eventually(lambda: nsupdate(registry, tsig("narrow"), ZONE, *lines)[0] == 0)


def test_an_explanation_for_programs_has_the_same_facts(registry):
    assert nsupdate(
        registry, tsig("k512"), ZONE, "prereq nxdomain www.hash.example.", "update add n.hash.example. 60 A 192.0.2.1"
    )[0]

    found = latest(registry, "--key", "k512.", code="name-in-use")
    explained = json.loads(registry.ddns("explain", str(found["number"]), "--json"))

    assert explained["today"]["accepted"] is False
    assert explained["today"]["code"] == "name-in-use"
    verdicts = [step["verdict"] for step in explained["steps"]]
    assert verdicts == ["holds", "holds", "holds", "holds", "refused", "not asked", "not asked"]
    assert explained["asked"] == ["needs www.hash.example. not in use", "add n.hash.example. 60 A 192.0.2.1"]


def test_a_stranger_is_shown_as_what_it_is(registry):
    answered(registry, by_tsig("k256", at=time.time() - 9000))

    found = latest(registry, "--key", "k256.", "--code", "tsig-time-wrong")
    shown = registry.ddns("explain", str(found["number"]))

    assert found["verified"] is False
    assert "not proved to be it" in shown
    assert "if its signature were good" in shown
    assert "set the sender's clock" in shown


def test_kdig_shows_the_reason_of_a_refused_question(registry):
    said = run("kdig", "@127.0.0.1", "-p", registry.port, "+edns", "www.elsewhere.test", "A")

    assert "No zone that is served here holds this name." in said


def test_no_secret_stands_in_the_journal(registry):
    nsupdate(
        registry, tsig("k384"), ZONE, "prereq nxdomain www.hash.example.", "update add n.hash.example. 60 A 192.0.2.1"
    )
    latest(registry, "--key", "k384.", code="name-in-use")

    everything = registry.ddns("explain", "--json", "--limit", "1000")

    assert not any(secret in everything for secret in SECRETS.values())


@pytest.mark.parametrize("word", ["name-not-granted", "[name-not-granted]", "NAME-NOT-GRANTED"])
def test_a_code_is_explained_as_it_is_pasted(registry, word):
    said = registry.ddns("explain", word)

    assert "outside the key's grants" in said
    assert "ddns grant add KEY ZONE" in said


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["name-not-grantd"], 1, "did you mean name-not-granted?"),
        (["zzz"], 1, "docs/reference/refusals.md"),
        (["999999999"], 1, "There is no refusal 999999999"),
        (["9" * 30], 1, "There is no refusal"),
        (["--code", "nope"], 1, "no refusal code"),
        (["--since", "yesterday"], 2, "is no time"),
        (["1", "--zone", "example"], 2, "leave NUMBER or CODE out"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_what_cannot_be_explained_is_said_so(registry, words, status, says):
    assert says in registry.ddns("explain", *words, status=status)
