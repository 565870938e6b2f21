"""The rules of grants in a real Postgres: kept, listed, applied from a file, migrated, and asked by updates."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from rows import n
from waiting import wait_for

from ddns import schema
from ddns.auth.principal import ASSURANCES, RULES, Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns.codes import Type
from ddns.operator import apply, grants, keys, registry_file, tenants
from ddns.operator.fault import CannotDo
from ddns.operator.grants import Terms
from ddns.postgres import OWNER
from ddns.schema import SchemaProblem
from ddns.store import credentials, homes, zones
from ddns.store import grants as stored
from ddns.store.tenancy import entered

SEALER = Sealer(b"k" * 32)
WHO = "operator:test"
REGISTRY, SMITH, JONES = n("homes.example."), n("smith.homes.example."), n("jones.homes.example.")
KEY = n("k.homes.example.")
A, MX, TXT = int(Type.A), int(Type.MX), int(Type.TXT)


@pytest.fixture
def registry(admin):
    """Make a registry with two homes, smith and jones, and a key called k.homes.example; return its zone's id."""

    async def make():
        parent = await zones.insert(admin, REGISTRY, "none", 13)
        for home in (SMITH, JONES):
            zone = await zones.insert(admin, home, "none", 13, parent)
            await homes.insert(admin, zone)
        await keys.add_tsig(admin, SEALER, KEY, "hmac-sha256", Secret(b"s" * 32))
        return parent

    return wait_for(make())


async def number_of(admin, origin):
    return (await zones.find(admin, origin)).id


async def live(admin, name=KEY):
    (credential,) = (await credentials.by_names(admin, [name], SEALER.open))[name]
    return credential


@pytest.mark.parametrize(
    ("key", "terms", "expected"),
    [
        ("k.homes.example", Terms(), ("zone", REGISTRY, None, ())),
        ("k.homes.example", Terms(name="homes.example"), ("zone", REGISTRY, None, ())),
        ("k.homes.example", Terms(name="X.homes.example"), ("subdomain", n("x.homes.example."), None, ())),
        ("k.homes.example", Terms("name", "x.homes.example"), ("name", n("x.homes.example."), None, ())),
        ("k.homes.example", Terms("self"), ("self", KEY, None, ())),
        ("k.homes.example", Terms("selfsub", types=("A(2)", "TXT")), ("selfsub", KEY, {A, TXT}, ((A, 2),))),
        ("k.homes.example", Terms("wildcard", "*.x.homes.example"), ("wildcard", n("*.x.homes.example."), None, ())),
        ("k.homes.example", Terms("acme"), ("acme", REGISTRY, {TXT}, ())),
        (
            "k.homes.example",
            Terms("acme", "x.homes.example", ("TXT(2)",)),
            ("acme", n("x.homes.example."), {TXT}, ((TXT, 2),)),
        ),
        ("*", Terms(deny="no", types=("MX",), homes=True), ("zone", REGISTRY, {MX}, ())),
        ("*", Terms("within", "x.homes.example", deny="no", homes=True), ("within", n("x.homes.example."), None, ())),
        ("*", Terms("within", "x*.homes.example", deny="0", homes=True), ("within", n("x*.homes.example."), None, ())),
        ("*", Terms(deny="no", homes=True, addresses=("10.0.0.0/8",)), ("zone", REGISTRY, {A, 28}, ())),
        ("*", Terms(deny="no", types=("A",), addresses=("private",)), ("zone", REGISTRY, {A}, ())),
        ("*", Terms("self", deny="no"), ("self", REGISTRY, None, ())),
    ],
)  # fmt: skip
async def test_a_rule_comes_back_as_it_was_made(admin, registry, key, terms, expected):
    """Through the operator's words, the table and the listing; made twice it is there once."""
    who = grants.read_key(key)

    first, made = await grants.add(admin, who, REGISTRY, terms)
    again, _ = await grants.add(admin, who, REGISTRY, terms)

    (listed,) = await grants.listing(admin, REGISTRY)
    rule, name, types, most = expected
    assert (first, again) == (True, False)
    assert listed.grant.terms == made
    assert (made.rule, made.name, made.types, made.most) == (rule, name, types, most)
    assert (made.denied, made.homes, listed.key) == (terms.deny, terms.homes, who)
    assert (await grants.the_rule(admin, listed.id)) == listed
    assert await grants.remove(admin, who, REGISTRY, Terms(rule)) == 1
    assert await grants.listing(admin) == []


