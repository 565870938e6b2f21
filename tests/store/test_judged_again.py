"""A refusal judged again on a real database: each reason that an update can be refused for, then and now."""

from __future__ import annotations

import time

import craft
import pytest

from ddns.auth import tsig
from ddns.auth.principal import Credential, Grant, Secret
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Type
from ddns.net.answers import Answer
from ddns.net.refusals import JournalBounds, RefusalJournal
from ddns.operator import explain
from ddns.operator.fault import CannotDo
from ddns.store import credentials, grants, homes, invitations, refusals, rrsets, zones
from ddns.zone.limits import Limits
from ddns.zone.update import parse

KEY = names.from_text("k.example.")
SECRET = Secret(b"s" * 32)
ASKER = Asker(Transport.TLS, "2001:db8::1")
NOW = int(time.time())


class Book:
    """A zone, a key, and a way to have an update of theirs refused and explained."""

    def __init__(self, admin) -> None:
        self.admin = admin

    async def begin(self, *granted: Grant, invitation=None, home=False) -> Book:
        content = [rrset for node in craft.zone("cam 60 A 192.0.2.1").values() for rrset in node]
        self.zone = await zones.insert(self.admin, craft.ORIGIN, "nsec3", 13)
        async with self.admin.transaction():
            await rrsets.fill(self.admin, self.zone, content)
        if home:
            await homes.insert(self.admin, self.zone)
        rules = [Grant(self.zone, one.name, one.types, one.rule, one.most, denied=one.denied) for one in granted]
        self.key = await credentials.insert(
            self.admin, KEY, "tsig", "hmac-sha256", secret=b"sealed", grants=rules, invitation=invitation
        )
        self.credential = (await credentials.by_ids(self.admin, [self.key]))[self.key]
        return self

    async def refused(self, wire: bytes, code: str = "name-not-granted", rcode: int = 5, **bounds) -> int:
        """Have the journal take the update *wire* in as refused with *code* and return its number."""
        signer = Credential(0, KEY, "tsig", "hmac-sha256", secret=SECRET)
        record = tsig.cut(tsig.sign_request(wire, signer, NOW)[0])
        update = parse(record.message)
        made: list[refusals.Refused] = []
        journal = RefusalJournal(None, lambda _name: self.zone, JournalBounds(**bounds), lambda: float(NOW))
        journal._waiting = made
        answer = Answer(rcode, 18, "No.", code)
        journal.record(answer, ASKER, record, update, self.credential, verified=True)
        await refusals.append(self.admin, made)
        return (await refusals.latest(self.admin, 1))[0].id

    async def explained(self, number: int, limits: Limits | None = None) -> explain.Explanation:
        return await explain.explain(self.admin, number, limits or Limits(), NOW)


@pytest.fixture
def admin(owner):
    """The owner's connection: it may write the journal and all that is explained."""
    return owner


ALL = Grant(0, craft.ORIGIN, rule="zone")
ADD = craft.add("new", 60, "A", "192.0.2.9")


def verdicts(found: explain.Explanation) -> list[str]:
    return [step.verdict for step in found.steps]


async def test_what_was_missing_is_named_and_when_it_is_given_the_update_would_pass(admin):
    book = await Book(admin).begin(Grant(0, craft.name("cam"), frozenset({int(Type.A)})))
    number = await book.refused(craft.message(ADD, craft.add("new", 60, "TXT", '"x"'), craft.delete("cam", "A")))

    before = await book.explained(number)
    await grants.insert(admin, book.key, Grant(book.zone, craft.name("new")))
    after = await book.explained(number)

    assert before.asks[1] == 'add new.smith.example. 60 TXT "x"'
    assert (before.today.code, before.steps[-1].verdict) == ("name-not-granted", "not asked")
    assert before.cures == (
        "`ddns grant add k.example. smith.example. --rule name --name new.smith.example. --types A,TXT`",
    )
    assert (after.today, len(after.holds), len(after.held)) == (None, 2, 1)
    assert after.steps[-1].says == "It would change 3 RRsets."
    assert after.cures == ("have the client send the update again: nothing is in its way now",)


async def test_many_missing_names_are_better_granted_together(admin):
    book = await Book(admin).begin()
    number = await book.refused(craft.message(*(craft.add(f"n{n}", 60, "A", "192.0.2.9") for n in range(9))))

    (cure,) = (await book.explained(number)).cures

    assert cure.startswith("`ddns grant add k.example. smith.example. --types A`")
    assert "9 names" in cure


async def test_a_whole_name_needs_all_types_or_a_client_that_asks_for_less(admin):
    book = await Book(admin).begin(Grant(0, craft.ORIGIN, frozenset({int(Type.A)}), "zone"))
    number = await book.refused(craft.message(craft.delete("cam")))

    cures = (await book.explained(number)).cures

    assert cures[0] == "`ddns grant add k.example. smith.example. --rule name --name cam.smith.example.`"
    assert "single types" in cures[1]


async def test_a_key_that_was_revoked_since_is_said_to_be(admin):
    book = await Book(admin).begin(ALL)
    number = await book.refused(craft.message(ADD), "rrset-exists", 8)
    await credentials.revoke(admin, KEY)

    found = await book.explained(number)

    assert found.today.code == "key-revoked"
    assert found.revoked_at >= NOW - 60
    assert found.held == ("rule 1: zone smith.example. all types",)
    assert "ddns home invite" in found.cures[0]


