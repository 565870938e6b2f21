"""TLSA records on the real update path: what is guarded, what is refused, what is remembered and for how long."""

from __future__ import annotations

import time

import craft
import guarding
import pytest
from guarding import OWNER, Device, add, said, take, told
from leasing import Server
from waiting import wait_for

from ddns.dns.codes import Rcode
from ddns.store import tlsa
from ddns.zone.dane import MARGIN
from ddns.zone.dane_option import Verb

WAIT = 2 * 300 + MARGIN


@pytest.fixture
def make(dsn_for, owner, tmp_path):
    made = []

    async def begin(*lines):
        device = Device(dsn_for("ddns_server"), owner, tmp_path)
        made.append(device)
        return await device.begin(*lines)

    yield begin
    for device in made:
        wait_for(device.server.close())


async def transferred(device, serial=None, *, asked=0):
    """Have somebody be allowed to transfer the zone, and the watcher have seen *serial* there at *asked*."""
    now = device.server.now + asked
    await device.admin.execute("RESET ROLE")
    await device.admin.execute(
        "INSERT INTO transfer_rights (zone, homes, address) VALUES (%s, false, '192.0.2.53/32') ON CONFLICT DO NOTHING",
        (device.zone,),
    )
    for server in ("", "ns2.example. 192.0.2.53:53"):
        if serial is not None:
            await device.admin.execute(
                """
                INSERT INTO sightings (zone, kind, server, asked_at, answered_at, serial)
                VALUES (%(zone)s, 'secondary', %(server)s, to_timestamp(%(now)s), to_timestamp(%(now)s), %(serial)s)
                ON CONFLICT (zone, kind, server) DO UPDATE
                SET asked_at = excluded.asked_at, answered_at = excluded.answered_at, serial = excluded.serial
                """,
                {"zone": device.zone, "server": server, "now": now, "serial": serial},
            )


async def test_a_key_rolls_by_the_registrys_word(make):
    """Published beside the old, safe after two TTLs, the old one gone, and nothing is remembered any more."""
    device = await make()
    assert told(await device.change(add(1))) == {1: "established"}
    assert told(await device.change(add(2))) == {1: "established", 2: "published"}

    early = await device.change(take(1))
    device.server.now += WAIT
    ready = await device.state()
    late = await device.change(take(1))

    assert early.rcode() == Rcode.REFUSED
    assert "tlsa-not-safe-yet" in said(early)
    assert ready == {1: "established", 2: "safe"}
    assert late.rcode() == Rcode.NOERROR
    assert told(late) == {2: "established"}
    assert await device.keys() == {2}
    assert await device.rows() == []


async def test_a_second_too_early_is_too_early(make):
    device = await make()
    await device.change(add(1))
    await device.change(add(2))

    device.server.now += WAIT - 1
    before = await device.state()
    device.server.now += 1

    assert before[2] == "published"
    assert (await device.state())[2] == "safe"


async def test_the_sentence_says_until_when(make):
    """It is what the gateway shows to its owner."""
    device = await make()
    await device.change(add(1))
    await device.change(add(2))
    await device.state()

    assert "wait until" in said(await device.change(take(1)))
    assert said(await device.change(take(1), take(2))) == ""


async def test_replacing_at_once_is_refused_and_changes_nothing(make):
    """The neighbours of its batch are not refused."""
    device = await make()
    await device.change(add(1))
    row = await device.row()

    refused, done = await device.server.send(
        device.wish(Verb.MANAGED, take(1), add(2)), device.signed(craft.add("pi", 60, "A", "192.0.2.9"))
    )

    assert (refused.rcode(), done.rcode()) == (Rcode.REFUSED, Rcode.NOERROR)
    assert await device.keys() == {1}
    assert (await device.row()).serial == row.serial + 1


async def test_who_does_not_ask_for_it_is_not_guarded(make):
    """What nsupdate does today it can do tomorrow; nothing is remembered of it."""
    device = await make()
    await device.update(add(1))

    reply = await device.update(craft.delete(OWNER, "TLSA"), add(2))

    assert reply.rcode() == Rcode.NOERROR
    assert await device.keys() == {2}
    assert await device.rows() == []


