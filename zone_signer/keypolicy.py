"""How long the keys of a zone live and how carefully they are replaced: a row of `signing_policies`. Pure."""

from __future__ import annotations

import zlib

import msgspec

from zone_signer.keyview import KeyView
from zone_signer.phase import Role
from zone_signer.policy import DAY, HOUR, Policy


class KeyPolicy(msgspec.Struct, frozen=True):
    """The rules of a zone's keys; all times in seconds, a lifetime of 0 for keys that roll only when asked.

    *algorithm* None: the zone's own. *ds_ttl* is assumed where the parent has not said. *parent_check*: auto where the
    parent's servers are asked, manual where people say what they show. *cds*: never, always, or while a DS moves.
    *watch*: which servers must have shown a step. *patience*: a step that waits so long is an alarm. *purge_after*: the
    public half of a removed key is kept so long, that its tag is not used again.
    """

    name: str = "default"
    scheme: str = "csk"
    algorithm: int | None = None
    csk_lifetime: int = 0
    ksk_lifetime: int = 0
    zsk_lifetime: int = 90 * DAY
    lifetime_jitter: float = 0.1
    publish_safety: int = HOUR
    retire_safety: int = HOUR
    ds_ttl: int = DAY
    parent_check: str = "auto"
    cds: str = "rolls"
    watch: str = "all"
    patience: int = DAY
    purge_after: int = 90 * DAY
    vault: str = "sealed"
    signatures: Policy = Policy()

    def lifetime(self, role: Role) -> int:
        """Return how long a key of *role* is used, in seconds; 0 for ever."""
        return {Role.CSK: self.csk_lifetime, Role.KSK: self.ksk_lifetime, Role.ZSK: self.zsk_lifetime}[role]

    def ends(self, key: KeyView) -> int | None:
        """Return when a successor ought to have taken over from *key*, or None.

        Keys made together end up to the jitter apart, each at the same time at every signer.
        """
        lifetime = self.lifetime(key.role)
        if not lifetime:
            return None
        early = self.lifetime_jitter * zlib.crc32(key.id.encode()) / 2**32
        return key.born + int(lifetime * (1 - early))

    def lead(self, role: Role) -> int:
        """Return how long before the end of a key of *role* its successor is made, in seconds.

        That is how long a successor needs until it may take over: its DNSKEY must be in every cache (RFC 7583 §3.2.1,
        Ipub), and where it has a DS that too (§3.3.2). Never more than half a lifetime, or keys would do nothing else.
        """
        lead = self.signatures.dnskey_ttl + self.publish_safety
        if role is not Role.ZSK:
            lead += self.ds_ttl + self.publish_safety
        return min(lead, self.lifetime(role) // 2)