@pytest.mark.parametrize(
    ("key", "terms", "says"),
    [
        ("k.homes.example", Terms("nonsense"), "'nonsense' is not known; choose zone"),
        ("k.homes.example", Terms("name"), "needs a name"),
        ("k.homes.example", Terms("wildcard", "x.homes.example"), "no pattern"),
        ("k.homes.example", Terms("wildcard", "*.example"), "outside the zone"),
        ("k.homes.example", Terms("zone", "x.homes.example"), "leave the name out"),
        ("k.homes.example", Terms("self", "x.homes.example"), "leave the name out"),
        ("k.elsewhere.example", Terms("self"), "outside the zone"),
        ("k.homes.example", Terms(name="elsewhere.example"), "outside the zone"),
        ("k.homes.example", Terms("acme", types=("A",)), "for TXT alone"),
        ("k.homes.example", Terms(types=()), "allows nothing"),
        ("k.homes.example", Terms(types=("A(0)",)), "1 to 10000"),
        ("k.homes.example", Terms(types=("A(10001)",)), "1 to 10000"),
        ("k.homes.example", Terms(types=("A(-1)",)), "no record type"),
        ("k.homes.example", Terms(types=("A(2", "TXT")), "no record type"),
        ("k.homes.example", Terms(types=("A", "a(2)")), "twice"),
        ("k.homes.example", Terms(types=("ANY(2)",)), "is no data"),
        ("k.homes.example", Terms(types=("RRSIG",)), "belongs to the signer"),
        ("k.homes.example", Terms(min_assurance="Attested"), "choose open, token"),
        ("k.homes.example", Terms(deny="  "), "needs its reason"),
        ("k.homes.example", Terms(deny="x" * 81), "1 to 80"),
        ("k.homes.example", Terms(deny="\N{SNOWMAN}" * 27), "1 to 80"),
        ("k.homes.example", Terms(deny="two\nlines"), "one line"),
        ("*", Terms("within", "lock.homes.example", deny="no"), "say --homes"),
        ("*", Terms("within", "homes.example", deny="no", homes=True), "below the zone's"),
        ("*", Terms("within", "lock.example", deny="no", homes=True), "outside the zone"),
        ("*", Terms("within", "l*ck.homes.example", deny="no", homes=True), "only at the end"),
        ("*", Terms("within", "a.b*.homes.example", deny="no", homes=True), "only at the end"),
        ("*", Terms(deny="no", tenant="isp"), "say --homes"),
        ("*", Terms(deny="no", homes=True, tenant="isp"), "no tenant isp"),
        ("k.homes.example", Terms(addresses=("10.0.0.0/8",)), "Only denials can be of addresses"),
        ("*", Terms(deny="no", addresses=()), "1 to 64 networks"),
        ("*", Terms(deny="no", addresses=("10.0.0.1/8",)), "bits behind its prefix"),
        ("*", Terms(deny="no", addresses=("ten",)), "no address or prefix"),
        ("*", Terms(deny="no", types=("A(2)",), addresses=("private",)), "without numbers"),
        ("*", Terms(deny="no", types=("MX",), addresses=("private",)), "for A and AAAA"),
        ("k.homes.example", Terms(deny="two\N{LINE SEPARATOR}lines"), "one line"),
        ("k.homes.example", Terms(deny="\x1b[2Jhidden"), "control characters"),
        ("k.homes.example", Terms(deny="\N{RIGHT-TO-LEFT OVERRIDE}x"), "control characters"),
        ("*", Terms(), "can only be denied"),
        ("k.homes.example", Terms(deny="no", homes=True), "binds everybody"),
        ("k.homes.example", Terms(homes=True), "binds everybody"),
        ("*", Terms(homes=True), "can only be denied"),
        ("none.example", Terms(), "no key none.example."),
    ],
)  # fmt: skip
async def test_a_rule_that_cannot_be_is_refused_with_the_reason(admin, registry, key, terms, says):
    with pytest.raises(CannotDo) as caught:
        await grants.add(admin, grants.read_key(key), REGISTRY, terms)

    assert says in str(caught.value)
    assert await grants.listing(admin) == []