async def test_a_strict_zone_guards_everybody(make):
    """And it takes the usages that it says."""
    device = await make()
    await device.admin.execute("RESET ROLE")
    await device.admin.execute("INSERT INTO tlsa_rules VALUES (%s, true, '{3}')", (device.zone,))
    await device.update(add(1))

    replaced = await device.update(craft.delete(OWNER, "TLSA"), add(2))
    authority = await device.update(craft.add(OWNER, 300, "TLSA", f"2 1 1 {guarding.digest(3)}"))

    assert "tlsa-not-safe-yet" in said(replaced)
    assert "tlsa-usage" in said(authority)
    assert await device.keys() == {1}


@pytest.mark.parametrize("usage", [0, 1])
async def test_usages_that_need_a_public_ca_are_refused(make, usage):
    device = await make()

    assert "tlsa-usage" in said(await device.update(craft.add(OWNER, 300, "TLSA", f"{usage} 1 1 {guarding.digest(1)}")))


async def test_a_name_that_goes_whole_takes_its_records_along_and_is_remembered(make):
    """Caches hold what stood there, so that the next first record has to wait."""
    device = await make()
    await device.change(add(1))

    await device.change(craft.delete(OWNER))
    gone = await device.rows()
    again = told(await device.change(add(2)))

    assert gone == [(b"", "fading")]
    assert again == {2: "published"}


async def test_a_revoked_record_goes_at_once_and_its_price_is_said(make):
    device = await make()
    await device.change(add(1))

    reply = await device.say(Verb.REVOKE, take(1), keys=(1,))

    assert reply.rcode() == Rcode.NOERROR
    assert "now find no TLSA record" in said(reply)
    assert await device.keys() == set()


async def test_a_lost_answer_is_found_again_with_all_that_it_told(make, dsn_for, tmp_path):
    """The same octets again do nothing, and hear the same: from this server, and from another by the database."""
    device = await make()
    await device.change(add(1))
    message = device.wish(Verb.MANAGED, add(2))
    other = Server(dsn_for("ddns_server"), tmp_path)
    await other.open(device.zone)
    row = await device.row()

    replies = [await one.send(message) for one in (device.server, device.server, other)]
    await other.close()

    assert [told(reply) for (reply,) in replies] == [{1: "established", 2: "published"}] * 3
    assert (await device.row()).serial == row.serial + 1


async def test_deployed_keys_stay_and_the_others_retire(make):
    """The owner's word; before the record is safe it is not taken."""
    device = await make()
    await device.change(add(1))
    await device.change(add(2))

    early = await device.say(Verb.DEPLOYED, keys=(2,))
    device.server.now += WAIT
    done = await device.say(Verb.DEPLOYED, keys=(2,))

    assert "tlsa-not-safe-yet" in said(early)
    assert told(done) == {1: "retiring", 2: "established"}
    assert await device.keys() == {1, 2}
    assert (await device.row()).edition == 3


async def test_whoever_says_deployed_must_be_allowed_to_write_there(make):
    """To take the old record away is a change."""
    device = await make()
    await device.change(add(1))
    await device.admin.execute("RESET ROLE")
    await device.admin.execute("UPDATE grants SET types = '{1}'")

    reply = await device.say(Verb.DEPLOYED, keys=(1,))

    assert reply.rcode() == Rcode.REFUSED


async def test_a_question_for_the_state_with_an_operation_is_malformed(make):
    device = await make()
    await device.change(add(1))

    reply = await device.say(Verb.STATE, add(2))

    assert (reply.rcode(), await device.keys()) == (Rcode.FORMERR, {1})


async def test_where_there_is_nothing_the_question_says_so(make):
    device = await make()

    assert (await device.say(Verb.STATE)).rcode() == Rcode.NXRRSET


