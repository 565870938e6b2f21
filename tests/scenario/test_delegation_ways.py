"""How a home asks for servers of its own: commands, its own key's UPDATE, and NOTIFY about what it shows."""

from __future__ import annotations

import re
import socket
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.update
import own_servers
import pytest
from own_servers import PORT, ZONE, Own, notify
from registry import nsupdate

SMITH, JONES, BROWN = (f"{label}.{ZONE}" for label in ("smith", "jones", "brown"))


@pytest.fixture(scope="module")
def parent():
    """Yield the registry with three homes that have keys of their own."""
    with own_servers.registry("smith", "jones", "brown") as running:
        yield running


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Yield Knot with the zones of Smith and Jones, each at an address of its own."""
    folder = tmp_path_factory.mktemp("own")
    with Own(folder / "smith", SMITH, "127.0.0.2") as smith, Own(folder / "jones", JONES, "127.0.0.3") as jones:
        yield {SMITH: smith, JONES: jones}


def ds_of(parent, own, name):
    """Return the DS of the key with which a home is signed at its own server, as its owner finds it."""
    answer = dns.message.make_query(name, "CDS")
    found = dns.query.tcp(answer, own.address, port=own.port, timeout=20).answer
    return next(str(one) for rrset in found for one in rrset if rrset.rdtype == dns.rdatatype.CDS)


def leaving(name, own, ds):
    """Return the update by which a home asks for its own server."""
    return [
        f"update delete {name} NS", f"update add {name} 3600 NS ns1.{name}",
        f"update add ns1.{name} 3600 A {own.address}", f"update add {name} 3600 DS {ds}",
    ]  # fmt: skip


def refused(parent, name, *changes, needs=(), rcode=dns.rcode.REFUSED):
    """Have the key of the home *name* ask for *changes* in the registry's zone; return the code of the refusal."""
    update = dns.update.UpdateMessage(ZONE)
    for verb, *words in changes:
        getattr(update, verb)(*words)
    for one in needs:
        update.present(one)
    update.use_edns(0, payload=1232)
    octets = _exchange(parent, parent.keys[name].signed(update.to_wire()))
    assert octets[3] & 15 == rcode, octets
    return re.search(rb"\[([a-z-]+)\]", octets)[1].decode()


def test_a_home_without_a_wish_is_hosted_and_listed_nowhere(parent):
    shown = parent.delegation("show", BROWN)

    assert (shown["state"], shown["wish"], shown["who"], shown["checks"]) == ("hosted", "host", "nobody", [])
    assert [key.split()[:4] for key in shown["keys"]] == [[BROWN, "3600", "IN", "DNSKEY"]]
    assert parent.delegation("continuity", BROWN, "none", status=1).startswith(f"ddns: {BROWN} has no servers")
    assert not parent.delegation("return", BROWN)["changed"]
    assert BROWN not in [one["home"] for one in parent.delegation("list")]


def test_servers_that_are_not_there_are_refused_by_name_and_nothing_is_written_but_the_look(parent):
    words = ["--ns", f"ns1.{BROWN}", "--glue", f"ns1.{BROWN}=127.0.0.9"]

    said = parent.delegation("leave", BROWN, *words, "--insecure", status=1)
    checked = parent.delegation("check", BROWN, *words, status=1)

    assert said.splitlines()[-1] == f"ddns: ns1.{BROWN} 127.0.0.9 refuses connections over TCP."
    assert checked.splitlines()[-1] == said.splitlines()[-1]
    shown = parent.delegation("show", BROWN)
    assert (shown["state"], shown["wish"]) == ("hosted", "host")
    (look,) = shown["checks"]
    assert (look["rule"], look["by"].split(":")[0]) == ("lame", "operator")
    assert [one["problem"] for one in look["said"]] == ["refuses connections over TCP"]


def test_what_is_asked_for_must_have_a_form(parent):
    without = parent.delegation("leave", BROWN, "--ns", f"ns1.{BROWN}", "--insecure", status=1)
    strange = parent.delegation(
        "leave", BROWN, "--ns", "ns.example.", "--glue", "ns.example.=192.0.2.1", "--insecure", status=1
    )
    nonsense = parent.delegation("leave", BROWN, "--ns", "ns.example.", "--ds", "1 2 3", status=1)

    assert "is below" in without
    assert "its own zone gives its addresses" in strange
    assert "is no DS" in nonsense
    assert "say how it is signed there" in parent.delegation("leave", BROWN, "--ns", "ns.example.", status=2)
    assert "is no home" in parent.delegation("show", ZONE, status=1)