async def test_the_database_refuses_what_no_rule_can_be(admin, registry, owner):
    """Its constraints say the same as the program."""
    await grants.add(admin, KEY, REGISTRY, Terms(types=("A", "TXT")))

    for change, constraint in [
        ("rule = 'all'", "grant_by_unknown_rule"),
        ("counts = '{1}'", "grant_that_counts_other_types"),
        ("counts = '{0,0}'", "grant_that_counts_other_types"),
        ("counts = '{-1,2}'", "grant_that_counts_other_types"),
        ("types = NULL, counts = '{1}'", "grant_that_counts_other_types"),
        ("min_assurance = 'much'", "grant_of_unknown_assurance"),
        ("credential = NULL", "grant_to_everybody"),
        ("denied = ''", "denial_without_reason"),
        ("homes = true", "grant_in_homes_by_one_key"),
        ("rule = 'within'", "grant_within_no_homes"),
        ("tenant = 1", "grant_that_is_no_denial"),
        ("addresses = '{10.0.0.0/8}'", "grant_that_is_no_denial"),
        ("addresses = '{}', denied = 'no'", "grant_of_no_addresses"),
    ]:
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            async with owner.transaction():
                await owner.execute(f"UPDATE grants SET {change}")
        assert caught.value.diag.constraint_name == constraint
    for rule in RULES:
        if rule != "within":  # a denial's alone
            await owner.execute("UPDATE grants SET rule = %s", (rule,))
    for level in ASSURANCES:
        await owner.execute("UPDATE credentials SET assurance = %s", (level,))
        await owner.execute("UPDATE grants SET min_assurance = %s", (level,))


async def test_denials_for_everybody_reach_the_zones_that_they_are_for(admin, registry, conn):
    """A zone's own reach that zone; those for homes all homes below and not the registry's zone."""
    await grants.add(admin, None, REGISTRY, Terms(deny="in homes", homes=True))
    await grants.add(admin, None, REGISTRY, Terms(deny="in the registry"))
    await grants.add(admin, None, SMITH, Terms(deny="at smith's"))
    await grants.add(admin, KEY, SMITH, Terms(deny="one key's"))
    ids = {await number_of(admin, one): one for one in (REGISTRY, SMITH, JONES)}

    found = await stored.for_everybody(conn, ids)

    assert {ids[zone]: sorted(one.denied for one in some) for zone, some in found.items()} == {
        REGISTRY: ["in the registry"],
        SMITH: ["at smith's", "in homes"],
        JONES: ["in homes"],
    }
    assert await stored.for_everybody(conn, []) == {}


async def test_a_denial_within_homes_stands_in_each_and_one_of_a_tenant_in_its_own(admin, registry, conn):
    isp = await tenants.add(admin, "isp")
    await tenants.allow(admin, "isp", REGISTRY)
    async with admin.transaction():
        await entered(admin, isp.id)
        theirs = await zones.insert(admin, n("doe.homes.example."), "none", 13, registry)
        await homes.insert(admin, theirs)
    await grants.add(admin, None, REGISTRY, Terms("within", "lock.homes.example", deny="lock", homes=True))
    await grants.add(admin, None, REGISTRY, Terms(deny="isp", types=("MX",), homes=True, tenant="isp"))
    ids = [await number_of(admin, one) for one in (REGISTRY, SMITH)]

    found = await stored.for_everybody(conn, [*ids, theirs])

    assert {zone: sorted((one.denied, one.rule, one.name) for one in some) for zone, some in found.items()} == {
        ids[1]: [("lock", "within", n("lock.smith.homes.example."))],
        theirs: [("isp", "zone", REGISTRY), ("lock", "within", n("lock.doe.homes.example."))],
    }
    listed = {one.grant.denied: one.tenant for one in await grants.listing(admin)}
    assert listed == {"lock": "", "isp": "isp"}


