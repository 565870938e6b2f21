"""The policies of zones as they are in memory: what the rows of `signing_policies` said when they were read last.

Law: whoever signs looks here and never waits; whoever reads the database anyway brings new rows (`learn`). A zone
without a policy of its own has `home` where its registry is here, and `default` elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from zone_signer.keypolicy import KeyPolicy
from zone_signer.policy import DAY

DEFAULT = "default"
HOME = "home"


def name_of(policy: str | None, *, is_home: bool) -> str:
    """Return the name of a zone's policy; *policy* is what its row says."""
    return policy or (HOME if is_home else DEFAULT)


class Policies:
    """All policies by name; before the first are read, those that a new database has."""

    __slots__ = ("_named",)

    def __init__(self) -> None:
        self._named = {DEFAULT: KeyPolicy(), HOME: KeyPolicy(name=HOME, csk_lifetime=730 * DAY)}

    def learn(self, policies: Iterable[KeyPolicy]) -> None:
        """Take what the database has in place of what was here. For any thread."""
        self._named = {one.name: one for one in policies}

    def knows(self, name: str | None) -> bool:
        """Tell whether the policy that a zone's row names has been read; None: it names none."""
        return name is None or name in self._named

    def named(self, name: str) -> KeyPolicy:
        """Return the policy *name*; one that nobody has read yet is taken for `default`."""
        found = self._named.get(name)
        return found if found is not None else self._named.get(DEFAULT) or KeyPolicy()
