"""What servers, signer and import read of the database for their daily work does not grow with the number of homes.

Not plans that were imagined but plans that ran are looked at: the database counts how many rows were read from each
table and each index, by statements inside its own functions too. A scan of a whole table, or of a whole index, shows.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from contextlib import contextmanager
from typing import Any

import craft
import psycopg
import pytest
from committing import House
from cryptography.hazmat.primitives.asymmetric import ec
from databases import fresh_database
from signing import add
from waiting import TEMPLATE

from ddns.answer.links import Wanted
from ddns.answer.window import Window
from ddns.auth import keys
from ddns.dns import names
from ddns.net.expiry import Expiry, ExpiryLimits
from ddns.operator.home_import import Import, Lane
from ddns.signing.client import SignerClient
from ddns.store import credentials, editions, pieces, published, refusals, requests, transfers, zones
from ddns.store.line import Line
from ddns.store.pool import connect

CROWD = 5000  # homes that nothing here is about
LEAST = CROWD // 2  # rows of a table or an index read in all: who reads each home's reads more

CROWDED = """
INSERT INTO zones (origin, denial, algorithm, head, edition, serial)
VALUES ('\\x63726f77640000'::bytea, 'nsec3', 13, 1, 1, 1);
INSERT INTO zones (origin, denial, algorithm, head, edition, serial, parent)
SELECT (SELECT origin FROM zones WHERE parent IS NULL) || convert_to('h' || number, 'UTF8') || '\\x0000'::bytea,
       'nsec3', 13, 1, 1, 1, (SELECT id FROM zones WHERE parent IS NULL)
FROM generate_series(1, {crowd}) AS number;
CREATE TEMPORARY TABLE crowd AS SELECT id, origin FROM zones WHERE parent IS NOT NULL;
INSERT INTO homes (zone) SELECT id FROM crowd;
INSERT INTO signing (zone, signed_head, resign_at, step_at)
SELECT id, 1, now() + interval '900 days', now() + interval '900 days' FROM crowd;
INSERT INTO signing_keys (id, zone, algorithm, flags, tag, public, sealed)
SELECT gen_random_uuid(), id, 13, 257, 1, '\\x00', '\\x00' FROM crowd;
INSERT INTO rrsets (zone, owner, type, ttl, rdatas)
SELECT id, origin, type, 300, ARRAY['\\x0000'::bytea] FROM crowd, unnest(ARRAY[1, 2, 6]) AS type;
INSERT INTO published_rrsets (zone, owner, type, ttl, rdatas)
SELECT id, origin, type, 300, ARRAY['\\x0000'::bytea] FROM crowd, unnest(ARRAY[1, 2, 6, 50]) AS type;
INSERT INTO journal (zone, seq, principal, change) SELECT id, 1, 'crowd', '\\x90' FROM crowd;
INSERT INTO editions (zone, number, from_serial, to_serial, removed, added)
SELECT id, 1, 1, 1, '\\x90', '\\x90' FROM crowd;
INSERT INTO credentials (name, kind, algorithm, public, home) SELECT origin, 'sig0', '13', origin, id FROM crowd;
INSERT INTO grants (credential, zone, subtree)
SELECT credentials.id, crowd.id, crowd.origin FROM crowd JOIN credentials ON credentials.home = crowd.id;
INSERT INTO requests (digest, rcode, ede, text, expires_at)
SELECT sha256(origin), 0, 0, '', now() + interval '900 days' FROM crowd;
INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at)
SELECT id, origin, 1, sha256(origin), '\\x00', 60, now() + interval '900 days' FROM crowd;
INSERT INTO refusals (at, code, rcode, text, transport, source, verified, held, asked, size, untold)
SELECT now(), 'crowd', 5, '', 'udp', '192.0.2.0/24', false, '{{}}', '{{}}', 12, 0 FROM crowd;
INSERT INTO transferred (zone, source, kind, serial) SELECT id, '192.0.2.1', 'axfr', 1 FROM crowd;
INSERT INTO zones_gone (zone) SELECT id + 1000000 FROM crowd;
DROP TABLE crowd;
ANALYZE;
"""

READ = """
SELECT relname, seq_tup_read FROM pg_stat_user_tables
UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
"""


def read_rows(dsn: str, counted: str = READ) -> dict[str, int]:
    """Return how many rows were read from each table and index, once all others have gone and said so."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while conn.execute(others).fetchone() != (0,):
            conn.execute("SELECT pg_sleep(0.02)")
        return dict(conn.execute(counted).fetchall())


async def updates(house: House, _dsn_for: Any) -> None:
    """Send updates alone and together, refused ones and repeated ones."""
    first = house.signed(craft.add("a", 300, "A", "192.0.2.77"), ident=1)
    await house.send(first)
    await house.send(first)  # a retransmission
    await house.send(*[house.signed(craft.add(f"n{n}", 300, "A", "192.0.2.7"), ident=10 + n) for n in range(20)])
    await house.send(house.signed(craft.add("x.secret", 300, "A", "192.0.2.7"), ident=50))


