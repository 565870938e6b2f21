"""`zone-signer plan`, `keys`, `check` and the orders as programs: what they print, what they promise to programs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import dns.dnssec
import dns.name
import pytest
from signing import MASTER, add, rdata
from tools import need_terminal
from waiting import wait_for

from ddns.dns.codes import Type
from ddns.store import signing as signing_rows

TIMEOUT = 60
NOBODY = "No signer is running; it is done when one is: zone-signer run.\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "signer.key").touch(mode=0o600)
    (folder / "signer.key").write_bytes(MASTER)
    return folder


@pytest.fixture
def call(dsn_for, state):
    """What runs `zone-signer` with some words as a database user: its status, what it printed, and its complaint."""

    def run(*words, role="ddns_admin", **environment):
        done = subprocess.run(
            [sys.executable, "-m", "zone_signer.cli", *words],
            env={**os.environ, "DDNS_DSN": dsn_for(role), "DDNS_STATE": str(state), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def running(dsn_for, state):
    """What starts `zone-signer run`, once, and stops it in the end; it returns its process."""
    with contextlib.ExitStack() as stack:

        def start():
            process = subprocess.Popen(
                [sys.executable, "-m", "zone_signer.cli", "run", "--helpers", "1"],
                env={**os.environ, "DDNS_DSN": dsn_for("zone_signer"), "DDNS_STATE": str(state)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.stdout.close)
            stack.callback(process.stderr.close)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
            return process

        yield start


@pytest.fixture
def zone(admin, call):
    """A zone that is signed, whose parent nobody has asked yet."""
    found = wait_for(add(admin, "a.test.", "www 60 A 192.0.2.1"))
    status, _, said = call("once", role="zone_signer")
    assert (status, said) == (0, "")
    return found


async def watched(conn, zone):
    """Have the watcher's word that there are no servers to be asked."""
    await conn.execute(
        "INSERT INTO sightings (zone, kind, server, wanted, asked_at, answered_at) "
        "SELECT %s, 'secondary', '', false, now() + interval '1 h', now() + interval '1 h'",
        (zone,),
    )


async def count_of_orders(conn):
    return (await (await conn.execute("SELECT count(*) FROM signing_orders")).fetchone())[0]


KEY = {
    "zone", "tag", "algorithm", "role", "state", "since", "stays", "compromised", "published", "phases", "moving",
    "vault", "born", "ds", "wanted_at_parent",
}  # fmt: skip
PLAN = {
    "zone", "policy", "scheme", "algorithm", "denial", "wish", "serial", "suspended", "away", "problem", "keys",
    "orders", "waits", "planned", "later",
}  # fmt: skip
PLANNED = {"at", "action", "event", "key", "new", "replaces", "role", "algorithm", "record", "line", "why", "sure"}


async def test_the_names_in_json_are_promised(admin, call, zone):
    call("roll", "a.test", "--wait", "0")

    (planned,) = json.loads(call("plan", "a.test", "--json")[1])
    (with_records,) = json.loads(call("plan", "a.test", "--json", "--records")[1])
    (key,) = json.loads(call("keys", "--json")[1])
    alarm = json.loads(call("check", "--json")[1])

    assert set(planned) == PLAN
    assert set(with_records) == PLAN | {"records"}
    assert set(planned["keys"][0]) == {"id", "tag", "algorithm", "role", "state", "stays"}
    assert set(planned["orders"][0]) == {"kind", "role", "key", "server", "by", "at"}
    assert {name for one in planned["planned"] for name in one} == PLANNED
    assert set(key) == KEY
    assert set(key["phases"]) == {"dnskey", "zrrsig", "ds"}
    assert key["moving"] == {"ds": {"since": key["moving"]["ds"]["since"], "seen": None}}
    assert alarm == []
    times = [key["since"], key["born"], *(one["at"] for one in planned["planned"]), planned["orders"][0]["at"]]
    assert all(TIME.fullmatch(one) for one in times)
    assert planned["planned"][0]["action"] == "make"
    assert planned["planned"][0]["event"] == "Tgen"
    assert planned["planned"][0]["replaces"] == key["tag"]