def test_a_home_leaves_by_an_update_that_its_own_key_signs_and_thinks_better_of_it(parent, own):
    before = parent.values(SMITH, "NS")

    done = nsupdate(
        parent, ["-k", parent.path(SMITH)], ZONE, *leaving(SMITH, own[SMITH], ds_of(parent, own[SMITH], SMITH))
    )

    assert done[0] == 0, done[1]
    shown = parent.delegation("show", SMITH)
    assert (shown["wish"], shown["servers"]) == ("away", [f"ns1.{SMITH}"])
    assert shown["ds"] == [ds_of(parent, own[SMITH], SMITH).lower()]
    assert f"update sig0:{SMITH}" in [one["by"] for one in shown["checks"] if one["rule"] is None]
    assert parent.values(SMITH, "NS") == before  # nothing is published before both sides know each other's keys
    parent.arrives(SMITH, "leaving-keys")

    # On its way it may only return.
    assert refused(parent, SMITH, ("add", SMITH, 3600, "NS", f"ns2.{SMITH}")) == "delegation-under-way"

    done = nsupdate(parent, ["-k", parent.path(SMITH)], ZONE, f"update delete {SMITH} NS")

    assert done[0] == 0, done[1]
    parent.arrives(SMITH, "hosted")


def test_a_gateway_leaves_and_returns_with_the_homes_own_key(parent, tmp_path):
    def gateway(*words, status=0):
        return parent.ddns("gateway", *words, "--home", tmp_path / "gateway", "--wait", 60, status=status)

    name = f"green.{ZONE}"
    printed = parent.ddns("home", "invite", "green", "--zone", ZONE, "--server", f"127.0.0.1:{parent.port}")
    gateway("enrol", re.search(r"ddns://\S+", printed)[0])
    glue = ["--ns", f"ns1.{name}", "--glue", f"ns1.{name}=127.0.0.5"]

    assert "refuses connections over TCP" in gateway("leave", *glue, "--insecure", status=3)
    assert "say with --ds" in gateway("leave", *glue, status=2)
    with Own(tmp_path / "green", name, "127.0.0.5") as own:
        assert "Accepted: its registry takes" in gateway("leave", *glue, "--ds", ds_of(parent, own, name))
        parent.arrives(name, "leaving-keys")
        assert "Accepted: its registry takes" in gateway("return")
    parent.arrives(name, "hosted")


HERE = f"ns.{BROWN}"
NOBODY = ("add", HERE, 3600, "A", "127.0.0.9")
ONLY = (("delete", BROWN, "NS"), ("add", BROWN, 3600, "NS", HERE))


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("other-name", [("add", JONES, 3600, "NS", "ns.example.")]),
        ("other-name", [("add", ZONE, 3600, "NS", "ns.example.")]),
        ("other-name", [("add", BROWN, 3600, "NS", "ns.example."), ("delete", JONES)]),
        ("other-type", [("add", BROWN, 3600, "TXT", "hello")]),
        ("other-type", [("add", f"www.{BROWN}", 3600, "TXT", "hello")]),
        ("other-type", [("delete", BROWN, "KEY")]),
        ("no-server", [("delete", BROWN, "NS")]),
        ("no-address", [*ONLY]),
        ("unsigned", [*ONLY, NOBODY]),
        ("lame", [*ONLY, NOBODY, ("delete", BROWN, "DS")]),
        ("glue-outside", [*ONLY, NOBODY, ("add", f"www.{BROWN}", 3600, "A", "192.0.2.1")]),
        ("digest", [*ONLY, NOBODY, ("add", BROWN, 3600, "DS", f"1 13 1 {'00' * 20}")]),
        ("hosted", [("add", BROWN, 3600, "DS", f"1 13 2 {'00' * 32}")]),
        ("prerequisite", None),
    ],
)
def test_the_update_of_a_home_changes_its_own_delegation_and_nothing_else(parent, code, changes):
    if changes is None:
        assert refused(parent, BROWN, *ONLY, NOBODY, needs=(BROWN,)) == "delegation-prerequisite"
    else:
        assert refused(parent, BROWN, *changes) == f"delegation-{code}"
    assert parent.delegation("show", BROWN)["wish"] == "host"


def test_an_update_that_asks_for_what_is_so_is_done(parent):
    done = nsupdate(parent, ["-k", parent.path(BROWN)], ZONE, f"update add {BROWN} 3600 NS ns1.{ZONE}")

    assert done[0] == 0, done[1]
    assert parent.delegation("show", BROWN)["wish"] == "host"


def test_a_home_with_servers_of_another_home_is_refused_because_they_do_not_answer_for_it(parent, own):
    glue = ("add", HERE, 3600, "A", own[SMITH].address)
    ds = ("add", BROWN, 3600, "DS", ds_of(parent, own[SMITH], SMITH))

    assert refused(parent, BROWN, *ONLY, glue, ds) == "delegation-lame"


