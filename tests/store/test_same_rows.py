"""However a home comes to be, the same rows are written, but for the assurance of its key and for who is named."""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import craft
import pytest
from committing import SEALER, House
from cryptography.hazmat.primitives.asymmetric import ec
from databases import fresh_database
from rows import n
from waiting import TEMPLATE

from ddns.auth import keys, tsig
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.homes import enrolment
from ddns.homes.methods import Wish
from ddns.homes.methods.invitation import InvitationMethod
from ddns.operator import homes
from ddns.operator.home_import import Import, Lane
from ddns.postgres import OWNER as DATABASE_OWNER
from ddns.postgres import LocalPostgres
from ddns.proof import jws, statements
from ddns.proof.statements import Enrol
from ddns.signing.client import SignerClient
from ddns.store.pool import connect
from ddns.store.tenancy import REGISTRY, entered

HOME = n("berg.smith.example.")
KEY, OWNER = (ec.derive_private_key(number, ec.SECP256R1()) for number in (41, 42))
NOW = 1_900_000_000
Way = Callable[[House, Callable[[str], str]], Awaitable[None]]


async def by_command(house: House, _dsn_for: Callable[[str], str]) -> None:
    await homes.add(house.admin, house.running.client, await house.row(), HOME, keys.key_rdata(KEY), "operator:x")


async def by_import(house: House, dsn_for: Callable[[str], str]) -> None:
    async def lane() -> Lane:
        return Lane(
            await connect(dsn_for("ddns_admin"), "ddns_admin"), SignerClient(house.running.path, 20.0, bulk=True)
        )

    words = " ".join(["512 3 13", base64.b64encode(keys.key_rdata(KEY)[4:]).decode()])
    line = json.dumps({"label": "berg", "key": words}).encode() + b"\n"
    report = await Import(await house.row(), "operator:x").run(io.BytesIO(line), 1, lane)
    assert (report.made, report.reasons) == (1, [])


async def invited(house: House) -> homes.Invited:
    return await homes.invite(house.admin, SEALER, await house.row(), HOME, 4_000_000_000, NOW)


async def by_update(house: House, _dsn_for: Callable[[str], str]) -> None:
    one = await invited(house)
    rdata = keys.key_rdata(KEY)
    record = HOME + b"\0\x19\0\1" + bytes(4) + len(rdata).to_bytes(2, "big") + rdata
    credential = Credential(0, one.key, "tsig", homes.INVITATION_ALGORITHM, secret=one.secret)
    wire = craft.message(record, origin=craft.ORIGIN)
    (reply,) = await house.send(tsig.sign_request(wire, credential, int(house.worker.now))[0])
    assert reply.rcode() == Rcode.NOERROR


async def by_https(house: House, dsn_for: Callable[[str], str], *owner: ec.EllipticCurvePrivateKey) -> None:
    one = await invited(house)
    said = Enrol(aud="smith.example.", iat=NOW, exp=NOW + 600, jti="0123456789abcdef", method="invitation")
    octets = statements.sign(said, KEY, *owner, (names.to_text(one.key), one.secret.reveal()))
    signed = jws.read(octets)
    gateway, *people = statements.signers(said, signed)
    wish = Wish(signed, said, gateway, people[0] if people else None)
    conn = await connect(dsn_for("ddns_web"), "ddns_web")
    async with conn, conn.transaction():
        await entered(conn, REGISTRY)
        done = await enrolment.enrol(
            conn, house.running.client, InvitationMethod(SEALER), wish, REGISTRY, NOW, secrets.token_bytes
        )
        assert isinstance(done, enrolment.Enrolled)


async def by_https_with_an_owner(house: House, dsn_for: Callable[[str], str]) -> None:
    await by_https(house, dsn_for, OWNER)