async def test_servers_elsewhere_must_have_been_seen(make):
    """Time alone settles nothing where somebody else serves the zone: unlooked, then behind, then seen."""
    device = await make()
    await transferred(device)
    await device.change(add(1))
    await device.change(add(2))
    device.server.now += 10 * WAIT
    unlooked = await device.state()
    await transferred(device, (await device.row()).serial - 1)
    behind = await device.state()
    await transferred(device, (await device.row()).serial)
    seen = await device.state()
    device.server.now += WAIT

    assert unlooked == behind == seen == {1: "established", 2: "published"}
    assert (await device.state())[2] == "safe"


async def test_a_sighting_from_before_the_change_does_not_count(make):
    """A number may have stood for something else before a database was restored."""
    device = await make()
    await transferred(device, 4000, asked=-1)
    await device.change(add(1))
    await device.change(add(2))

    device.server.now += WAIT

    assert (await device.state())[2] == "published"


async def test_the_end_of_a_lease_is_remembered_like_any_other_end(make):
    """The new record's lease ends during the roll: the old one is established, and what follows waits for caches."""
    device = await make()
    await device.change(add(1))
    await device.update(add(2), leased=(30,))

    assert await device.passes(31) == 1
    assert await device.keys() == {1}
    await device.change(add(2))

    assert await device.state() == {1: "established", 2: "published"}


async def test_the_last_record_whose_lease_ends_is_remembered(make):
    """Caches do not know of leases."""
    device = await make()
    await device.update(add(1), leased=(600,))

    assert await device.passes(601) == 1
    lapsed = await device.rows()
    await device.change(add(2))

    assert lapsed == [(b"", "fading")]
    assert await device.state() == {2: "published"}


async def test_a_roll_beside_a_command_that_writes_is_judged_by_what_stands_there(make):
    """A file is imported in mid-roll, without the new record and with it again: the wait begins anew."""
    device = await make()
    now = float(int(time.time()))
    device.server.now = now - WAIT
    await device.change(add(1))
    await device.change(add(2))
    await device.imports(add(1))
    await device.imports(add(1), add(2))
    device.server.now = now

    assert await device.state() == {1: "established", 2: "published"}


async def test_an_unsigned_zone_is_said_to_prove_nothing(make):
    """It is accepted all the same: the zone may be signed tomorrow."""
    device = await make()

    assert "No client believes TLSA records" in said(await device.change(add(1)))


async def test_an_update_without_tlsa_asks_the_database_nothing_more(make, monkeypatch):
    """What is not about TLSA records does not pay for them."""
    device = await make()
    await device.change(add(1))
    asked = []

    def counted(function):
        async def ask(*args):
            asked.append(function.__name__)
            return await function(*args)

        return ask

    for function in (tlsa.facts, tlsa.read, tlsa.write):
        monkeypatch.setattr(tlsa, function.__name__, counted(function))

    await device.update(craft.add("pi", 60, "A", "192.0.2.9"))
    await device.update(craft.delete("pi"))
    quiet = list(asked)
    await device.change(add(2))

    assert quiet == []
    assert asked == ["facts", "read", "write"]


async def test_what_is_remembered_of_a_zone_has_an_end(make, monkeypatch):
    """Else whoever may write there adds and takes away for ever, under a new name each time."""
    monkeypatch.setattr(tlsa, "MOST_FOLLOWED", 2)
    device = await make()
    await device.change(add(1))
    await device.change(add(2))
    await device.change(add(3))

    more = await device.change(add(4))
    other = await device.say(Verb.MANAGED, add(5, owner="_443._tcp.pi"))
    plain = await device.update(craft.add("pi", 60, "A", "192.0.2.9"))
    less = await device.change(take(3))

    assert (more.rcode(), "tlsa-too-many" in said(more)) == (Rcode.REFUSED, True)
    assert (other.rcode(), plain.rcode(), less.rcode()) == (0, 0, 0)  # the first record of a service is not followed
    assert (await device.change(add(4))).rcode() == 0


async def test_rows_go_with_their_zone(make):
    device = await make()
    await device.change(add(1))
    await device.change(add(2))
    before = await device.rows()

    await device.admin.execute("RESET ROLE")
    await device.admin.execute("DELETE FROM zones WHERE id = %s", (device.zone,))

    assert (len(before), await device.rows()) == (1, [])