async def test_waits_and_alarms_in_json_have_names_that_are_promised(admin, conn, call, zone):
    await conn.execute(
        "INSERT INTO sightings (zone, kind, server, asked_at, answered_at, problem) "
        "VALUES (%s, 'secondary', 'ns2.test. 192.0.2.2:53', now(), now() - interval '2 h', 'does not answer')",
        (zone,),
    )

    (planned,) = json.loads(call("plan", "a.test", "--json")[1])
    status, alarms, _ = call("check", "--json")

    assert set(planned["waits"][0]) == {"key", "record", "what", "who", "until", "stuck"}
    assert status == 1
    (alarm,) = json.loads(alarms)
    assert set(alarm) == {"code", "zone", "sentence", "since"}
    assert (alarm["code"], alarm["zone"]) == ("server-silent", "a.test.")
    assert TIME.fullmatch(alarm["since"])


async def test_keys_show_where_each_record_is_and_the_ds_that_a_parent_needs(admin, call, zone):
    ((tag, _, _, public),) = await signing_rows.keys_public(admin, zone)
    ds = dns.dnssec.make_ds(dns.name.from_text("a.test."), rdata(Type.DNSKEY, public), "SHA256").to_text()

    for words in (["keys"], ["keys", "a.test"]):
        status, text, _ = call(*words)

        head, row, record = text.splitlines()
        assert status == 0
        assert head.split() == ["ZONE", "TAG", "ROLE", "ALGORITHM", "STATE", "SINCE", "DNSKEY", "SIGNATURES", "DS", "VAULT"]  # fmt: skip  # noqa: E501
        assert row.split()[:6] == ["a.test.", str(tag), "csk", "13", "(P-256)", "active"]
        assert row.split()[-4:] == ["omnipresent", "omnipresent", "rumoured", "sealed"]
        assert record.lower() == f"a.test. in ds {ds.lower()}"


async def test_removed_keys_are_shown_where_they_are_asked_for(admin, owner, call, zone):
    await owner.execute(
        "UPDATE signing_keys SET state = 'removed', sealed = NULL, removed_at = now(), dnskey = 'hidden', "
        "zrrsig = 'hidden', ds = 'hidden', stays = false"
    )

    assert call("keys", "a.test")[1] == "a.test. has no signing key.\n"
    assert " removed " in call("keys", "a.test", "--removed")[1]
    assert [one["state"] for one in json.loads(call("keys", "--removed", "--json")[1])] == ["removed"]


async def test_a_plan_says_what_waits_for_whom_and_what_would_be_signed(admin, call):
    await add(admin, "a.test.", "www 60 A 192.0.2.1", "cut 60 NS ns.cut", "ns.cut 60 A 192.0.2.1")

    status, text, _ = call("plan", "a.test", "--records")

    lines = text.splitlines()
    assert status == 0
    assert lines[0] == "a.test.  not signed yet; policy default: csk of algorithm 13"
    assert lines[1].split("now", 1)[1].strip() == (
        "sign the zone and publish it for the first time: it is stored and not published yet"
    )
    assert "  sign    www.a.test. A" in lines
    assert sum(line.endswith(" NSEC3") for line in lines) == 3


