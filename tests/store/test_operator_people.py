"""Keys, grants, invitations and homes as an operator handles them, against a real Postgres."""

from __future__ import annotations

import io

import pytest
from rows import n

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import Grant, Secret
from ddns.auth.sealing import Sealer
from ddns.dns.codes import Type
from ddns.dns.zonefile import read_zone
from ddns.operator import grants, holding, homes, keys, looking, words, zones
from ddns.operator.fault import CannotDo
from ddns.operator.grants import Terms
from ddns.signing.client import SignerClient
from ddns.signing.publish import NO_SIGNER
from ddns.store import credentials, invitations, journal, notify, published, rrsets
from ddns.store import zones as stored

WHO = "operator:test"
REGISTRY = n("homes.example.")
SMITH = n("smith.homes.example.")
SEALER = Sealer(b"k" * 32)
NOW = 1_800_000_000
TEXT = b"$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"


@pytest.fixture
def signer(tmp_path):
    """A client of a signer that is away."""
    return SignerClient(tmp_path / "none.sock", 0.1)


@pytest.fixture
def registry(admin):
    """What makes the registry's zone, not signed unless said otherwise, and returns its row."""

    async def make(denial="none"):
        await zones.bring_in(admin, read_zone(io.BytesIO(TEXT), "x", REGISTRY), WHO, denial)
        return await stored.find(admin, REGISTRY)

    return make


@pytest.fixture
def public():
    return sig0_keys.key_rdata(sig0_keys.ec.generate_private_key(sig0_keys.ec.SECP256R1()))


async def live(admin, name):
    return (await credentials.by_names(admin, [name], SEALER.open)).get(name, ())


async def test_a_shared_secret_is_stored_sealed_and_the_servers_hear_of_it(admin, owner):
    await owner.execute("LISTEN ddns_keys")

    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"s" * 32))

    (key,) = await live(admin, n("k.example."))
    assert (key.kind, key.algorithm, key.secret) == ("tsig", "hmac-sha256", Secret(b"s" * 32))
    row = await (await owner.execute("SELECT secret FROM credentials")).fetchone()
    assert b"s" * 8 not in row[0]
    (heard,) = [one async for one in owner.notifies(timeout=20, stop_after=1)]
    assert notify.read_key(heard.payload) == n("k.example.")


async def test_a_name_has_one_shared_secret(admin):
    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"s" * 32))

    with pytest.raises(CannotDo, match="revoke it first"):
        await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha512", Secret(b"t" * 32))


async def test_a_name_may_have_several_public_keys_but_none_twice(admin, public):
    other = sig0_keys.key_rdata(sig0_keys.ed25519.Ed25519PrivateKey.generate())
    await keys.add_sig0(admin, NO_SIGNER, SMITH, public, WHO)
    await keys.add_sig0(admin, NO_SIGNER, SMITH, other, WHO)

    with pytest.raises(CannotDo, match="here already"):
        await keys.add_sig0(admin, NO_SIGNER, SMITH, public, WHO)

    assert {(key.algorithm, key.tag) for key in await live(admin, SMITH)} == {
        ("13", sig0_keys.key_tag(public)), ("15", sig0_keys.key_tag(other)),
    }  # fmt: skip


async def test_a_revoked_key_is_gone_and_its_name_is_free(admin):
    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"s" * 32))

    assert (await keys.revoke(admin, NO_SIGNER, n("k.example."), "why", WHO, NOW)).count == 1

    assert await live(admin, n("k.example.")) == ()
    with pytest.raises(CannotDo, match="no key"):
        await keys.revoke(admin, NO_SIGNER, n("k.example."), "why", WHO, NOW)
    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"t" * 32))
    assert len(await keys.listing(admin)) == 1
    assert len(await keys.listing(admin, revoked=True)) == 2


@pytest.mark.parametrize("text", ["", "%%%", "c2Vj\u00e9", "QQ==" * 2000, "A"])
def test_a_secret_that_is_none_is_refused_without_showing_it(text):
    with pytest.raises(CannotDo) as caught:
        keys.read_secret(text)

    assert not text or text not in str(caught.value)