async def servers_day(house: House, _dsn_for: Any) -> None:
    """Do what a server does all day beside updates."""
    worker = house.worker
    subscriber, pool = worker.subscriber, worker.pool
    async with pool.connection() as conn:
        some = await zones.apexes(conn, [house.zone])
        window = Window(house.zone, craft.ORIGIN, 1, await published.read_zone(conn, house.zone))
        wanted = Wanted((craft.name("a"), craft.name("none")), (bytes(20), b"\xff" * 20))
        line = Line(pool.dsn, pool.role)
        await pieces.read(line, house.zone, craft.ORIGIN, window.hashing, wanted.names, wanted.links)
        await pieces.read(line, house.zone, craft.ORIGIN, None, (), [names.order_key(craft.name("b"))])
        line.close()
        await credentials.by_names(conn, [names.from_text("nobody.")], lambda _name, _sealed: None)
        await requests.prune(conn)
        await refusals.prune(conn, 1_000_000, 0)
        await zones.at_or_above(conn, craft.name("www"))
        await zones.get(conn, [house.zone])
        await zones.find(conn, craft.ORIGIN)
        await editions.since(conn, house.zone, 1, 64)
        await transfers.rights_on(conn, (await zones.get(conn, [house.zone]))[house.zone])
        await transfers.note_transferred(conn, house.zone, "192.0.2.1", None, "axfr", 1)
    assert some == [(craft.ORIGIN, house.zone)]
    subscriber.heard([(house.zone, 99)])
    await subscriber.resync()
    worker.table.evict(house.zone)
    loaded = asyncio.get_running_loop().create_future()
    assert subscriber.need(house.zone, loaded.set_result)
    assert await loaded
    await Expiry(pool, house.running.client, subscriber, ExpiryLimits(), lambda: worker.now).look()


async def import_and_sign(house: House, dsn_for: Any) -> None:
    """Bring homes in, and have the signer look what there is to do."""
    signer = await connect(dsn_for("zone_signer"), "zone_signer")
    admin = await connect(dsn_for("ddns_admin"), "ddns_admin")
    registry = await add(admin, "homes.test.", "ns 60 A 192.0.2.53")
    await house.running.worker.sweep(signer)
    lines = []
    for number in range(20):
        key = ec.derive_private_key(number + 1, ec.SECP256R1())
        shown = f"512 3 13 {base64.b64encode(keys.key_rdata(key)[4:]).decode()}"
        line = {"label": f"i{number}", "key": shown, "records": "@ 300 A 192.0.2.1\ncam 300 AAAA 2001:db8::1"}
        lines.append(json.dumps(line).encode() + b"\n")

    async def lane() -> Lane:
        made = await connect(dsn_for("ddns_admin"), "ddns_admin")
        lanes.append(made)
        return Lane(made, SignerClient(house.running.path, 20.0, bulk=True))

    lanes: list[Any] = []
    zone = (await zones.get(admin, [registry]))[registry]
    report = await Import(zone, "test").run(io.BytesIO(b"".join(lines)), 1, lane)
    assert report.made == len(lines)
    await house.running.worker.sweep(signer)
    for conn in (signer, admin, *lanes):
        await conn.close()


@pytest.mark.parametrize("short", [True, False])
async def test_daily_work_reads_a_part_of_each_table_that_does_not_grow_with_the_crowd(postgres, tmp_path, short):
    database = contextmanager(fresh_database)
    counted = []
    for work in ((), (updates, servers_day, import_and_sign)):
        with database(postgres, TEMPLATE) as name:

            def dsn_for(role, name=name):
                return postgres.dsn("ddns_owner" if role == "owner" else role, name)

            with psycopg.connect(dsn_for("owner"), autocommit=True) as conn:
                conn.execute(CROWDED.format(crowd=CROWD))
            async with House(dsn_for, tmp_path / f"house{len(counted)}", short=short) as house:
                for one in work:
                    await one(house, dsn_for)
            counted.append(await asyncio.to_thread(read_rows, dsn_for("owner")))
    idle, busy = counted

    read = {place: rows - idle.get(place, 0) for place, rows in busy.items()}

    assert {place: rows for place, rows in read.items() if rows > LEAST} == {}
    assert read["zones_pkey"] > 0  # the database counts


SCANS = "SELECT relname::text, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables"


async def test_a_commit_looks_at_the_rows_that_it_writes_the_keys_and_who_follows_and_nowhere_else(postgres, tmp_path):
    """What updates are judged by beside them touches these rows: a look at each table costs more than the rest."""
    counted = []
    for updates in (1, 31):
        with contextmanager(fresh_database)(postgres, TEMPLATE) as name:

            def dsn_for(role, name=name):
                return postgres.dsn("ddns_owner" if role == "owner" else role, name)

            async with House(dsn_for, tmp_path / f"house{updates}") as house:
                await house.send(house.signed(craft.add("a", 300, "A", "192.0.2.77"), ident=100))
                for number in range(updates):
                    await house.send(house.signed(craft.add("a", 60 + number, "A", "192.0.2.77"), ident=number))
            counted.append(await asyncio.to_thread(read_rows, dsn_for("owner"), SCANS))
    few, many = counted

    assert {table: scans - few[table] for table, scans in many.items() if scans != few[table]} == {
        "zones": 30, "rrsets": 30, "published_rrsets": 60, "credentials": 30, "followers": 30
    }  # fmt: skip