async def test_a_plan_without_a_name_shows_zones_that_people_look_after_and_counts_homes(admin, owner, call):
    registry = await add(admin, "homes.test.", "h 300 NS ns", "i 300 NS ns")
    for label in ("h", "i"):
        await add(admin, f"{label}.homes.test.", parent=registry)
    call("once", role="zone_signer")
    await owner.execute("UPDATE signing SET step_at = now() + interval '9 d' WHERE zone <> %s", (registry,))

    status, text, _ = call("plan")

    assert status == 0
    assert text.splitlines()[0].startswith("homes.test.  signed with nsec3")
    assert "h.homes.test." not in text
    assert text.splitlines()[-1].startswith("Of 2 homes at rest keys reach their lifetime until ")
    assert call("plan", "h.homes.test")[1].startswith("h.homes.test.  signed with nsec3; policy home: csk")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["plan", "b.test."], 1, r"there is no zone b\.test\. here; `ddns zone list` shows those that are\."),
        (["keys", "b.test."], 1, r"there is no zone b\.test\. here; `ddns zone list` shows those that are\."),
        (["check", "b.test."], 1, r"there is no zone b\.test\. here; `ddns zone list` shows those that are\."),
        (["roll", "b.test."], 1, r"there is no zone b\.test\. here; `ddns zone list` shows those that are\."),
        (["insecure", "b.test.", "--yes"], 1, r"there is no zone b\.test\. here; .*"),
        (["plan", ""], 1, r"a name is empty\."),
        (["plan", "--until", ""], 1, r"'' is no time: .*"),
        (["plan", "b..test."], 1, r".*has an empty label\."),
        (["roll", "x" * 70], 1, r".*label.*"),
        (["plan", "--until", "2020-02-30"], 1, r"'2020-02-30' is no time: say a day like 2030-01-31, or .* from now\."),
        (["plan", "--until", "2020-01-01"], 1, r"2020-01-01 is over; say a time to come\."),
        (["plan", "--until", "9" * 40 + "d"], 1, r"'9+d' is no time: .*"),
        (["roll", "a.test", "--tag", "65536"], 2, r"Invalid value for '--tag': 65536 is not .*\."),
        (["ds-seen", "a.test", "-1"], 2, r"No such option.*"),
        (["ds-seen", "a.test", "x"], 2, r".*'x' is not a valid integer range\."),
        (["step", "a.test"], 2, r"Missing option '--without'\."),
        (["secure", "a.test", "--denial", "none"], 2, r"Invalid value for '--denial'.*"),
        (["check", "--dsn", "host=/nowhere dbname=x"], 1, r".*/nowhere.*"),
        (["roll", "a.test", "--dsn", "host=/nowhere dbname=x"], 1, r".*/nowhere.*"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(call, words, status, sentence):
    found, printed, said = call(*words)

    assert (found, printed) == (status, "")
    assert re.fullmatch(f"zone-signer: {sentence}\n", said), said


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (
            ["insecure", "homes.test"],
            "without signatures nobody can tell whether answers of homes.test. are true, nor those of its 2 homes",
        ),
        (
            ["roll", "homes.test", "--role", "csk", "--emergency"],
            "this takes the csk of homes.test. for known to others, and that cannot be called back",
        ),
        (
            ["step", "homes.test", "--without", "ns2"],
            "resolvers that ask ns2 may find homes.test. bogus until it follows",
        ),
        (
            ["resign", "homes.test"],
            "this makes every signature of homes.test. anew, and secondaries take all of them",
        ),
    ],
)
async def test_what_nothing_takes_back_is_asked_and_a_script_must_say_yes(admin, dsn_for, call, words, question):
    registry = await add(admin, "homes.test.")
    for label in ("h", "i"):
        await add(admin, f"{label}.homes.test.", parent=registry)

    status, _, said = call(*words)
    assert status == 1
    assert said.startswith(f"zone-signer: {question}; if so, say: zone-signer {words[0]} homes.test.")
    assert said.endswith(" --yes.\n")

    status, printed, said = answered(dsn_for("ddns_admin"), words, b"n\n")
    assert (status, printed) == (130, "")
    assert f"{question}. Go on? [y/N]" in said
    assert await count_of_orders(admin) == 0