async def test_a_check_knows_what_is_denied_within_homes(admin, registry):
    """Of a key's assurance: a lock's name takes keys in hardware alone."""
    await grants.add(admin, KEY, SMITH, Terms())
    terms = Terms("within", "lock.homes.example", min_assurance="attested", deny="locks need hardware", homes=True)
    await grants.add(admin, None, REGISTRY, terms)

    (refused,) = await grants.check(admin, KEY, n("a.lock.smith.homes.example."), A)
    (other,) = await grants.check(admin, KEY, n("cam.smith.homes.example."), A)
    await keys.assure(admin, KEY, "attested")
    (allowed,) = await grants.check(admin, KEY, n("a.lock.smith.homes.example."), A)

    assert refused.decision.refusal.code == "denied-by-rule"
    assert "needs the assurance attested" in refused.decision.refusal.text
    assert (other.decision.refusal, allowed.decision.refusal) == (None, None)


async def test_a_key_for_certificates_is_made_with_its_rules_or_not_at_all(admin, registry):
    hosts = [n("cam.smith.homes.example."), n("x.homes.example."), n("cam.smith.homes.example.")]

    made = await grants.add_acme(admin, SEALER, n("acme.example."), "hmac-sha512", Secret(b"t" * 64), hosts)

    key = await live(admin, n("acme.example."))
    assert [(origin, rule.name) for origin, rule in made] == [(SMITH, hosts[0]), (REGISTRY, hosts[1])]
    assert [one.terms for one in key.grants] == [rule for _, rule in made]
    assert {(one.rule, one.types) for one in key.grants} == {("acme", frozenset({TXT}))}
    with pytest.raises(CannotDo, match=r"No zone here holds www\.elsewhere"):
        await grants.add_acme(admin, SEALER, n("b."), "hmac-sha512", Secret(b"t"), [hosts[0], n("www.elsewhere.")])
    with pytest.raises(CannotDo, match="is the name of a home"):
        await grants.add_acme(admin, SEALER, SMITH, "hmac-sha512", Secret(b"t"), [hosts[0]])
    with pytest.raises(CannotDo, match="already"):
        await grants.add_acme(admin, SEALER, n("acme.example."), "hmac-sha512", Secret(b"t"), [hosts[0]])
    assert {one.credential.name for one in await credentials.listing(admin)} == {KEY, n("acme.example.")}


async def test_a_check_says_by_which_rule(admin, registry):
    """Of the nearest zone above the name, or of the one that is named."""
    await grants.add(admin, KEY, SMITH, Terms(name="cam.smith.homes.example", types=("A(2)",)))
    await grants.add(admin, None, REGISTRY, Terms("name", "cam.smith.homes.example", ("A(1)",), deny="1", homes=True))
    (granted, denied) = sorted(one.id for one in await grants.listing(admin))

    (found,) = await grants.check(admin, KEY, n("cam.smith.homes.example."), A)
    (refused,) = await grants.check(admin, KEY, n("cam.smith.homes.example."), TXT)
    (outside,) = await grants.check(admin, KEY, n("cam.smith.homes.example."), A, REGISTRY)

    assert (found.zone.origin, found.decision.refusal) == (SMITH, None)
    assert [one.id for one in found.decision.grants] == [granted]
    assert (found.decision.most, found.decision.bounded_by.id) == (1, denied)
    assert refused.decision.refusal.code == "name-not-granted"
    assert outside.decision.refusal.code == "zone-not-granted"
    with pytest.raises(CannotDo, match="No zone here holds"):
        await grants.check(admin, KEY, n("elsewhere."), A)
    with pytest.raises(CannotDo, match="no key"):
        await grants.check(admin, n("none."), SMITH, A)


async def test_a_rule_is_taken_back_by_its_number(admin, registry):
    await grants.add(admin, KEY, REGISTRY, Terms())
    await grants.add(admin, None, REGISTRY, Terms(deny="no"))
    first, second = sorted(one.id for one in await grants.listing(admin))

    assert (await grants.remove_number(admin, first)).key == KEY
    assert (await grants.remove_number(admin, second)).key is None
    with pytest.raises(CannotDo, match=f"There is no rule {first}"):
        await grants.remove_number(admin, first)


async def test_an_assurance_comes_with_the_key_and_can_be_said_anew(admin, registry):
    assert (await live(admin)).assurance == "manual"

    assert await keys.assure(admin, KEY, "attested") == 1

    assert (await live(admin)).assurance == "attested"
    with pytest.raises(CannotDo, match="no key"):
        await keys.assure(admin, n("none."), "open")


