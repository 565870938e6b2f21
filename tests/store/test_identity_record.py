"""The KEY record of the server's own SIG(0) key: put where the server's name is, beside what others have there."""

import io

import pytest
from rows import n

from ddns.auth import keys
from ddns.auth.identity import Identity
from ddns.dns.codes import Type
from ddns.dns.zonefile import read_zone
from ddns.operator import identity, zones
from ddns.operator.fault import CannotDo
from ddns.store import journal, rrsets

NAME = n("ns1.exam.test.")
TEXT = (
    "$TTL 300\n@ SOA ns1 hostmaster 5 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\nalias CNAME ns1\ncut NS ns1\n"
)
OURS, OTHERS = (Identity(bytes([seed]) * 32, NAME) for seed in range(2))


async def add(admin):
    text = read_zone(io.BytesIO(TEXT.encode()), "exam.zone", n("exam.test."), keep_signatures=True)
    return (await zones.bring_in(admin, text, "operator:test", "none")).zone


async def test_it_is_published_with_the_rights_of_a_worker_and_journalled_once(admin, conn):
    zone = await add(admin)

    assert await identity.keep(conn, NAME, OURS.public) == zone
    assert await identity.keep(conn, NAME, OURS.public) == 0

    entries = await journal.since(admin, zone, 0, 10)
    assert [one.principal for one in entries] == ["operator:test", identity.PRINCIPAL]


async def test_another_servers_key_stays_beside_ours(admin, conn):
    zone = await add(admin)
    await identity.keep(conn, NAME, OTHERS.public)
    await identity.keep(conn, NAME, OURS.public)

    found = (await rrsets.read_names(admin, [(zone, NAME)]))[zone, NAME]
    published = next(one.rdatas for one in found if one.type == Type.KEY)
    assert set(published) == {OURS.public, OTHERS.public}
    assert all(keys.check(rdata) for rdata in published)


@pytest.mark.parametrize(
    ("name", "why"),
    [("ns1.other.test.", "No zone here"), ("alias.exam.test.", "alias"), ("ns1.cut.exam.test.", "delegated")],
)
async def test_where_it_cannot_stand_a_sentence_says_why(admin, conn, name, why):
    await add(admin)

    with pytest.raises(CannotDo, match=why):
        await identity.keep(conn, n(name), OURS.public)