def answered(dsn, words, answer):
    """Run `zone-signer` on a terminal on which somebody types *answer*."""
    asking, answering = need_terminal()
    with subprocess.Popen(
        [sys.executable, "-m", "zone_signer.cli", *words],
        env={**os.environ, "DDNS_DSN": dsn},
        stdin=answering,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.write(asking, answer)
        printed, said = process.communicate(timeout=TIMEOUT)
    os.close(asking)
    os.close(answering)
    return process.returncode, printed, said


async def test_orders_are_carried_out_by_a_running_signer_while_the_command_waits(admin, conn, call, zone, running):
    await watched(conn, zone)
    running()

    status, said, _ = call("roll", "a.test")
    assert status == 0
    first, second = said.splitlines()
    assert first == "Done: the keys of a.test. roll."
    assert re.fullmatch(
        r"Its keys rest from about \d{4}-\d\d-\d\d \d\d:\d\d UTC on; zone-signer plan a.test. shows each step.", second
    )
    assert sorted(one["state"] for one in json.loads(call("keys", "--json")[1])) == ["active", "published"]
    assert call("roll", "a.test")[2] == (
        "zone-signer: a.test.: a csk is rolling already; zone-signer plan shows where it stands.\n"
    )
    assert call("cancel", "a.test")[1].startswith("Done: the roll of a.test. is called back.\n")
    assert call("resign", "a.test", "--yes")[1] == "Done: a.test. is signed anew.\n"
    assert call("insecure", "a.test", "--yes")[1].startswith("Done: a.test. is on its way to lose its signatures.\n")
    assert call("secure", "a.test")[1].startswith("Done: a.test. is signed and stays so.\n")
    rows = await admin.execute("SELECT DISTINCT evidence FROM key_events WHERE record = 'order' AND before = 'roll'")
    ((evidence,),) = await rows.fetchall()
    assert re.fullmatch(r"operator:\S+ said roll; order \d+", evidence)


async def test_orders_that_no_signer_takes_are_kept_and_can_be_taken_back(admin, call, zone):
    assert call("roll", "a.test", "--wait", "0.2")[:2] == (
        0,
        f"Noted, and not done yet; then the keys of a.test. roll.\n{NOBODY}",
    )
    assert "a.test.  signed with nsec3" in call("plan", "a.test")[1]
    assert " has asked for roll at " in call("plan", "a.test")[1]

    status, said, _ = call("cancel", "a.test")

    assert status == 0
    assert re.fullmatch(r"Taken back: roll of a\.test\., which operator:\S+ asked for at [-\d]+ [:\d]+ UTC\.\n", said)
    assert call("cancel", "a.test")[2] == "zone-signer: a.test.: nothing rolls that could be called back.\n"


@pytest.mark.parametrize("role", ["ddns_admin", "zone_signer", "owner"])
async def test_people_and_the_signers_own_user_may_look_and_give_orders(call, zone, role):
    for words in (["plan", "--records"], ["keys"], ["check"], ["roll", "a.test", "--wait", "0"]):
        assert call(*words, role=role)[::2] == (0, ""), words


async def test_the_user_that_faces_the_network_may_neither_look_nor_give_orders(admin, call, zone):
    for words in (["plan"], ["roll", "a.test", "--wait", "0"]):
        status, printed, said = call(*words, role="ddns_server")

        assert (status, printed, said.count("\n")) == (1, "", 1), words
        assert "ddns_admin" in said
    assert await count_of_orders(admin) == 0


async def test_check_ends_with_1_where_anything_is_wrong(owner, call, zone):
    assert call("check") == (0, "All is well.\n", "")
    assert call("check", "a.test") == (0, "a.test. is well.\n", "")
    await owner.execute("UPDATE signing SET problem = 'no token', problem_since = now()")

    for words in (["check"], ["check", "a.test"]):
        assert call(*words) == (1, "signing-fails: a.test. cannot be signed: no token.\n", "")


async def test_a_running_signer_logs_an_alarm(owner, zone, running):
    await owner.execute(
        "INSERT INTO signers (name, seen_at, database_at, masters) "
        "VALUES ('gone', now() - interval '1 h', now() - interval '1 h', '{}')"
    )

    process = running()

    for line in process.stderr:
        if "signer.alarm" in line:
            break
    assert "signer.alarm begins code=signer-silent zone=- sentence=gone was last seen at " in line
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 0


def test_a_reader_that_stops_to_read_is_no_trouble(dsn_for, zone):
    done = subprocess.run(
        f"{sys.executable} -m zone_signer.cli plan --json | head -c 1",
        shell=True,
        env={**os.environ, "DDNS_DSN": dsn_for("ddns_admin")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("[", "")