async def test_a_zone_that_went_is_said_to_be_gone(admin):
    book = await Book(admin).begin(ALL)
    number = await book.refused(craft.message(ADD))
    await zones.insert(admin, names.from_text("example."), "nsec3", 13)
    await admin.execute("DELETE FROM zones WHERE id = %s", (book.zone,))

    found = await book.explained(number)

    assert found.today.code == "zone-unknown"
    assert "example. as the zone" in found.cures[0]


async def test_a_suspended_home_is_released_by_a_command(admin):
    book = await Book(admin).begin(ALL, home=True)
    number = await book.refused(craft.message(ADD), "home-suspended")
    await homes.set_state(admin, book.zone, "suspended", "a test")

    suspended = await book.explained(number)
    await homes.set_state(admin, book.zone, "active")

    assert suspended.today.code == "home-suspended"
    assert "ddns home release smith.example." in suspended.cures[0]
    assert (await book.explained(number)).today is None


@pytest.mark.parametrize(
    ("wire", "code", "limits"),
    [
        (craft.message(ADD, needs=[craft.absent("cam")]), "name-in-use", Limits()),
        (craft.message(craft.rr("new", "A", craft.IN, 60, b"\1")), "record-malformed", Limits()),
        (craft.message(craft.add("cam", 60, "A", "192.0.2.2")), "rrset-too-long", Limits(records_per_rrset=1)),
        (craft.message(craft.rr("cam", "NSEC", craft.ANY)), "type-is-signers", Limits()),
        (craft.message(ADD, craft.delete("cam")), "too-many-records", Limits(records_per_update=1)),
    ],
    ids=["prerequisite", "form", "limit", "signer", "records"],
)
async def test_the_step_that_refuses_is_the_servers_own(admin, wire, code, limits):
    book = await Book(admin).begin(ALL)
    number = await book.refused(wire, code)

    found = await book.explained(number, limits)

    assert found.today.code == code
    assert "refused" in verdicts(found)
    assert found.cures


async def test_a_denial_is_named_by_its_number_and_reason(admin):
    book = await Book(admin).begin(ALL, Grant(0, craft.name("new"), denied="Not yours"))
    number = await book.refused(craft.message(ADD), "denied-by-rule")

    found = await book.explained(number)

    assert found.today.code == "denied-by-rule"
    rule = found.today.text.split()[1]
    assert f"`ddns grant remove --number {rule}`" in found.cures[1]
    assert "deny subdomain new.smith.example. all types (Not yours)" in found.held[1]


async def test_a_denial_for_everybody_stands_beside_the_keys_rules(admin):
    book = await Book(admin).begin(ALL)
    number = await book.refused(craft.message(ADD), "denied-by-rule")
    await grants.insert(admin, None, Grant(book.zone, craft.ORIGIN, frozenset({int(Type.A)}), "zone", denied="No A"))

    found = await book.explained(number)

    assert found.today.code == "denied-by-rule"
    assert found.holds[1].startswith("everybody: ")


async def test_an_invitation_is_judged_by_what_it_allows(admin):
    book = Book(admin)
    registry = await zones.insert(admin, names.from_text("example."), "nsec3", 13)
    jones = names.from_text("jones.example.")
    invitation = await invitations.insert(admin, registry, jones, NOW + 600)
    await book.begin(invitation=invitation)
    number = await book.refused(craft.message(ADD, origin=names.from_text("example.")), "invitation-only-key")

    good = await book.explained(number)
    await invitations.spend(admin, invitation, book.zone, NOW)
    spent = await book.explained(number)

    assert (good.today.code, spent.today.code) == ("invitation-only-key", "invitation-spent")


async def test_a_message_that_is_too_long_to_be_kept_is_said_so(admin):
    book = await Book(admin).begin(ALL)
    number = await book.refused(craft.message(ADD), octets=20)

    found = await book.explained(number)

    assert (found.judged, found.today) == (False, None)
    assert found.asks == ("add new.smith.example. A",)
    assert "[refusals] octets" in found.steps[-1].says


async def test_explaining_changes_nothing(admin):
    book = await Book(admin).begin(ALL)
    number = await book.refused(craft.message(ADD))

    async def counted():
        cursor = await admin.execute(
            "SELECT (SELECT count(*) FROM rrsets), (SELECT count(*) FROM journal), (SELECT head FROM zones)"
        )
        return await cursor.fetchone()

    before = await counted()
    assert (await book.explained(number)).today is None

    assert await counted() == before


async def test_the_command_lines_role_is_enough(owner, connected):
    book = await Book(owner).begin(ALL)
    number = await book.refused(craft.message(ADD))

    found = await explain.explain(await connected("ddns_admin"), number, Limits(), NOW)

    assert found.today is None


async def test_a_number_that_is_none_is_said_so_with_those_that_are(admin):
    with pytest.raises(CannotDo, match="none yet"):
        await explain.explain(admin, 1, Limits(), NOW)
    book = await Book(admin).begin(ALL)
    await book.refused(craft.message(ADD))

    with pytest.raises(CannotDo, match="begin with 1"):
        await explain.explain(admin, 99, Limits(), NOW)
