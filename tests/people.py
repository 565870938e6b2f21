"""People for tests of ownership: owners, gateways and boxes with keys of their own, in an unsigned registry."""

from __future__ import annotations

import itertools
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from rows import n

from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.refusal import Refusal
from ddns.homes import boxes, making, stating
from ddns.homes.carrying import Outcome
from ddns.homes.making import Wanted
from ddns.homes.methods import DeviceIdentity
from ddns.operator import zones as operator
from ddns.proof import jwk, jws, nonce, statements
from ddns.proof.bad import BadProof
from ddns.signing.publish import NO_SIGNER
from ddns.store import devices, keys_of_homes, owners, rrsets, zones
from ddns.store import statements as stored
from ddns.store.tenancy import entered

REGISTRY = n("homes.example.")
NOW = 1_800_000_000
DAY = 86_400
SECRET = bytes(range(32))

_numbers = itertools.count(1)


def p256(number: int | None = None):
    """Return a P-256 key; the same number gives the same key."""
    return ec.derive_private_key(number or next(_numbers) + 1000, ec.SECP256R1())


def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def thumb(key) -> bytes:
    return jwk.thumbprint(jwk.of(key))


def kid(key) -> str:
    return jwk.kid(jwk.of(key))


class Village:
    """A registry on a real Postgres, asked as the desk asks (`ddns_web`); *now* is the desk's clock."""

    def __init__(self, admin, desk) -> None:
        self.admin = admin
        self.desk = desk
        self.now = NOW
        self.tenant = 1

    async def begin(self):
        text = operator.new_text(REGISTRY, [n("ns1.example.net.")], n("hostmaster.example.net."), [])
        await operator.add(self.admin, text, "none", 13, "operator:test")
        return self

    async def family(self, gateway, owner, box, admin, recovery) -> int:
        """Make the home smith: a gateway in a box, an owner, an administrator, a recovery key. Return its zone."""
        zone = await self.home("smith", gateway, owner, box)
        for key, role in ((admin, "admin"), (recovery, "recovery")):
            done = await self.say(statements.AddOwnerKey, owner, key, role=role)
            assert done.event == "add-owner-key"
        await self.check()
        return zone

    async def tenant_called(self, name: str) -> int:
        """Make another tenant, who may have homes in the same registry."""
        cursor = await self.admin.execute("INSERT INTO tenants (name) VALUES (%s) RETURNING id", [name])
        (number,) = await cursor.fetchone()
        await self.admin.execute(
            "INSERT INTO tenant_zones (tenant, zone) SELECT %s, id FROM zones WHERE parent IS NULL", [number]
        )
        return number

    def new_id(self) -> UUID:
        return UUID(int=next(_numbers))

    async def home(self, label: str, gateway, owner=None, box=None, tenant: int = 1) -> int:
        """Make a home as enrolment does; *owner* and *box* are private keys. Return its zone."""
        async with self.desk.transaction():
            await entered(self.desk, tenant)
            mine = None if owner is None else await self._owner(owner, tenant)
            device = None if box is None else await self._box(box)
            registry = await zones.find(self.desk, REGISTRY)
            wanted = Wanted(
                name=names.prepend(label.encode(), REGISTRY), key=jwk.to_key_rdata(jwk.of(gateway)), assurance="token",
                owner=mine, device=device, who="test",
            )  # fmt: skip
            made = await making.make(self.desk, NO_SIGNER, registry, [wanted], self.now, tenant)
        return made.made[0].zone

    async def _owner(self, key, tenant: int) -> UUID:
        found = await owners.by_thumbprint(self.desk, tenant, thumb(key))
        if found is not None:
            return found.owner
        owner = self.new_id()
        await owners.insert(self.desk, owner, self.now)
        await owners.add_key(self.desk, owner, "owner", thumb(key), jwk.to_json(jwk.of(key)), "", self.now)
        return owner

    async def _box(self, key) -> UUID:
        octets = jwk.to_json(jwk.of(key))
        identity = DeviceIdentity("qr", boxes.digest(SECRET, "qr", octets))
        device = await boxes.known_or_new(self.desk, identity, self.now, self.new_id)
        await devices.set_state(self.desk, device, "owned")
        return device

    def nonce(self) -> str:
        return nonce.make(SECRET, self.now + 600, next(_numbers).to_bytes(12, "big"))

    def signed(self, kind, *keys, **fields):
        """Return a statement signed by *keys*."""
        common = {"aud": names.to_text(REGISTRY), "iat": self.now, "exp": self.now + 300}
        jti = f"jti-{next(_numbers):020}"
        return statements.sign(kind(**(common | {"jti": jti} | fields)), *keys)

    async def send(self, octets: bytes, tenant: int = 1, conn=None) -> Outcome | str:
        """Post a signed statement as the desk takes it; return what was done, or the code of the refusal."""
        desk = conn or self.desk
        try:
            signed = jws.read(octets)
            said = statements.read(signed)
            keys = statements.signers(said, signed)
            statements.timely(said, self.now)
        except BadProof as error:
            return error.code
        kept = stored.Statement(
            signed.digest, jwk.thumbprint(keys[0]), said.jti, said.act, octets, self.now, said.exp
        )  # fmt: skip
        try:
            async with desk.transaction():
                await entered(desk, tenant)
                if not await stored.begin(desk, tenant, [kept]):
                    return "again"
                asking = stating.Asking(
                    tenant=tenant,
                    now=self.now,
                    secret=SECRET,
                    new_id=self.new_id,
                    source="192.0.2.7",
                    sealer=Sealer(SECRET),
                    dice=lambda count: next(_numbers).to_bytes(count, "big"),
                )
                done = await stating.answer(desk, NO_SIGNER, said, signed, keys, asking)
                if isinstance(done, Refusal):
                    raise Undone(done.code)  # noqa: TRY301 - as the desk does: it rolls the transaction back
                await stored.end(desk, [(signed.digest, 200, b"{}")])
        except Undone as refused:
            return str(refused)
        return done

    async def say(self, kind, *keys, tenant: int = 1, **fields) -> Outcome | str:
        """Sign and post a statement."""
        return await self.send(self.signed(kind, *keys, **fields), tenant)

    async def check(self) -> None:
        """Check that everything agrees with everything, by SQL written apart from the code that wrote it."""
        for question, wrong in _WRONG.items():
            cursor = await self.admin.execute(question)
            assert await cursor.fetchall() == [], wrong
        cursor = await self.admin.execute("SELECT zone FROM homes WHERE state <> 'closed'")
        for (zone,) in await cursor.fetchall():
            row = (await zones.get(self.admin, [zone]))[zone]
            there = (await rrsets.read_names(self.admin, [(zone, row.origin)])).get((zone, row.origin), ())
            shown = {key for one in there if one.type == Type.KEY for key in one.rdatas}
            live = {one.public for one in await keys_of_homes.live(self.admin, zone) if one.name == row.origin}
            assert shown == live, "the keys at the apex are those that may write"

    async def events(self, zone: int) -> list[str]:
        cursor = await self.admin.execute("SELECT event FROM home_events WHERE zone = %s ORDER BY id", [zone])
        return [row[0] for row in await cursor.fetchall()]

    async def notices(self, tenant: int = 1) -> list[str]:
        cursor = await self.admin.execute("SELECT kind FROM outbox WHERE tenant = %s ORDER BY id", [tenant])
        return [row[0] for row in await cursor.fetchall()]

    async def live(self, zone: int) -> set[bytes]:
        """Return the thumbprints of a home's live keys."""
        return {
            jwk.thumbprint(jwk.from_key_rdata(one.public)) for one in await keys_of_homes.live(self.admin, zone)
        }  # fmt: skip

    async def box_state(self, zone_or_key) -> str:
        """Return the state of the box with this key."""
        digest = boxes.digest(SECRET, "qr", jwk.to_json(jwk.of(zone_or_key)))
        cursor = await self.admin.execute(
            "SELECT state FROM devices JOIN device_identities ON device = devices.id WHERE digest = %s", [digest]
        )
        return (await cursor.fetchone())[0]