def test_a_made_secret_is_as_long_as_its_hash():
    for algorithm, size in keys.SECRET_SIZES.items():
        assert len(keys.made_secret(algorithm).reveal()) == size


@pytest.mark.parametrize(("text", "algorithm"), [("hmac-sha256", "hmac-sha256"), ("SHA512.", "hmac-sha512")])
def test_algorithms_are_read(text, algorithm):
    assert keys.read_algorithm(text) == algorithm


def test_md5_is_refused():
    with pytest.raises(CannotDo, match="choose hmac-sha1, hmac-sha224"):
        keys.read_algorithm("hmac-md5")


async def test_a_grant_is_given_once_and_taken_back(admin, registry):
    zone = await registry()
    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"s" * 32))

    terms = Terms(name="smith.homes.example", types=("A",))
    first, _ = await grants.add(admin, n("k.example."), REGISTRY, terms)
    second, _ = await grants.add(admin, n("k.example."), REGISTRY, terms)
    (held,) = (await live(admin, n("k.example.")))[0].grants
    removed = await grants.remove(admin, n("k.example."), REGISTRY, Terms())

    assert (first, second, removed) == (True, False, 1)
    assert held.terms == Grant(zone.id, SMITH, frozenset({Type.A}))
    assert await grants.listing(admin) == []


async def test_a_grant_that_cannot_be_is_refused(admin, registry):
    await registry()
    await keys.add_tsig(admin, SEALER, n("k.example."), "hmac-sha256", Secret(b"s" * 32))

    with pytest.raises(CannotDo, match="outside the zone"):
        await grants.add(admin, n("k.example."), REGISTRY, Terms(name="other.example"))
    with pytest.raises(CannotDo, match="no key"):
        await grants.add(admin, n("none.example."), REGISTRY, Terms())
    with pytest.raises(CannotDo, match="no zone"):
        await grants.add(admin, n("k.example."), n("none.example."), Terms())
    with pytest.raises(CannotDo, match="no such grant"):
        await grants.remove(admin, n("k.example."), REGISTRY, Terms())


@pytest.mark.parametrize(
    ("text", "says"), [("A,FOO", "no record type"), ("ANY", "is no data"), ("RRSIG", "belongs to the signer")]
)
def test_types_that_cannot_be_granted_are_refused(text, says):
    with pytest.raises(CannotDo, match=says):
        words.read_types(text.split(","))


async def test_an_invitation_is_a_key_that_may_do_one_thing(admin, registry):
    zone = await registry()

    invited = await homes.invite(admin, SEALER, zone, SMITH, NOW + 100, NOW)

    (key,) = await live(admin, invited.key)
    found = await invitations.lock_live(admin, key.invitation, NOW)
    assert (key.secret, key.grants, key.home) == (invited.secret, (), None)
    assert (found.label, found.zone, found.expires_at) == (SMITH, zone.id, NOW + 100)
    with pytest.raises(CannotDo, match="allows one enrolment"):
        await grants.add(admin, invited.key, REGISTRY, Terms())


async def test_a_home_is_invited_once_until_the_invitation_expires_or_is_withdrawn(admin, registry):
    zone = await registry()
    first = await homes.invite(admin, SEALER, zone, SMITH, NOW + 100, NOW)

    with pytest.raises(CannotDo, match="invited already"):
        await homes.invite(admin, SEALER, zone, SMITH, NOW + 100, NOW)
    second = await homes.invite(admin, SEALER, zone, SMITH, NOW + 300, NOW + 100)
    await homes.withdraw(admin, SMITH)

    assert await live(admin, first.key) == ()
    assert await live(admin, second.key) == ()
    assert await homes.listing(admin) == ([], [])


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("_dmarc", "begins with _"), ("www", "reserved"), ("NS", "reserved"), ("mail", "reserved"),
        ("smtp", "reserved"),
        ("-x", "letters, digits"), ("x-", "letters, digits"), ("a b", "letters, digits"), ("", "letters, digits"),
        ("x" * 64, "letters, digits"), ("*", "letters, digits"), ("\u65e5\u672c", "takes those of latin"),
        ("ab--c", "third and fourth"),
        ("xn--", "A-label"), ("xn--abc-", "A-label"), ("xn--zzzzzz99999", "A-label"),
    ],
)  # fmt: skip
def test_a_label_that_no_home_may_have_is_refused(label, says):
    with pytest.raises(CannotDo, match=says):
        words.read_label(label)


