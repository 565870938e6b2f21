"""What the keys of a zone ought to become, and what people have asked for. Values. Pure."""

from __future__ import annotations

import msgspec

from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView
from zone_signer.phase import Role

SCHEMES = {"csk": (Role.CSK,), "ksk+zsk": (Role.KSK, Role.ZSK)}


class Goal(msgspec.Struct, frozen=True):
    """What a zone ought to have: one key of each of *roles*, or no signatures at all where it is not *secure*."""

    secure: bool
    algorithm: int
    roles: tuple[Role, ...]
    vault: str

    def fits(self, key: KeyView) -> bool:
        """Tell whether *key* is of the kind that the zone ought to have."""
        return (
            self.secure
            and key.algorithm == self.algorithm
            and key.role in self.roles
            and key.vault == self.vault
            and not key.compromised
        )


def goal_of(zone_algorithm: int, wish: str, policy: KeyPolicy) -> Goal:
    """Return what a zone of *zone_algorithm* under *policy* ought to have; *wish* is secure or insecure."""
    algorithm = zone_algorithm if policy.algorithm is None else policy.algorithm
    return Goal(wish == "secure", algorithm, SCHEMES[policy.scheme], policy.vault)


class Order(msgspec.Struct, frozen=True):
    """What somebody asked for at *at*: a row of `signing_orders`.

    *kind* is one of roll, emergency, insecure, secure, ds-seen, ds-gone, cancel, without and resign. *denial* is what
    `secure` signs with, *server* the one that `without` does without, *by* who asked.
    """

    id: int
    kind: str
    role: Role | None
    tag: int | None
    at: int
    denial: str | None = None
    server: str | None = None
    by: str = ""