# -- ddns apply

ZONE = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
TABLES = """
[[key]]
name = "k.example."
algorithm = "hmac-sha256"
secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
{assurance}
[[zone]]
name = "a.test."
file = "a.zone"
denial = "none"
grants = [{grants}]
"""
GRANTS = [
    '{ key = "k.example." }',
    '{ key = "k.example.", rule = "name", name = "x.a.test.", types = ["A(2)", "TXT"] }',
    '{ key = "k.example.", rule = "acme", name = "x.a.test.", min_assurance = "token" }',
    '{ key = "k.example.", rule = "wildcard", name = "*.x.a.test.", deny = "reserved" }',
    '{ key = "*", types = ["MX"], deny = "no mail", homes = true }',
    '{ key = "*", rule = "within", name = "lock.a.test.", deny = "lock", homes = true, addresses = ["private"] }',
]


@pytest.fixture
def bring(admin, tmp_path):
    """What applies a file with these grants."""
    (tmp_path / "a.zone").write_text(ZONE)

    async def run(some, assurance="", **options):
        path = tmp_path / "registry.toml"
        path.write_text(TABLES.format(grants=", ".join(some), assurance=assurance))
        return await apply.apply(admin, SEALER, registry_file.read(path), WHO, **options)

    return run


async def test_a_file_brings_every_kind_of_rule_and_changes_nothing_twice(admin, bring):
    planned = await bring(GRANTS, dry_run=True)
    first = await bring(GRANTS)
    second = await bring(GRANTS)

    assert planned.actions == first.actions
    assert second.actions == []
    assert second.kept["grant"] == len(GRANTS)
    listed = {(one.key, one.grant.rule, one.grant.most, one.grant.denied) for one in await grants.listing(admin)}
    assert listed == {
        (n("k.example."), "zone", (), None),
        (n("k.example."), "name", ((A, 2),), None),
        (n("k.example."), "acme", (), None),
        (n("k.example."), "wildcard", (), "reserved"),
        (None, "zone", (), "no mail"),
        (None, "within", (), "lock"),
    }


async def test_what_a_file_leaves_out_is_taken_back_and_what_it_changes_is_changed(admin, bring):
    await bring(GRANTS)

    done = await bring([GRANTS[0], GRANTS[1].replace("A(2)", "A(3)"), GRANTS[4].replace("no mail", "never")])

    verbs = sorted((one.verb, one.detail.split(" on ")[0]) for one in done.actions)
    assert verbs == [
        ("add", "denied to everybody"), ("add", "to k.example."), ("remove", "denied to everybody"),
        ("remove", "denied to everybody"),
        ("remove", "denied to k.example."), ("remove", "to k.example."), ("remove", "to k.example."),
    ]  # fmt: skip
    assert len(await grants.listing(admin)) == 3


async def test_a_home_keeps_its_own_right_but_not_its_own_denials(admin, bring):
    """The right that enrolment gave is not the file's; a denial is a rule like any other."""
    await bring([])
    zone = await number_of(admin, n("a.test."))
    await homes.insert(admin, zone)
    own = [Grant(zone, n("a.test."), rule="zone"), Grant(zone, n("a.test."), rule="zone", denied="no")]
    await credentials.insert(admin, n("a.test."), "sig0", "13", public=b"k", home=zone, grants=own)

    done = await bring([])

    assert [(one.verb, one.detail) for one in done.actions] == [("remove", "denied to a.test. on a.test. (zone)")]


async def test_a_file_may_say_the_assurance_of_its_keys(admin, bring):
    """What it does not say stays as it is."""
    await bring([], 'assurance = "voucher"')
    said = await bring([], 'assurance = "qr"')
    silent = await bring([])

    assert [(one.verb, one.noun, one.detail) for one in said.actions] == [("change", "key", "assurance qr")]
    assert silent.actions == []
    assert (await live(admin, n("k.example."))).assurance == "qr"