@pytest.mark.parametrize("label", ["smith", "Smith", "7", "a-b", "x" * 63, "xn--mller-kva"])
def test_other_labels_are_read(label):
    assert words.read_label(label) == label.lower().encode()


def test_a_label_is_read_in_letters_of_its_own():
    assert words.read_label("M\u00fcller") == b"xn--mller-kva"


@pytest.mark.parametrize("zone", ["home.arpa.", "x.service.arpa.", "local.", "a.onion.", "invalid.", "localhost."])
async def test_no_home_is_put_below_a_special_use_name(admin, zone):
    await zones.bring_in(admin, read_zone(io.BytesIO(TEXT), "x", n(zone)), WHO, "none")

    with pytest.raises(CannotDo, match="special-use name"):
        await homes.find_registry(admin, "smith", zone)


async def test_the_registry_is_found_where_there_is_one_or_it_is_named(admin, registry, signer):
    with pytest.raises(CannotDo, match="no zone yet"):
        await homes.find_registry(admin, "smith", None)
    zone = await registry()

    assert await homes.find_registry(admin, "smith", None) == (zone, SMITH)
    assert await homes.find_registry(admin, "smith.homes.example.", None) == (zone, SMITH)
    await zones.bring_in(admin, read_zone(io.BytesIO(TEXT), "x", n("b.example.")), WHO, "none")
    with pytest.raises(CannotDo, match="say which with --zone"):
        await homes.find_registry(admin, "smith", None)
    assert await homes.find_registry(admin, "smith", "homes.example") == (zone, SMITH)
    await homes.add(admin, signer, zone, SMITH, None, WHO)
    assert (await homes.find_registry(admin, "jones", None))[1] == n("jones.homes.example.")


async def test_a_home_has_a_zone_a_key_and_a_delegation(admin, registry, signer, public):
    zone = await registry()

    made = await homes.add(admin, signer, zone, SMITH, public, WHO)

    home = (await looking.look(admin, SMITH, NOW)).zone
    assert (home.parent, home.home, home.denial, home.edition) == (zone.id, True, "none", 1)
    assert made.pending == ()
    shown = {one.type: one.rdatas for one in await published.read_zone(admin, home.id)}
    assert shown[Type.KEY] == (public,)
    assert shown[Type.NS] == (n("ns1.homes.example."),)
    cut = (await published.read_names(admin, [(zone.id, SMITH)]))[zone.id, SMITH]
    assert [(one.type, one.rdatas) for one in cut] == [(Type.NS, (n("ns1.homes.example."),))]
    (key,) = await live(admin, SMITH)
    assert (key.home, key.public) == (home.id, public)
    assert (await stored.find(admin, REGISTRY)).serial == 2
    assert len(await journal.since(admin, zone.id, 0, 10)) == 2


async def test_with_the_signer_away_a_home_waits_for_it(admin, registry, signer):
    zone = await registry("nsec3")

    made = await homes.add(admin, signer, zone, SMITH, None, WHO)

    assert set(made.pending) == {zone.id, made.zone}
    assert (await stored.find(admin, SMITH)).signed_pending


async def test_a_name_that_is_taken_is_no_home(admin, registry, signer):
    zone = await registry()
    await homes.add(admin, signer, zone, SMITH, None, WHO)

    with pytest.raises(CannotDo, match="given already"):
        await homes.add(admin, signer, zone, SMITH, None, WHO)
    with pytest.raises(CannotDo, match="given already"):
        await homes.invite(admin, SEALER, zone, SMITH, NOW + 9, NOW)
    with pytest.raises(CannotDo, match="has records at ns1"):
        await homes.invite(admin, SEALER, zone, n("ns1.homes.example."), NOW + 9, NOW)


