"""Homes from CSV: the same homes as from JSON, by the policy of the tenant whose they are, twice as once."""

from __future__ import annotations

import io

import pytest
from rows import n
from waiting import wait_for

from ddns.dns.zonefile import read_zone
from ddns.operator import home_policy, tenants
from ddns.operator import zones as operator
from ddns.operator.fault import CannotDo
from ddns.operator.home_csv import Lines
from ddns.operator.home_import import Import, Lane, portions
from ddns.signing.client import SignerClient
from ddns.store import homes, rrsets, zones

ZONE = n("homes.example.")
WHO = "operator:test"
APEX = "@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"


@pytest.fixture
def registry(admin):
    """Make a registry whose zone is not signed, and the tenant isp, who may have homes there; return its id."""

    async def make():
        await operator.bring_in(admin, read_zone(io.BytesIO(APEX.encode()), "x", ZONE), WHO, "none")
        isp = await tenants.add(admin, "isp")
        await tenants.allow(admin, "isp", ZONE)
        return isp.id

    return wait_for(make())


@pytest.fixture
def bring(admin, connected, tmp_path):
    """What brings a CSV file in, for a tenant, and returns the report."""

    async def work(text, tenant=1):
        async def lane():
            return Lane(await connected("ddns_admin"), SignerClient(tmp_path / "none", 0.1, bulk=True))

        lines = Lines(io.BytesIO(text.encode()))
        return await Import(await zones.find(admin, ZONE), WHO, tenant=tenant).run(lines, 1, lane)

    return work


def read(text):
    """Return the lines of JSON with their numbers."""
    source = Lines(io.BytesIO(text if isinstance(text, bytes) else text.encode()))
    return [(number, line.decode()) for portion in portions(source) for number, line in portion.lines]


def test_each_line_keeps_its_number_and_cells_may_have_commas_and_line_breaks():
    text = '\ufefflabel,records\r\n\r\nsmith,"@ 300 A 192.0.2.1\n@ 300 TXT ""a,b"""\r\n\r\njones,\r\n'

    assert read(text) == [
        (4, '{"label":"smith","records":"@ 300 A 192.0.2.1\\n@ 300 TXT \\"a,b\\""}'),
        (6, '{"label":"jones","records":""}'),
    ]


def test_columns_stand_in_any_order_and_a_file_may_have_no_homes():
    assert read("key,label\n,smith\n") == [(2, '{"key":"","label":"smith"}')]
    assert read("label\n") == read("") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label,colour\n", "a column 'colour'"), ("key\nx\n", "needs a column label"), ("label,label\n", "each once"),
        ("label,key\na,b,c\n", "Line 2 has 3 cells, the head 2"), ('label\n"a"b\n', "Line 2 is no CSV"),
        ('label\n"a\n', "no CSV"), (b"label\n\xff\n", "not UTF-8"), ("label\n" + "a" * 300_000 + "\n", "no CSV"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused_in_a_sentence(text, says):
    with pytest.raises(CannotDo, match=says):
        read(text)


async def test_a_file_brings_homes_once_by_the_policy_of_their_tenant(admin, registry, bring):
    await home_policy.change(admin, registry, ZONE, {"reserved": "bank*", "label_least": "3"})
    text = 'label,records\nsmith,"@ 300 A 192.0.2.1"\nm\u00fcller,\nbank-1,\nab,\n'

    first, again = await bring(text, registry), await bring(text, registry)

    assert (first.made, first.refused, again.made, again.there) == (2, 2, 0, 2)
    assert [one.line for one in first.reasons] == [4, 5]
    found = {one.origin: one for one in await homes.listing(admin)}
    assert set(found) == {n("smith.homes.example."), n("xn--mller-kva.homes.example.")}
    cursor = await admin.execute("SELECT tenant, label_shown FROM homes ORDER BY label_shown")
    assert await cursor.fetchall() == [(registry, "m\u00fcller"), (registry, "smith")]
    smith = found[n("smith.homes.example.")].zone
    assert 1 in {one.type for one in await rrsets.read_zone(admin, smith)}


async def test_names_that_look_like_others_are_refused(admin, registry, bring):
    await home_policy.change(admin, 1, ZONE, {"idn": "latin,cyrillic"})
    await bring("label\nscope\n")

    report = await bring("label\n\u0455\u0441\u043e\u0440\u0435\ndoe\n")

    assert (report.made, report.refused) == (1, 1)
    assert "looks like another home" in report.reasons[0].reason


async def test_of_two_lines_that_look_alike_the_first_comes_in(admin, registry, bring):
    await home_policy.change(admin, 1, ZONE, {"idn": "latin,cyrillic"})

    report = await bring("label\nscope\n\u0455\u0441\u043e\u0440\u0435\nmodem\nmodern\n")

    assert (report.made, [one.line for one in report.reasons]) == (3, [3])
    assert "looks like another home" in report.reasons[0].reason


async def test_no_more_homes_come_in_than_the_tenant_may_have(admin, registry, bring):
    await tenants.set_bounds(admin, "isp", {"homes": 1})

    with pytest.raises(CannotDo, match="may have 1 homes"):
        await bring("label\na\nb\n", registry)

    assert await homes.listing(admin) == []
    assert (await bring("label\na\n", registry)).made == 1
