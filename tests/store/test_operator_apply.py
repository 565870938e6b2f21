"""`ddns apply` against a real Postgres: what the file says comes to be, and a second run changes nothing."""

from __future__ import annotations

import base64
import time

import pytest
from rows import a, n

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns.codes import Type
from ddns.operator import apply, grants, registry_file
from ddns.operator.fault import CannotDo
from ddns.store import credentials, homes, journal, rrsets, signing, zones
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.jobs import SealedKey

SEALER = Sealer(b"k" * 32)
WHO = "operator:test"
ZONE = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
SECRET = base64.b64encode(b"s" * 32).decode()
KEY = f'[[key]]\nname = "k.example."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n'


def zone(name, denial="none", **more):
    lines = [f'[[zone]]\nname = "{name}"\nfile = "{name}zone"\ndenial = "{denial}"']
    return "\n".join([*lines, *(f"{key} = {value}" for key, value in more.items())]) + "\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.test.zone").write_text(ZONE)
    (tmp_path / "b.test.zone").write_text(ZONE)
    return tmp_path


@pytest.fixture
def bring(admin, folder):
    """What applies a file's text."""

    async def run(text, **options):
        path = folder / "registry.toml"
        path.write_text(text)
        return await apply.apply(admin, SEALER, registry_file.read(path), WHO, **options)

    return run


def verbs(done):
    return [(one.verb, one.noun, one.name) for one in done.actions]


async def test_keys_zones_and_grants_come_to_be(admin, bring):
    grant = '[{ key = "k.example." }, { key = "k.example.", name = "x.a.test.", types = ["A", "TXT"] }]'

    done = await bring(KEY + zone("a.test.", grants=grant) + zone("b.test.", "nsec3"))

    assert verbs(done) == [
        ("add", "key", "k.example."), ("add", "zone", "a.test."), ("add", "zone", "b.test."),
        ("add", "grant", "a.test."), ("add", "grant", "a.test."),
    ]  # fmt: skip
    (key,) = (await credentials.by_names(admin, [n("k.example.")], SEALER.open))[n("k.example.")]
    assert key.secret == Secret(b"s" * 32)
    assert {(one.name, one.types) for one in key.grants} == {
        (n("a.test."), None), (n("x.a.test."), frozenset({Type.A, Type.TXT})),
    }  # fmt: skip
    unsigned, signed = await zones.find(admin, n("a.test.")), await zones.find(admin, n("b.test."))
    assert (unsigned.edition, unsigned.signed_pending) == (1, False)
    assert (signed.edition, signed.signed_pending) == (0, True)
    assert done.pending == [signed.id]


async def test_a_second_run_changes_nothing(admin, bring):
    text = KEY + zone("a.test.", grants='[{ key = "k.example." }]') + zone("b.test.", "nsec3")
    await bring(text)

    done = await bring(text)

    assert done.actions == []
    assert done.pending == []
    assert dict(done.kept) == {"key": 1, "zone": 2, "grant": 1}
    assert {one.head for one in await zones.listing(admin)} == {1}


async def test_a_dry_run_tells_the_same_and_does_nothing(admin, bring):
    text = KEY + zone("a.test.", grants='[{ key = "k.example." }]')

    planned = await bring(text, dry_run=True)

    assert await zones.listing(admin) == []
    assert await credentials.listing(admin) == []
    done = await bring(text)
    assert planned.actions == done.actions


async def test_a_changed_file_changes_its_zone_alone(admin, bring, folder):
    text = zone("a.test.") + zone("b.test.")
    await bring(text)
    (folder / "a.test.zone").write_text(ZONE + "www A 192.0.2.9\n")

    planned = await bring(text, dry_run=True)
    done = await bring(text)

    assert verbs(planned) == verbs(done) == [("change", "zone", "a.test.")]
    assert (await zones.find(admin, n("a.test."))).serial == 2
    assert (await zones.find(admin, n("b.test."))).serial == 1


async def test_what_updates_wrote_lives_on_while_the_file_stays_the_same(admin, bring):
    await bring(zone("a.test.", "nsec3"))
    found = await zones.find(admin, n("a.test."))
    new = a("cam.a.test.", 7)
    change = ChangeSet((RRsetChange(new.name, Type.A, None, new),))
    await rrsets.apply(admin, [(found.id, change)])
    await journal.append(admin, [journal.Entry(found.id, 2, "tsig:k.", 1, b"digest", change)])

    done = await bring(zone("a.test.", "nsec3"))

    assert done.actions == []
    assert new in await rrsets.read_zone(admin, found.id)


