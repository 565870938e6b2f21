"""What the machine of ownership decides: effects as values, which `ddns.homes.carrying` turns into rows and records."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ddns.dns.names import Name
from ddns.homes.ownership_facts import Box, Home


class Effect(msgspec.Struct, frozen=True, tag=True):
    """One thing that changes."""


class MakeHome(Effect, frozen=True):
    """The home comes to be, with its zone and its delegation."""


class PutKey(Effect, frozen=True):
    """A gateway's key, by its thumbprint, may write the home from now on, and stands at its apex."""

    key: bytes
    assurance: str
    device: UUID | None


class RevokeKeys(Effect, frozen=True):
    """Keys at the apex, by their thumbprints, write nothing any more, and leave the apex."""

    keys: tuple[bytes, ...]


class BindOwner(Effect, frozen=True):
    """The home is this owner's."""

    owner: UUID


class SpendCode(Effect, frozen=True):
    """The operator's code for the home's adoption, if there is one, is used up."""


class BindDevice(Effect, frozen=True):
    """The home has this box."""

    device: UUID


class LetGoDevice(Effect, frozen=True):
    """The home has no box any more, which is left in the state that is named."""

    device: UUID
    box: Box


class SetBox(Effect, frozen=True):
    """The box is in another state from now on."""

    device: UUID
    box: Box


class OpenClaim(Effect, frozen=True):
    """A claim on the box is open until it is due."""

    device: UUID
    claimant: UUID
    due_at: int


class CloseClaim(Effect, frozen=True):
    """The claim is over."""

    id: UUID
    state: str


class OpenRelease(Effect, frozen=True):
    """The box may be enrolled by a bearer or a receiver, once, for a time."""

    device: UUID
    until: int
    bearer: bytes | None
    receiver: bytes | None


class SpendRelease(Effect, frozen=True):
    """The release is used up."""

    id: UUID


class Hold(Effect, frozen=True):
    """The home takes no updates; quarantined, it leaves the DNS too. The reason is its owner's to read."""

    state: Home
    reason: str


class Unhold(Effect, frozen=True):
    """The home is as it was before it was held."""


class CloseHome(Effect, frozen=True):
    """The home leaves the DNS; its records are kept for 30 days."""


class ReopenHome(Effect, frozen=True):
    """A closed home is its owner's again, without a key."""


class RemoveHome(Effect, frozen=True):
    """A closed home's records go."""


class RestLabel(Effect, frozen=True):
    """Nobody else gets the label for a time."""

    until: int


class WakeLabel(Effect, frozen=True):
    """The label is in use again."""


class KeepPending(Effect, frozen=True):
    """A key is known, and untrusted, for a time."""

    key: bytes
    until: int


class DropPending(Effect, frozen=True):
    """No key is pending any more."""


class AddOwnerKey(Effect, frozen=True):
    """The owner has one more key, by its thumbprint."""

    key: bytes
    role: str


class RevokeOwnerKeys(Effect, frozen=True):
    """Keys of the owner, by their thumbprints, say nothing any more."""

    keys: tuple[bytes, ...]


class OpenRecovery(Effect, frozen=True):
    """A new key will be the owner's when it is due, unless somebody objects."""

    way: str
    key: bytes
    due_at: int
    by: bytes
    operator: str


class CloseRecovery(Effect, frozen=True):
    """The recovery is over, or has been objected to."""

    id: UUID
    state: str


class ConfirmRecovery(Effect, frozen=True):
    """A second operator speaks for the recovery."""

    id: UUID
    operator: str


class SettleRecoveries(Effect, frozen=True):
    """What was disputed is disputed no more."""


class AddDeviceKey(Effect, frozen=True):
    """A key, by its thumbprint, may change one name below the home."""

    key: bytes
    name: Name


class MintKey(Effect, frozen=True):
    """A shared secret may answer the ACME challenges of one name."""

    name: Name


class Notice(msgspec.Struct, frozen=True):
    """Somebody must be told: *to* is owner, claimant or operator."""

    kind: str
    to: str = "owner"


class Decision(msgspec.Struct, frozen=True):
    """What happens: effects in their order, how home and box are afterwards, who is told, and what is waited for."""

    event: str
    effects: tuple[Effect, ...]
    home: Home
    box: Box
    notices: tuple[Notice, ...] = ()
    until: int | None = None
