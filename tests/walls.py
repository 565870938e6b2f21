"""Two tenants with a home each in one registry's zone, and a row of each in every table that has a wall.

The rows are written by the tables' owner, past the walls: what a test then sees through them is not of its own making.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

from ddns.dns import names
from ddns.store import tenancy

NOW = 1_800_000_000
AT = f"to_timestamp({NOW})"
REGISTRY = names.from_text("homes.example.")


class Furnished(msgspec.Struct, frozen=True):
    """What one tenant has: the ids of its rows, by which others may try to reach them."""

    tenant: int
    name: str
    zone: int
    registry: int
    home: bytes  # its name
    owner: UUID
    device: UUID
    invitation: int
    credential: int
    webhook: UUID
    notice: int
    claim: UUID
    recovery: UUID
    token: str
    secret: str
    digest: bytes
    bond: int
    verifier: int
    release: UUID

    def facts(self):
        return msgspec.structs.asdict(self)


async def one(conn, text, *values):
    cursor = await conn.execute(text, values[0] if len(values) == 1 and isinstance(values[0], dict) else values)
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def registry(conn):
    """Make the zone in which both have their homes."""
    return await one(
        conn,
        "INSERT INTO zones (origin, denial, algorithm) VALUES (%s, 'nsec', 13) RETURNING id",
        names.order_key(REGISTRY),
    )


async def furnish(conn, registry_zone, number):
    """Give a new tenant one row in every table with a wall, as the owner of the tables; return what it has."""
    called = f"tenant-{number}"
    tenant = await one(
        conn, "INSERT INTO tenants (name, host) VALUES (%s, %s) RETURNING id", called, f"{called}.example"
    )
    async with conn.transaction():
        await tenancy.entered(conn, tenant)
        return await _rows(conn, registry_zone, tenant, called, number)


async def _rows(conn, registry_zone, tenant, called, number):
    def uuid(what):
        return UUID(bytes=hashlib.sha256(f"{what} {number}".encode()).digest()[:16], version=4)

    def digest(what):
        return hashlib.sha256(f"{what} {number}".encode()).digest()

    await conn.execute("INSERT INTO tenant_zones (tenant, zone) VALUES (%s, %s)", [tenant, registry_zone])
    home = names.from_text(f"home-{number}.homes.example.")
    key = names.order_key(home)
    zone = await one(
        conn,
        "INSERT INTO zones (origin, denial, algorithm, parent) VALUES (%s, 'nsec', 13, %s) RETURNING id",
        key, registry_zone,
    )  # fmt: skip
    owner, device, box = uuid("owner"), uuid("device"), uuid("box")
    await conn.execute(f"INSERT INTO owners (id, created_at) VALUES (%s, {AT})", [owner])
    await conn.execute(
        f"INSERT INTO owner_keys (owner, role, thumbprint, jwk, since) VALUES (%s, 'owner', %s, '{{}}', {AT})",
        [owner, digest("owner key")],
    )
    for ident in (device, box):
        await conn.execute(f"INSERT INTO devices (id, state, first_seen) VALUES (%s, 'owned', {AT})", [ident])
    await conn.execute("INSERT INTO homes (zone, owner, device) VALUES (%s, %s, %s)", [zone, owner, device])
    invitation = await one(
        conn,
        f"INSERT INTO invitations (zone, label, expires_at) VALUES (%s, %s, {AT}) RETURNING id",
        registry_zone, names.order_key(names.from_text(f"guest-{number}.homes.example.")),
    )  # fmt: skip
    await conn.execute(
        """INSERT INTO credentials (name, kind, algorithm, secret, invitation)
           VALUES (%s, 'tsig', 'hmac-sha256', 'x', %s)""",
        [names.order_key(names.from_text(f"invite-{number}.homes.example.")), invitation],
    )
    credential = await one(
        conn,
        "INSERT INTO credentials (name, kind, algorithm, public, home) VALUES (%s, 'sig0', '13', %s, %s) RETURNING id",
        key, digest("public"), zone,
    )  # fmt: skip
    await conn.execute(f"INSERT INTO credential_uses VALUES (%s, {AT}, '192.0.2.0/24')", [credential])
    await conn.execute(
        "INSERT INTO grants (credential, zone, subtree, rule) VALUES (%s, %s, %s, 'zone')", [credential, zone, key]
    )
    await conn.execute(
        f"INSERT INTO resting_labels (zone, label, owner, free_at) VALUES (%s, %s, %s, {AT})",
        [registry_zone, names.order_key(names.from_text(f"rests-{number}.homes.example.")), owner],
    )
    await conn.execute(
        f"""INSERT INTO home_events (zone, name, device, owner, at, event, who, before, after)
            VALUES (%s, %s, %s, %s, {AT}, 'enrol', 'gateway', 'none', 'active')""",
        [zone, key, device, owner],
    )
    claim = uuid("claim")
    await conn.execute(
        f"""INSERT INTO claims (id, device, claimant, claimant_key, statement, filed_at, due_at)
            VALUES (%s, %s, %s, %s, 'x', {AT}, {AT})""",
        [claim, box, owner, digest("owner key")],
    )
    release = uuid("release")
    await conn.execute(
        f"INSERT INTO releases (id, device, statement, bearer, until) VALUES (%s, %s, 'x', %s, {AT})",
        [release, box, digest("bearer")],
    )
    await conn.execute(
        f"""INSERT INTO pending_keys (zone, place, key, tag, algorithm, seen_at, until, source)
            VALUES (%s, 1, %s, 1, 13, {AT}, {AT}, '192.0.2.1/32')""",
        [zone, digest("pending")],
    )
    recovery = uuid("recovery")
    await conn.execute(
        f"""INSERT INTO recoveries (id, owner, thumbprint, jwk, way, started_at, due_at)
            VALUES (%s, %s, %s, '{{}}', 'recovery', {AT}, {AT})""",
        [recovery, owner, digest("new key")],
    )
    await conn.execute("INSERT INTO home_policies (tenant, zone) VALUES (%s, %s)", [tenant, registry_zone])
    await conn.execute(
        "INSERT INTO idn_tables (name, tenant, codepoints) VALUES (%s, %s, '{[97,122]}')", [f"t{number}", tenant]
    )
    await conn.execute(
        f"INSERT INTO complaints (tenant, at, zone, what, evidence, who) VALUES (%s, {AT}, %s, 'spam', 'a mail', 'x')",
        [tenant, zone],
    )
    token, secret = f"{tenant}-{'a' * 15}{'bcdefgh'[number % 7]}", "s" * 43
    await conn.execute(
        f"""INSERT INTO tokens (id, digest, rights, created_at, expires_at)
            VALUES (%s, %s, '{{homes:read}}', {AT}, {AT})""",
        [token, hashlib.sha256(secret.encode()).digest()],
    )
    await conn.execute(
        f"""INSERT INTO statements (digest, signer, jti, act, octets, status, answer, at, expires_at)
            VALUES (%s, %s, 'x', 'enrol', 'x', 200, 'x', {AT}, {AT})""",
        [digest("statement"), digest("owner key")],
    )
    await conn.execute(
        f"""INSERT INTO keyed_requests (token, key, digest, status, answer, expires_at)
            VALUES (%s, 'k', %s, 200, 'x', {AT})""",
        [token, digest("request")],
    )
    webhook = uuid("webhook")
    await conn.execute(
        "INSERT INTO webhooks (id, url, secret, events) VALUES (%s, 'https://a.example/', 'x', '{*}')", [webhook]
    )
    notice = await one(
        conn,
        f"INSERT INTO outbox (owner, kind, body, at) VALUES (%s, 'home.enrolled', '{{}}', {AT}) RETURNING id",
        owner,
    )
    bond = await one(
        conn,
        f"INSERT INTO bonds (tenant, vendor, idevid_anchors, since) VALUES (%s, 'x', '{{}}', {AT}) RETURNING id",
        tenant,
    )
    verifier = await one(
        conn, "INSERT INTO verifiers (tenant, name, keys, rules) VALUES (%s, 'x', '{}', '{}') RETURNING id", tenant
    )
    await conn.execute(
        f"""INSERT INTO appraisals (credential, method, evidence, assurance, at)
            VALUES (%s, 'voucher', 'x', 'voucher', {AT})""",
        [credential],
    )
    await conn.execute(
        f"""INSERT INTO vouchers (idevid, bond, digest, request, voucher, media, at)
            VALUES (%s, %s, %s, 'x', 'x', 'x', {AT})""",
        [digest("idevid"), bond, digest("pvr")],
    )
    await conn.execute(
        f"INSERT INTO expected_devices (digest, kind, label, owner, added_at) VALUES (%s, 'serial', 'x', %s, {AT})",
        [digest("expected"), owner],
    )
    await conn.execute(f"INSERT INTO told (what, subject, until) VALUES ('x', %s, {AT})", [called])
    await conn.execute(
        f"INSERT INTO adoption_codes (zone, digest, until, who) VALUES (%s, %s, {AT}, 'x')", [zone, digest("code")]
    )
    return Furnished(
        tenant, called, zone, registry_zone, home, owner, device, invitation, credential, webhook, notice, claim,
        recovery, token, secret, digest("statement"), bond, verifier, release,
    )  # fmt: skip


# Which rows of a table are a tenant's; without a line here it is those whose column `tenant` says so.
WHOSE = {
    "tenants": "id = %(tenant)s",
    "credentials": "home = %(zone)s OR invitation = %(invitation)s",
    "credential_uses": "credential = %(credential)s",
    "grants": "zone = %(zone)s",
    "pending_keys": "zone = %(zone)s",
    "deliveries": "notice = %(notice)s",
    "appraisals": "credential = %(credential)s",
}


def whose(table):
    return WHOSE.get(table, "tenant = %(tenant)s")


async def walled(conn):
    """Return every table with a wall."""
    cursor = await conn.execute("SELECT relname FROM pg_class WHERE relrowsecurity ORDER BY relname")
    return [row[0] for row in await cursor.fetchall()]


async def count(conn, table, facts):
    return await one(conn, f"SELECT count(*) FROM {table} WHERE {whose(table)}", facts)


async def fingerprint(conn, facts):
    """Return for each table what a tenant has in it: equal where nothing has changed."""
    found = {}
    for table in [*await walled(conn), "rrsets", "published_rrsets", "journal", "editions", "releases", "devices"]:
        where = {
            "releases": "id = %(release)s", "devices": "id = %(device)s",
            **dict.fromkeys(("rrsets", "published_rrsets", "journal", "editions"), "zone = %(zone)s"),
        }.get(table, whose(table))  # fmt: skip
        cursor = await conn.execute(
            f"SELECT count(*), md5(coalesce(string_agg(shown, '|' ORDER BY shown), '')) "
            f"FROM (SELECT {table}::text AS shown FROM {table} WHERE {where}) AS rows",
            facts,
        )
        found[table] = await cursor.fetchone()
    return found