async def test_a_new_secret_keeps_the_grants_of_the_old_one(admin, bring):
    await bring(KEY + zone("a.test.", grants='[{ key = "k.example." }]'))
    other = base64.b64encode(b"t" * 32).decode()

    done = await bring(KEY.replace(SECRET, other))

    assert verbs(done) == [("change", "key", "k.example.")]
    (key,) = (await credentials.by_names(admin, [n("k.example.")], SEALER.open))[n("k.example.")]
    assert key.secret == Secret(b"t" * 32)
    assert [one.name for one in key.grants] == [n("a.test.")]


async def test_a_new_secret_and_its_grants_in_one_file_meet(admin, bring):
    text = KEY + zone("a.test.", grants='[{ key = "k.example." }]')
    await bring(text)
    other = base64.b64encode(b"t" * 32).decode()

    await bring(text.replace(SECRET, other))
    again = await bring(text.replace(SECRET, other))

    assert again.actions == []
    assert len(await grants.listing(admin)) == 1


async def test_grants_that_the_zones_table_leaves_out_are_taken_back(admin, bring):
    await bring(KEY + zone("a.test.", grants='[{ key = "k.example." }]') + zone("b.test.", grants="[]"))

    silent = await bring(zone("a.test."))
    emptied = await bring(zone("a.test.", grants="[]"))

    assert silent.actions == []
    assert verbs(emptied) == [("remove", "grant", "a.test.")]
    assert await grants.listing(admin) == []


async def test_a_key_of_the_registry_may_be_granted_without_being_in_the_file(admin, bring):
    await bring(KEY)

    done = await bring(zone("a.test.", grants='[{ key = "k.example." }]'))

    assert ("add", "grant", "a.test.") in verbs(done)


async def test_a_key_called_like_a_home_is_bound_to_it(admin, bring):
    await bring(zone("a.test."))
    found = await zones.find(admin, n("a.test."))
    await homes.insert(admin, found.id)

    await bring(KEY + KEY.replace("k.example.", "a.test."))

    held = {one.credential.name: one.credential.home for one in await credentials.listing(admin)}
    assert held == {n("k.example."): None, n("a.test."): found.id}


async def test_public_keys_and_secret_files_are_read(admin, bring, folder):
    rdata = sig0_keys.key_rdata(sig0_keys.ed25519.Ed25519PrivateKey.generate())
    public = base64.b64encode(rdata[4:]).decode()
    (folder / "k.secret").write_text(f"{SECRET}\n")
    (folder / "l.key").write_text(f'key "l.example." {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n')

    await bring(
        f'[[key]]\nname = "gw.a.test."\nsig0 = "512 3 15 {public}"\n'
        '[[key]]\nname = "k.example."\nalgorithm = "hmac-sha256"\nsecret_file = "k.secret"\n'
        '[[key]]\nname = "l.example."\nalgorithm = "sha512"\nsecret_file = "l.key"\n'
    )

    held = {one.credential.name: one.credential for one in await credentials.listing(admin)}
    assert held[n("gw.a.test.")].public == rdata
    found = await credentials.by_names(admin, [n("k.example."), n("l.example.")], SEALER.open)
    secrets = [one.secret for keys in found.values() for one in keys]
    assert secrets == [Secret(b"s" * 32), Secret(b"s" * 32)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[zone]]\nname = 3\nfile = 'x'\n", "[zone] number 1 name: expected text in quotes"),
        ("[[zone]]\nname = 'a.test.'\n", "[zone] number 1: file is missing"),
        ("[[zonen]]\n", "no setting zonen; did you mean zone?"),
        (zone("a.test.") + "deniel = 'none'\n", "[zone] number 1: there is no setting deniel; did you mean denial?"),
        (zone("a.test.", grants='[{ kay = "k." }]'), "[zone] number 1 grants number 1: there is no setting kay"),
        ("[[zone]", "is not TOML"),
        (zone("a.test.") + zone("A.test"), "[[zone]] number 2 (A.test): number 1 is the same zone"),
        (KEY + KEY, "[[key]] number 2 (k.example.): number 1 is the same key"),
        (
            KEY + zone("a.test.", "compact", transfer='{ keys = ["k.example."] }'),
            "[[zone]] number 1 (a.test.): a.test. has compact denial and cannot be transferred: what such a zone",
        ),
        (zone("a.test.", "quux"), "[[zone]] number 1 (a.test.): The denial mode 'quux' is not known"),
        (zone("a.test.", algorithm=5), "[[zone]] number 1 (a.test.): Algorithm 5 does not sign here"),
        (zone("a.test.", grants='[{ key = "none." }]'), "the key none. of a grant is neither in the file"),
        (KEY + zone("a.test.", grants='[{ key = "k.example.", name = "b.test." }]'), "b.test. is outside the zone"),
        (KEY + zone("a.test.", grants='[{ key = "k.example.", types = [] }]'), "a grant of no types"),
        (KEY + zone("a.test.", grants='[{ key = "k.example.", types = ["X"] }]'), "'X' is no record type"),
        (zone("none.test."), "[[zone]] number 1 (none.test.): none.test.zone: the zone's file cannot be read"),
        ("[[key]]\nname = 'k.'\n", "[[key]] number 1 (k.): A key needs one of secret, secret_file and sig0"),
        ("[[key]]\nname = 'k.'\nsecret = 'c2Vj'\n", "needs its algorithm"),
        ("[[key]]\nname = 'k.'\nsecret = 'c2Vj'\nalgorithm = 'hmac-md5'\n", "'hmac-md5' is not known"),
        ("[[key]]\nname = 'k.'\nsecret = '!'\nalgorithm = 'hmac-sha256'\n", "The secret is not base64"),
        ("[[key]]\nname = 'k.'\nsecret_file = 'x'\nalgorithm = 'hmac-sha256'\n", "cannot be read"),
        ("[[key]]\nname = 'k.'\nsig0 = '512 3 13 AAAA'\n", "[[key]] number 1 (k.): sig0: a key of algorithm 13"),
        ("[[key]]\nname = 'k.'\nsig0 = 'x'\n", "flags, protocol, algorithm and base64"),
        ("[[key]]\nname = 'k..'\nsig0 = 'x'\n", "no domain name"),
    ],
)
async def test_an_error_names_the_table_and_the_cure(admin, bring, text, says):
    with pytest.raises(CannotDo) as caught:
        await bring(text)

    assert says in str(caught.value)
    assert "registry.toml" in str(caught.value)
    assert await zones.listing(admin) == []


