"""The first keys of a zone that nobody has seen yet: made for its first edition, and stored in the same commit.

Law: no cache can hold such a zone without them, so they are everywhere from the start (`rolls.first_phases`). What is
made here is not remembered: the commit may fail.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.zone.jobs import SealedKey
from zone_signer import keys as public
from zone_signer.goal import goal_of
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyring import ZoneKeys
from zone_signer.keyset import KeySet
from zone_signer.keyview import KeyView
from zone_signer.records_of_keys import KeyRecords
from zone_signer.rolls import newborn
from zone_signer.stage import Facts, NewKey
from zone_signer.vault import SigningKey
from zone_signer.vaults import Opener


class FirstKeys(msgspec.Struct, frozen=True):
    """Keys as they sign and as they are stored, and the *ds* that the parent ought to publish."""

    keys: ZoneKeys
    sealed: tuple[SealedKey, ...]
    ds: tuple[Rdata, ...]

    @classmethod
    def make(
        cls, vault: Opener, origin: Name, algorithm: int, policy: KeyPolicy, now: int, *, is_home: bool
    ) -> FirstKeys:
        """Make a key of each role that *policy* asks for, of *algorithm* where it names none. Raises `VaultError`."""
        facts = _unseen(origin, is_home=is_home)
        goal = goal_of(algorithm, "secure", policy)
        opened: list[SigningKey] = []
        sealed: list[SealedKey] = []
        views: list[KeyView] = []
        for role in goal.roles:
            taken = [key.tag for key in sealed]
            key, made = vault.make(origin, goal.algorithm, role, taken, goal.vault)
            new = NewKey(role, goal.algorithm, goal.vault, None, "the zone is new")
            opened.append(key)
            sealed.append(replace(made, born=now))
            views.append(newborn(new, made.id, made.tag, made.public, facts, now))
        keyset = KeySet.of(origin, 0, views, policy, parent_here=is_home, insecure=False)
        records = KeyRecords.of(keyset, views)
        ds = tuple(sorted(public.ds(origin, one.rdata) for one in views if one.is_sep))
        return cls(ZoneKeys(origin, opened, records, policy.name), tuple(sealed), ds)


def _unseen(origin: Name, *, is_home: bool) -> Facts:
    return Facts(
        zone=0, origin=origin, parent=int(is_home), dnskey_ttl=0, negative_ttl=0, max_ttl=0, whole=None, serial=0,
        keyset=0, fresh=True,
    )  # fmt: skip