async def test_a_registry_with_homes_is_not_removed(admin, registry, signer):
    await homes.add(admin, signer, await registry(), SMITH, None, WHO)

    with pytest.raises(CannotDo, match="still delegates homes"):
        await zones.remove(admin, REGISTRY)


async def test_a_removed_home_leaves_nothing_but_its_journal(admin, registry, signer, public):
    zone = await registry()
    made = await homes.add(admin, signer, zone, SMITH, public, WHO)

    await homes.remove(admin, signer, SMITH, WHO)

    assert await stored.find(admin, SMITH) is None
    assert await live(admin, SMITH) == ()
    assert (zone.id, SMITH) not in await rrsets.read_names(admin, [(zone.id, SMITH)])
    assert (zone.id, SMITH) not in await published.read_names(admin, [(zone.id, SMITH)])
    assert len(await journal.since(admin, made.zone, 0, 10)) == 1
    with pytest.raises(CannotDo, match="is no home"):
        await homes.remove(admin, signer, REGISTRY, WHO)


async def test_a_suspended_home_is_released_again(admin, registry, signer):
    await homes.add(admin, signer, await registry(), SMITH, None, WHO)

    async def hold(name, state, reason="a reason"):
        return await holding.hold(admin, signer, name, state, reason, WHO, NOW)

    assert (await hold(SMITH, holding.SUSPENDED)).home == "suspended"
    assert await hold(SMITH, holding.SUSPENDED) is None
    assert (await stored.find(admin, SMITH)).suspended
    assert (await hold(SMITH, holding.RELEASED)).home in ("active", "keyless")
    assert await hold(SMITH, holding.RELEASED) is None
    assert not (await stored.find(admin, SMITH)).suspended
    for reason in ("", " ", "x" * 401, "two\nlines"):
        with pytest.raises(CannotDo, match="reason"):
            await hold(SMITH, holding.SUSPENDED, reason)
    with pytest.raises(CannotDo, match="is no home"):
        await hold(REGISTRY, holding.SUSPENDED)
    events = await holding.history(admin, SMITH)
    assert [(one.event, one.who, one.why) for one in events if one.event != "enrol"] == [
        ("suspend", WHO, "a reason"),
        ("release-hold", WHO, "a reason"),
    ]
    assert await holding.history(admin, SMITH, events[-1].id) == []


async def test_a_home_in_quarantine_is_not_delegated_and_comes_back(admin, registry, signer):
    zone = await registry()
    await homes.add(admin, signer, zone, SMITH, None, WHO)
    before = await rrsets.read_names(admin, [(zone.id, SMITH)])

    await holding.hold(admin, signer, SMITH, holding.QUARANTINED, "it sends spam", WHO, NOW)

    assert await rrsets.read_names(admin, [(zone.id, SMITH)]) == {}
    cursor = await admin.execute("SELECT convert_from(body, 'UTF8') FROM outbox WHERE kind = 'home.held'")
    ((told,),) = await cursor.fetchall()
    assert "it sends spam" in told
    await holding.hold(admin, signer, SMITH, holding.RELEASED, "it does so no more", WHO, NOW + 1)
    assert await rrsets.read_names(admin, [(zone.id, SMITH)]) == before


async def test_a_key_called_like_a_home_belongs_to_it_and_goes_when_it_goes(admin, registry, signer, public):
    zone = await registry()
    made = await homes.add(admin, signer, zone, SMITH, None, WHO)

    assert (await keys.add_sig0(admin, NO_SIGNER, SMITH, public, WHO)).home
    assert await keys.add_tsig(admin, SEALER, SMITH, "hmac-sha256", Secret(b"s" * 32))

    assert [key.home for key in await live(admin, SMITH)] == [made.zone, made.zone]
    assert len((await looking.look(admin, SMITH, NOW)).keys) == 2
    await homes.remove(admin, signer, SMITH, WHO)
    assert await live(admin, SMITH) == ()