# What is asked, and which of its columns differ: by the tier and who is named, by chance, or by the moment.
ASKED = {
    "zone": "SELECT origin, denial, algorithm, parent, head, edition, serial, held, presigned, tenant FROM zones",
    "home": """SELECT state, tenant, device, kind, label_shown, skeleton, reason, closed_at, changed_at IS NULL
               FROM homes""",
    "signing": "SELECT signed_head, pending, resign_at IS NULL, step_at IS NULL FROM signing ORDER BY zone",
    "signing keys": "SELECT algorithm, flags, role, state, dnskey, zrrsig, ds FROM signing_keys ORDER BY zone",
    "records": "SELECT owner, type, ttl, CASE WHEN type = 43 THEN NULL ELSE rdatas END FROM rrsets ORDER BY 1, 2",
    "published": """SELECT owner, type, ttl, cardinality(sigs) FROM published_rrsets
                    WHERE zone = (SELECT zone FROM homes) AND type NOT IN (50) ORDER BY 1, 2""",
    "keys": """SELECT name, kind, algorithm, tag, public, home = (SELECT zone FROM homes), expires_at, device, note,
                      revoked_at FROM credentials WHERE home IS NOT NULL""",
    "grants": """SELECT subtree, types, rule, counts, min_assurance, denied, homes, tenant, addresses, origin
                 FROM grants WHERE credential IN (SELECT id FROM credentials WHERE home IS NOT NULL)""",
    "journal": "SELECT seq, change FROM journal WHERE zone = (SELECT zone FROM homes)",
    "registry's journal": "SELECT count(*) FROM journal WHERE zone <> (SELECT zone FROM homes)",
    "editions": "SELECT count(*) FROM editions WHERE zone = (SELECT zone FROM homes)",
    "history": "SELECT tenant, zone = (SELECT zone FROM homes), name, event, before, after, why FROM home_events",
    "notices": "SELECT tenant, kind FROM outbox",
    "appraisals": "SELECT count(*) FROM appraisals",
    "resting": "SELECT count(*) FROM resting_labels",
    "open invitations": "SELECT count(*) FROM invitations WHERE spent_at IS NULL",
}


async def rows_after(dsn_for: Callable[[str], str], folder: Any, way: Way) -> tuple[dict[str, Any], list[Any]]:
    """Return the rows of a registry's first home, and its owner, assurance and who is named, made by *way*."""
    async with House(dsn_for, folder) as house:
        await way(house, dsn_for)
        found = {}
        for what, query in ASKED.items():
            cursor = await house.admin.execute(query, binary=True)
            found[what] = sorted(await cursor.fetchall(), key=repr)
        cursor = await house.admin.execute(
            """SELECT homes.owner IS NOT NULL, assurance, who FROM homes JOIN credentials ON home = homes.zone,
               home_events"""
        )
        return found, list(await cursor.fetchall())


WAYS: dict[str, tuple[Way, tuple[bool, str, str]]] = {
    "import": (by_import, (False, "manual", "operator")),
    "update": (by_update, (False, "token", "tsig")),
    "https": (by_https, (False, "token", "gateway")),
    "https with an owner": (by_https_with_an_owner, (True, "token", "owner")),
}


@pytest.fixture
def fresh(postgres: LocalPostgres) -> Iterator[Callable[[str], str]]:
    """What gives the DSN of a role on one more fresh database."""
    made = fresh_database(postgres, TEMPLATE)
    name = next(made)
    yield lambda role: postgres.dsn(DATABASE_OWNER if role == "owner" else role, name)
    assert next(made, None) is None


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_a_home_writes_the_same_rows(dsn_for, tmp_path, fresh, way):
    first, told = await rows_after(dsn_for, tmp_path / "a", by_command)
    assert told == [(False, "manual", "operator:x")]
    made, (owned, assurance, who) = WAYS[way]

    second, ((has_owner, level, named),) = await rows_after(fresh, tmp_path / "b", made)

    assert second == first
    assert (has_owner, level, named.partition(":")[0]) == (owned, assurance, who)