class Undone(Exception):
    """A refusal, so that the transaction is rolled back."""


_WRONG = {
    """SELECT devices.id FROM devices LEFT JOIN homes ON homes.device = devices.id
       WHERE (devices.state = 'owned') <> (homes.zone IS NOT NULL) AND devices.state <> 'stolen'""":
        "a box is owned just if a home has it",
    "SELECT id FROM claims WHERE state = 'open' AND device NOT IN (SELECT device FROM homes WHERE device IS NOT NULL)":
        "an open claim is on a box that somebody has",
    """SELECT id FROM owners WHERE state = 'active' AND NOT EXISTS (
         SELECT FROM owner_keys WHERE owner = owners.id AND role = 'owner' AND revoked_at IS NULL)""":
        "an owner has a key",
    "SELECT zone FROM homes JOIN zones ON zones.id = homes.zone WHERE homes.tenant <> zones.tenant":
        "a home and its zone are of one tenant",
    "SELECT zone FROM homes JOIN owners ON owners.id = homes.owner WHERE homes.tenant <> owners.tenant":
        "a home and its owner are of one tenant",
    """SELECT zone FROM homes JOIN zones ON zones.id = homes.zone
       WHERE zones.held <> (homes.state IN ('quarantined', 'closed'))""":
        "what is held is out of the DNS, and nothing else is",
    """SELECT zone FROM homes WHERE state = 'closed' AND (device IS NOT NULL OR EXISTS (
         SELECT FROM credentials WHERE home = homes.zone AND revoked_at IS NULL))""":
        "a closed home has neither box nor key",
    "SELECT digest FROM statements WHERE status = 0": "a statement that is kept has its answer",
    """SELECT digest FROM statements WHERE NOT EXISTS (SELECT FROM home_events WHERE statement = statements.digest)
       OR (SELECT count(*) FROM home_events WHERE statement = statements.digest) > 1""":
        "a statement that is kept has one line of history",
    """SELECT statement FROM home_events WHERE statement IS NOT NULL
       AND statement NOT IN (SELECT digest FROM statements)""": "no line of history is without its statement",
}  # fmt: skip
