"""What the machine of ownership looks at: a home, its box and its owner as they are, and what is asked."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec

from ddns.dns.names import ROOT, Name


class Home(StrEnum):
    """How a home is. `KEYLESS`: it is its owner's and is served, and no gateway has a key for it."""

    NONE = "none"
    ACTIVE = "active"
    KEYLESS = "keyless"
    SUSPENDED = "suspended"
    QUARANTINED = "quarantined"
    CLOSED = "closed"


class Box(StrEnum):
    """How a box is. `CLAIMED`: it is somebody's, and somebody else has filed a claim that is open."""

    UNKNOWN = "unknown"
    FREE = "free"
    OWNED = "owned"
    CLAIMED = "claimed"
    STOLEN = "stolen"


class Who(StrEnum):
    """As whom somebody asks, which follows from the key that signed; operators and the clock have none here."""

    OWNER = "owner"
    ADMIN = "admin"
    RECOVERY = "recovery"
    GATEWAY = "gateway"
    CLAIMANT = "claimant"
    BEARER = "bearer"
    STRANGER = "stranger"
    OPERATOR = "operator"
    CLOCK = "clock"
    VENDOR = "vendor"


class KeyFact(msgspec.Struct, frozen=True):
    """A live key at a home's apex, by its thumbprint, and the box that holds it (None: nobody knows)."""

    key: bytes
    device: UUID | None = None
    assurance: str = "token"


class OwnerKey(msgspec.Struct, frozen=True):
    """A live key of an owner, by its thumbprint; *role* is owner, admin or recovery."""

    key: bytes
    role: str


class Claim(msgspec.Struct, frozen=True):
    """An open claim on a box; *key* is the claimant's key, *tenant* whose owner he is.

    *noticed_at*: when the box's owner was told, None: never.
    """

    id: UUID
    claimant: UUID
    key: bytes
    filed_at: int
    due_at: int
    noticed_at: int | None = None
    tenant: int = 1


class Release(msgspec.Struct, frozen=True):
    """A seller's word, not used yet: for who knows the secret with the hash *bearer*, or for the key *receiver*."""

    id: UUID
    until: int
    bearer: bytes | None = None
    receiver: bytes | None = None


class Recovery(msgspec.Struct, frozen=True):
    """A recovery of an owner that is not over: *state* open or objected, *way* recovery, admin or registry.

    *key* is the new key's thumbprint, *by* that of the key that began it; *operators* are who spoke for the registry.
    """

    id: UUID
    way: str
    key: bytes
    due_at: int
    state: str = "open"
    by: bytes = b""
    operators: tuple[str, ...] = ()


class Waits(msgspec.Struct, frozen=True):
    """The policy's times, in seconds; the database has floors for them."""

    claim: int = 2_592_000
    recovery: int = 259_200
    registry: int = 1_209_600
    claim_rest: int = 31_536_000  # before somebody whose claim was objected to may file another on the same box
    rest: int = 7_776_000  # before a label may be another's


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How things are, read in one transaction under locks.

    *device* is the home's own box, in the state *home_box*; *shown* is one that shows itself, or is spoken of. *box* is
    the state of the box that is concerned, which is *shown* where there is one; *box_zone* is the home that has it.
    *claim* and *release* are on that box, *home_claim* is the open claim on the home's own.
    *owner* and *owner_keys* are the home's, or those of the key that asks where no home is concerned. *key_known*: the
    new key is some owner's already. *used*: a key of the box was used since the claim was filed. *barred*: this
    claimant's claim on this box was objected to not long ago. *was_ours*: this home released the box, or reported it
    as stolen. *minted*: how many keys with one narrow right the home has. *device_keys* are those of its devices, each
    for a name below the home's.
    """

    zone: int | None = None
    name: Name = ROOT
    home: Home = Home.NONE
    owner: UUID | None = None
    keys: tuple[KeyFact, ...] = ()
    pending: tuple[bytes, ...] = ()
    device: UUID | None = None
    home_box: Box = Box.UNKNOWN
    shown: UUID | None = None
    box: Box = Box.UNKNOWN
    box_zone: int | None = None
    claim: Claim | None = None
    home_claim: Claim | None = None
    release: Release | None = None
    recovery: Recovery | None = None
    disputed: bool = False
    owner_keys: tuple[OwnerKey, ...] = ()
    key_known: bool = False
    used: bool = False
    barred: bool = False
    open_claims: int = 0
    was_ours: bool = False
    minted: int = 0
    device_keys: tuple[bytes, ...] = ()
    closed_at: int | None = None
    label_rests: bool = False
    least: str = "open"
    waits: Waits = Waits()

    def tier(self, key: bytes) -> str:
        """Return the tier of a live key of the home."""
        return next(one.assurance for one in self.keys if one.key == key)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody asks for. *by* and *key* are thumbprints: of who asks, and of the key that it is about.

    *owner* is who asks as an owner or becomes one; *name* a name below the home; *reason* an operator's words.
    """

    event: str
    who: Who
    by: bytes = b""
    key: bytes = b""
    owner: UUID | None = None
    operator: str = ""
    reason: str = ""
    role: str = ""
    assurance: str = "token"
    same_box: bool = False
    until: int = 0
    bearer: bytes | None = None
    receiver: bytes | None = None
    secret: bytes | None = None  # the hash of the secret that a bearer shows
    name: Name = ROOT