async def test_an_error_in_a_master_file_names_its_line(bring, folder):
    (folder / "a.test.zone").write_text(ZONE + "www A nonsense\n")

    with pytest.raises(
        CannotDo, match=r"number 1 \(a\.test\.\): a\.test\.zone, line 5: nonsense is not data of type A"
    ):
        await bring(zone("a.test."))


async def test_master_files_include_files_beside_them(admin, bring, folder):
    (folder / "zones").mkdir()
    (folder / "zones" / "c.zone").write_text(ZONE + "$INCLUDE more/hosts\n")
    (folder / "zones" / "more").mkdir()
    (folder / "zones" / "more" / "hosts").write_text("$INCLUDE again\n")
    (folder / "zones" / "more" / "again").write_text("www A 192.0.2.9\n")

    await bring('[[zone]]\nname = "c.test."\nfile = "zones/c.zone"\ndenial = "none"\n')

    found = await zones.find(admin, n("c.test."))
    assert n("www.c.test.") in {one.name for one in await rrsets.read_zone(admin, found.id)}


async def test_a_signed_zone_becomes_unsigned_when_the_signer_says_so_and_not_before(admin, bring, owner, folder):
    """Asked for at once it is refused, in words that name the table; on its way, the rest of the file is applied."""
    await bring(zone("b.test.", "nsec3"))
    found = await zones.find(admin, n("b.test."))
    key = SealedKey("7d444840-9dc0-11d1-b245-5ffdce74fad2", 13, 257, 55648, b"\1\1\3\x0d" + bytes(64), b"x")
    await signing.insert_keys(admin, [(found.id, key)])

    with pytest.raises(CannotDo, match=r"number 2 \(b\.test\.\): b\.test\. has a DS at its parent"):
        await bring(zone("a.test.") + zone("b.test."))
    await owner.execute("UPDATE signing SET wish = 'insecure'")
    (folder / "b.test.zone").write_text(ZONE + "www A 192.0.2.9\n")
    on_its_way = await bring(zone("a.test.") + zone("b.test."))
    left = await zones.find(admin, n("b.test."))
    await owner.execute("UPDATE zones SET denial = 'none'")
    await owner.execute("UPDATE signing SET wish = 'secure'")
    there = await bring(zone("a.test.") + zone("b.test."))

    assert verbs(on_its_way) == [("add", "zone", "a.test.")]
    assert "zone-signer plan b.test." in on_its_way.notes[0]
    assert (left.denial, left.head) == ("nsec3", found.head)
    assert verbs(there) == [("change", "zone", "b.test.")]


async def test_a_thousand_zones_take_a_second_or_so(bring, folder, admin):
    text = "".join(zone(f"z{number}.test.", "nsec3", grants='[{ key = "k.example." }]') for number in range(1000))
    for number in range(1000):
        (folder / f"z{number}.test.zone").write_text(ZONE)

    begun = time.process_time()
    done = await bring(KEY + text)
    first = time.process_time() - begun
    again = await bring(KEY + text)

    assert len(done.pending) == len(await zones.listing(admin)) == 1000
    assert again.actions == []
    assert first < 5