def test_servers_that_keep_the_registry_waiting_are_asked_again_another_time(parent):
    """Nothing is decided, nothing is remembered, and what was seen is kept; questions are answered meanwhile."""
    with socket.create_server(("127.0.0.7", PORT)):  # it takes connections, and never says anything
        glue = ("add", HERE, 3600, "A", "127.0.0.7")

        code = refused(parent, BROWN, *ONLY, glue, ("delete", BROWN, "DS"), rcode=dns.rcode.SERVFAIL)

    assert code == "delegation-slow"
    look = parent.delegation("show", BROWN)["checks"][0]
    assert (look["by"], look["rule"], look["said"][0]["problem"]) == (
        "update", "lame", "does not answer over TCP in time",
    )  # fmt: skip
    assert parent.delegation("show", BROWN)["wish"] == "host"


def test_a_ds_of_another_key_is_refused_as_bogus(parent, own):
    server = f"ns1.{JONES}"
    changes = [("delete", JONES, "NS"), ("add", JONES, 3600, "NS", server)]
    changes += [("add", server, 3600, "A", own[JONES].address), ("add", JONES, 3600, "DS", f"1 13 2 {'00' * 32}")]

    assert refused(parent, JONES, *changes) == "delegation-bogus"
    assert parent.delegation("show", JONES)["wish"] == "host"


def test_a_replay_hears_what_it_heard_and_does_nothing(parent):
    signed = parent.keys[BROWN].signed(_update(BROWN))

    def looks():
        shown = parent.delegation("show", BROWN, "--checks", 1000)
        return [one["at"] for one in shown["checks"] if one["by"] == "update"]

    # The answers are signed with the service's own SIG(0), which dnspython does not read.
    before = looks()
    first, again = _exchange(parent, signed), _exchange(parent, signed)

    assert first[3] & 15 == again[3] & 15 == dns.rcode.REFUSED
    assert b"[delegation-lame]" in first
    assert b"[delegation-lame]" in again
    assert len(looks()) == len(before) + 1


def _update(name):
    """Return an unsigned update of the delegation of *name* to a server that nobody has, with an OPT."""
    update = dns.update.UpdateMessage(ZONE)
    update.delete(name, "NS")
    update.delete(name, "DS")
    update.add(name, 3600, "NS", f"ns9.{name}")
    update.add(f"ns9.{name}", 3600, "A", "127.0.0.9")
    update.use_edns(0, payload=1232)
    return update.to_wire()


def _exchange(parent, wire):
    with socket.create_connection(("127.0.0.1", parent.port), 30) as sock:
        sock.sendall(len(wire).to_bytes(2, "big") + wire)
        size = int.from_bytes(_exactly(sock, 2), "big")
        return _exactly(sock, size)


def _exactly(sock, size):
    out = b""
    while len(out) < size:
        piece = sock.recv(size - len(out))
        assert piece
        out += piece
    return out


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("rdtype", ["CDS", "CSYNC"])
def test_a_notify_about_any_name_of_a_zone_is_acknowledged_alike(parent, rdtype, tcp):
    for name in (SMITH, BROWN, f"nobody.{ZONE}"):
        answer = notify(parent, name, rdtype, tcp=tcp)
        assert (answer.rcode(), answer.opcode()) == (dns.rcode.NOERROR, dns.opcode.NOTIFY)
        assert answer.flags & dns.flags.QR
        assert answer.flags & dns.flags.AA
        assert answer.question[0].name == dns.name.from_text(name)
        assert not answer.options


def test_a_notify_about_a_zone_elsewhere_is_refused_like_a_question_and_others_are_not_known(parent):
    assert notify(parent, "home.elsewhere.test.").rcode() == dns.rcode.REFUSED
    assert parent.ask("home.elsewhere.test.", "CDS").rcode() == dns.rcode.REFUSED
    assert notify(parent, SMITH, "SOA").rcode() == dns.rcode.NOTIMP
    assert notify(parent, SMITH, "DNSKEY").rcode() == dns.rcode.NOTIMP


def test_a_notify_with_records_of_another_name_is_an_error(parent):
    cds = dns.rrset.from_text(JONES, 60, "IN", "CDS", "0 0 0 00")
    answer = notify(parent, SMITH, more=cds)

    assert answer.rcode() == dns.rcode.FORMERR
    assert "[notify-of-many]" in answer.options[0].text
    assert notify(parent, JONES, more=cds).rcode() == dns.rcode.NOERROR


def test_a_flood_of_notifies_is_answered_and_rationed(parent):
    """Of 300 about one child a hundred are followed; all are answered, and questions still are."""
    rationed = 0
    begun = time.monotonic()
    for _ in range(300):
        answer = notify(parent, f"flooded.{ZONE}")
        assert answer.rcode() == dns.rcode.NOERROR
        rationed += any(isinstance(one, dns.edns.EDEOption) and one.code == 15 for one in answer.options)

    assert 190 <= rationed <= 260
    assert time.monotonic() - begun < 120
    assert parent.ask(ZONE, "SOA").answer
