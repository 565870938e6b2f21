"""Notices commit with what they tell of, reach each webhook that wants them, and are seen by their tenant alone."""

from uuid import UUID

import pytest
from psycopg import errors

from ddns.store import outbox, tenancy, webhooks

NOW = 1_800_000_000
OWNER = UUID(int=7)
HOOK, OTHER_HOOK = UUID(int=1), UUID(int=2)


async def tenant(admin, name):
    cursor = await admin.execute("INSERT INTO tenants (name) VALUES (%s) RETURNING id", [name])
    return (await cursor.fetchone())[0]


async def put_as(conn, tenant_id, kind, body=b"{}", owner=None):
    async with conn.transaction():
        await tenancy.entered(conn, tenant_id)
        return await outbox.put(conn, kind, owner, body, NOW)


async def rows(conn, query):
    return await (await conn.execute(query)).fetchall()


async def due(conn, now=NOW, busy=()):
    async with conn.transaction():
        return await webhooks.due(conn, now, busy, 10)


async def test_a_notice_is_gone_when_its_transaction_fails(connected):
    desk = await connected("ddns_web")

    async with desk.transaction(force_rollback=True):
        await tenancy.entered(desk, 1)
        await outbox.put(desk, "home.held", OWNER, b"{}", NOW)

    owner = await connected("owner")
    assert await rows(owner, "SELECT * FROM outbox") == []


@pytest.mark.parametrize("role", ["ddns_server", "ddns_web", "ddns_admin"])
async def test_every_role_may_put_a_notice_and_its_delivery_comes_with_it(connected, admin, role):
    conn = await connected(role)
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["key.pending"])
    await webhooks.insert(admin, OTHER_HOOK, 1, "https://b.example/", b"sealed", ["home.left"])

    notice = await put_as(conn, 1, "key.pending", b'{"home":"smith."}', OWNER)

    found = await webhooks.listing(admin, 1)
    assert [(one.id, one.waiting) for one in found] == [(HOOK, 1), (OTHER_HOOK, 0)]
    assert await outbox.read(admin, 1, OWNER, 0, 10) == [
        outbox.Notice(notice, OWNER, "key.pending", b'{"home":"smith."}', NOW)
    ]


async def test_who_reads_on_gets_what_is_newer_of_one_owner_alone(admin):
    first = await put_as(admin, 1, "home.enrolled", owner=OWNER)
    await put_as(admin, 1, "home.enrolled", owner=UUID(int=8))
    third = await put_as(admin, 1, "home.held", owner=OWNER)

    assert [one.id for one in await outbox.read(admin, 1, OWNER, 0, 10)] == [first, third]
    assert [one.id for one in await outbox.read(admin, 1, OWNER, first, 10)] == [third]
    assert [one.id for one in await outbox.read(admin, 1, OWNER, 0, 1)] == [first]


async def test_another_tenant_sees_neither_notices_nor_webhooks_nor_deliveries(connected, admin):
    other = await tenant(admin, "other")
    desk = await connected("ddns_web")
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["*"])
    await webhooks.insert(admin, OTHER_HOOK, other, "https://b.example/", b"sealed", ["*"])
    notice = await put_as(admin, 1, "home.held", owner=OWNER)

    async with desk.transaction():
        await tenancy.entered(desk, other)
        seen = await outbox.read(desk, 1, None, 0, 10), await webhooks.listing(desk, 1), await outbox.get(desk, notice)
        taken = await webhooks.claim(desk, webhooks.Due(1, HOOK, notice), NOW, NOW + 60)
        removed = await webhooks.remove(desk, 1, HOOK)
        mine = await webhooks.listing(desk, other)

    assert seen == ([], [], None)
    assert taken is None
    assert not removed
    assert [(one.id, one.waiting) for one in mine] == [(OTHER_HOOK, 0)]


async def test_a_desk_that_has_entered_no_tenant_sees_nothing_and_puts_nothing(connected, admin):
    desk = await connected("ddns_web")
    await put_as(admin, 1, "home.held")

    assert await outbox.read(desk, 1, None, 0, 10) == []
    with pytest.raises(errors.InsufficientPrivilege):
        await outbox.put(desk, "home.held", None, b"{}", NOW)


async def test_a_delivery_is_claimed_once_until_its_time_is_over(connected, admin):
    """Who is killed with a claim leaves it to the next one a minute later."""
    desk = await connected("ddns_web")
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["*"])
    notice = await put_as(admin, 1, "home.held")
    (one,) = await due(desk)

    async with desk.transaction():
        await tenancy.entered(desk, 1)
        first = await webhooks.claim(desk, one, NOW, NOW + 60)
        second = await webhooks.claim(desk, one, NOW, NOW + 60)

    assert one == webhooks.Due(1, HOOK, notice)
    assert (first, second) == (1, None)
    assert await due(desk, NOW + 59) == []
    assert await due(desk, NOW + 60) == [one]


async def test_each_webhook_has_one_delivery_due_at_a_time_the_oldest(connected, admin):
    """So a webhook is told in order, and one with many notices does not keep the others waiting."""
    desk = await connected("ddns_web")
    for hook in (HOOK, OTHER_HOOK):
        await webhooks.insert(admin, hook, 1, f"https://{hook}.example/", b"sealed", ["*"])
    first = await put_as(admin, 1, "home.held")
    await put_as(admin, 1, "home.left")

    assert {(one.webhook, one.notice) for one in await due(desk)} == {(HOOK, first), (OTHER_HOOK, first)}
    assert [one.webhook for one in await due(desk, busy=[HOOK])] == [OTHER_HOOK]


async def test_a_stopped_webhook_is_sent_nothing_until_a_test_arrives(connected, admin):
    desk = await connected("ddns_web")
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["*"])
    old = await put_as(admin, 1, "home.held")
    async with desk.transaction():
        await tenancy.entered(desk, 1)
        await webhooks.stop(desk, webhooks.Due(1, HOOK, old), "no answer")
    await put_as(admin, 1, "home.left")
    nothing = await due(desk, NOW + 10**6)

    trial = await put_as(admin, 1, outbox.TEST)
    await webhooks.deliver(admin, trial, HOOK, NOW)
    (one,) = await due(desk)
    async with desk.transaction():
        await tenancy.entered(desk, 1)
        await webhooks.delivered(desk, one, NOW)

    assert nothing == []
    assert one.notice == trial
    assert [again.notice for again in await due(desk)] == [old]
    assert [(hook.state, hook.problem) for hook in await webhooks.listing(admin, 1)] == [(webhooks.ACTIVE, "")]


async def test_a_test_goes_to_no_webhook_that_was_not_named(admin):
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["*", outbox.TEST])

    await put_as(admin, 1, outbox.TEST)

    assert (await webhooks.listing(admin, 1))[0].waiting == 0


@pytest.mark.parametrize(("older", "left"), [(-1, 0), (0, 1)])
async def test_notices_are_forgotten_when_they_are_too_old_and_not_before(connected, admin, older, left):
    desk = await connected("ddns_web")
    await webhooks.insert(admin, HOOK, 1, "https://a.example/", b"sealed", ["*"])
    await put_as(admin, 1, "home.held")

    async with desk.transaction():
        await outbox.forget(desk, NOW + outbox.KEPT - older, 100)

    assert len(await outbox.read(admin, 1, None, 0, 10)) == left


async def test_a_notice_that_is_too_long_is_a_mistake_of_ours(admin):
    await put_as(admin, 1, "home.held", b" " * outbox.MOST_BODY)
    with pytest.raises(ValueError, match="octets"):
        await put_as(admin, 1, "home.held", b" " * (outbox.MOST_BODY + 1))