@pytest.mark.parametrize(
    ("grant", "says"),
    [
        ('{ key = "k.example.", rule = "every" }', "the grant for the key k.example.: The rule 'every' is not known"),
        ('{ key = "k.example.", min_assurance = "high" }', "The assurance 'high' is not known"),
        ('{ key = "k.example.", types = ["A(x)"] }', "no record type"),
        ('{ key = "k.example.", deny = "" }', "needs its reason"),
        ('{ key = "*" }', "can only be denied"),
        ('{ key = "k.example.", subtree = "x" }', "there is no setting subtree"),
        ('{ key = "k.example.", homes = 1 }', "homes: expected"),
    ],
)
async def test_an_error_in_a_rule_names_the_table_and_the_key(bring, grant, says):
    with pytest.raises(CannotDo) as caught:
        await bring([grant])

    assert says in str(caught.value)
    assert "number 1" in str(caught.value)


# -- the migration


@pytest.fixture
def old(postgres, empty_database):
    """A database from before the rules, with keys and grants of every kind that there was."""
    dsn = postgres.dsn(OWNER, empty_database)
    schema.upgrade(dsn, "0002")
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO zones (origin, denial, algorithm) VALUES ('\\x61', 'none', 13)")
        conn.execute(
            "INSERT INTO invitations (zone, label, expires_at, spent_at, home) VALUES (1, '', now(), now(), 1)"
        )
        conn.execute(
            """
            INSERT INTO credentials (name, kind, algorithm, public, secret, home, invitation)
            VALUES ('\\x01', 'tsig', 'hmac-sha256', NULL, 's', NULL, NULL), ('\\x02', 'sig0', '13', 'k', NULL, 1, NULL),
                   ('\\x03', 'tsig', 'hmac-sha256', NULL, 's', NULL, 1)
            """
        )
        conn.execute(
            """
            INSERT INTO grants (credential, zone, subtree, types)
            VALUES (1, 1, '\\x61', NULL), (1, 1, '\\x6162', NULL), (1, 1, '\\x6162', '{1,28}'), (2, 1, '\\x61', NULL)
            """
        )
    return dsn


def rows(dsn, statement):
    with psycopg.connect(dsn) as conn:
        return conn.execute(statement).fetchall()


def test_old_grants_keep_their_meaning_there_and_back(old):
    """Up, they are rules with the meaning of before; down again they are what they were."""
    old_columns = "SELECT id, credential, zone, subtree, types FROM grants ORDER BY id"
    before = rows(old, old_columns)

    schema.upgrade(old)
    assert rows(old, old_columns) == before
    new = rows(old, "SELECT rule, counts, min_assurance, denied, homes FROM grants ORDER BY id")
    assert new == [(rule, None, None, None, False) for rule in ("zone", "subdomain", "subdomain", "zone")]
    assert rows(old, "SELECT assurance FROM credentials ORDER BY id") == [("manual",), ("token",), ("token",)]

    schema.downgrade(old, "0002")
    assert rows(old, old_columns) == before


def test_on_the_way_back_rights_only_narrow(old):
    """What the older program cannot say is taken away; a denial that it would not heed stops it."""
    schema.upgrade(old)
    with psycopg.connect(old) as conn:
        conn.execute(
            """
            INSERT INTO grants (credential, zone, subtree, types, rule, counts, min_assurance)
            VALUES (1, 1, '\\x63', NULL, 'name', NULL, NULL), (1, 1, '\\x63', '{1}', 'subdomain', '{2}', NULL),
                   (1, 1, '\\x63', NULL, 'subdomain', NULL, 'attested'), (1, 1, '\\x63', '{16}', 'acme', NULL, NULL),
                   (1, 1, '\\x64', NULL, 'wildcard', NULL, NULL), (1, 1, '\\x6162', NULL, 'selfsub', NULL, NULL)
            """
        )
        conn.execute("INSERT INTO grants (zone, subtree, denied) VALUES (1, '\\x61', 'no')")

    with pytest.raises(SchemaProblem, match="knows no deny rules"):
        schema.downgrade(old, "0002")
    with psycopg.connect(old) as conn:
        conn.execute("DELETE FROM grants WHERE denied IS NOT NULL")
    schema.downgrade(old, "0002")

    assert len(rows(old, "SELECT id FROM grants")) == 4


def test_every_word_of_the_language_is_in_the_reference():
    page = (Path(__file__).parents[2] / "docs/reference/policy.md").read_text()

    assert [word for word in (*RULES, *ASSURANCES) if f"`{word}`" not in page] == []
