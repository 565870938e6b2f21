"""Homes are found by pages, in order, each once; and a page costs what it shows, however many homes there are."""

from __future__ import annotations

import uuid

import pytest
from rows import n
from waiting import wait_for

from ddns.operator import search, tenants
from ddns.operator.fault import CannotDo
from ddns.store import home_search, homes, zones
from ddns.store.home_search import Wanted
from ddns.store.tenancy import entered

ZONE = n("homes.example.")
LABELS = ["adams", "baker", "bakery", "böhm", "doe", "smith"]


async def put(admin, registry, label, tenant=1, **columns):
    async with admin.transaction():
        await entered(admin, tenant)
        zone = await zones.insert(admin, n(f"{label.encode('idna').decode()}.homes.example."), "none", 13, registry)
        await homes.insert(admin, zone)
        columns = {"label_shown": label} | columns
        sets = ", ".join(f"{key} = %({key})s" for key in columns)
        await admin.execute(f"UPDATE homes SET {sets} WHERE zone = %(zone)s", columns | {"zone": zone})
    return zone


@pytest.fixture
def registry(admin):
    """Make a registry with some homes, and one of another tenant; return the zone's id and that tenant's."""

    async def make():
        zone = await zones.insert(admin, ZONE, "none", 13)
        isp = await tenants.add(admin, "isp")
        await tenants.allow(admin, "isp", ZONE)
        for label in reversed(LABELS):
            await put(admin, zone, label)
        await put(admin, zone, "bakehouse", isp.id)
        return zone, isp.id

    return wait_for(make())


async def found(admin, **wanted):
    return [one.shown for one in (await search.page(admin, Wanted(wanted.pop("tenant", 1), **wanted))).found]


async def test_pages_have_every_home_once_and_in_order(admin, registry):
    for size in (1, 2, 5, 6, 7):
        seen, after = [], ""
        while True:
            page = await search.page(admin, Wanted(1), after, size)
            seen += [one.shown for one in page.found]
            assert len(page.found) <= size
            after = page.after
            if not after:
                break
        assert seen == sorted(LABELS)


async def test_a_search_is_by_the_beginning_of_labels_as_people_read_them(admin, registry):
    assert await found(admin, text="bak") == ["baker", "bakery"]
    assert await found(admin, text=search.read_text("BÖ")) == ["böhm"]
    assert await found(admin, text=search.read_text("xn--bhm-sna")) == ["böhm"]
    assert await found(admin, text="zz") == []
    assert await found(admin, text="bak", tenant=registry[1]) == ["bakehouse"]


async def test_a_search_narrows_down_by_state_owner_box_age_and_zone(admin, registry):
    zone, _ = registry
    owner, box = uuid.uuid4(), uuid.uuid4()
    await admin.execute("INSERT INTO owners (id, created_at) VALUES (%s, now())", [owner])
    await admin.execute("INSERT INTO devices (id, state, first_seen) VALUES (%s, 'owned', now())", [box])
    await admin.execute("INSERT INTO device_identities VALUES (%s, 'idevid', %s)", [box, b"d" * 32])
    await put(admin, zone, "held", state="quarantined", reason="spam")
    await put(admin, zone, "theirs", owner=owner)
    await put(admin, zone, "boxed", device=box, owner=owner)
    await admin.execute("UPDATE homes SET created_at = to_timestamp(1000) WHERE label_shown = 'adams'")

    assert await found(admin, state="quarantined") == ["held"]
    assert await found(admin, state="suspended") == []
    assert len(await found(admin, state="active")) == 8
    assert await found(admin, owner=owner) == ["boxed", "theirs"]
    assert await found(admin, owner=owner, text="t") == ["theirs"]
    assert await found(admin, device=b"d" * 32) == ["boxed"]
    assert await found(admin, owner=owner, tenant=registry[1]) == []
    assert "adams" not in await found(admin, since=2000)
    assert await found(admin, registry=zone + 1) == []
    assert len(await found(admin, registry=zone)) == 9


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (search.read_place, "!"), (search.read_place, "eA=="), (search.read_text, "\0"), (search.read_text, "a b"),
        (search.read_text, "xn--zzzzzz99999"), (search.read_state, "gone"), (search.read_owner, "me"),
        (search.read_digest, "ab"), (search.read_digest, "zz" * 32),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_for_is_refused_in_a_sentence(read, text):
    with pytest.raises(CannotDo, match=";"):
        read(text)


def rows_looked_at(plan):
    """Return how many rows the nodes of a plan gave and dropped, all together."""
    own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
    return own + sum(map(rows_looked_at, plan.get("Plans", ())))


@pytest.mark.parametrize("wanted", [Wanted(1), Wanted(1, "home-1"), Wanted(1, state="active"), Wanted(2, "home-9")])
async def test_a_page_of_many_homes_costs_what_a_page_of_a_few_does(admin, owner, registry, wanted):
    """As many rows are looked at among 4,000 homes as among 16,000, and those of the index alone."""
    zone, _ = registry
    looked = []
    for most in (4000, 16_000):
        await owner.execute(
            """
            WITH made AS (
                INSERT INTO zones (origin, denial, algorithm, parent, tenant)
                SELECT convert_to('made' || number, 'UTF8'), 'none', 13, %(registry)s, 1 + number %% 2
                FROM generate_series((SELECT count(*) FROM zones), %(most)s) AS number
                RETURNING id, origin, tenant
            )
            INSERT INTO homes (zone, tenant, label_shown)
            SELECT id, tenant, 'home-' || substr(convert_from(origin, 'UTF8'), 5) FROM made
            """,
            {"registry": zone, "most": most},
        )
        await owner.execute("ANALYZE homes")
        await owner.execute("ANALYZE zones")
        cursor = await admin.execute(
            "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + home_search.query(wanted),
            home_search.parameters(wanted, ("", 0), 51),
        )
        ((told,),) = await cursor.fetchall()
        plan = told[0]["Plan"]
        assert "homes_by_label" in str(plan)
        assert "'Sort'" not in str(plan)
        assert "Seq Scan" not in str(plan)
        looked.append(rows_looked_at(plan))

    assert looked[1] <= looked[0] + 10
