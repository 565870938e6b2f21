"""Where private keys are: sealed in the database under one of several master keys, or in a PKCS#11 token.

Law: what is made now is sealed under the first master key, what is there opens under any of them. Each key says in
which vault it is, and nothing else is asked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn, Protocol

from ddns.dns.names import Name
from ddns.zone.jobs import SealedKey
from zone_signer.phase import Role
from zone_signer.vault import SEALED, SigningKey, Vault, VaultAway, VaultError, described, is_sealed, master_of

log = logging.getLogger("zone_signer")


class Opener(Protocol):
    """What a signer gets its keys from: one `Vault`, a token (`hsm.Hsm`), or `Vaults`. For any thread."""

    def make(
        self,
        origin: Name,
        algorithm: int,
        role: Role = Role.CSK,
        taken: Collection[int] = (),
        vault: str = SEALED,
    ) -> tuple[SigningKey, SealedKey]:
        """Make a key for zone *origin* in *vault* whose tag is none of *taken*. Raises `VaultError`.

        It may take a second: an RSA key is searched for, and a token answers when it likes.
        """

    def open(self, origin: Name, sealed: SealedKey) -> SigningKey:
        """Return the key of zone *origin*, ready to sign. Raises `VaultError`."""

    def destroy(self, origin: Name, sealed: SealedKey) -> None:
        """Destroy a private half for ever, after its row was committed without it. Raises `VaultError`."""

    def reseal(self, origin: Name, sealed: SealedKey) -> SealedKey | None:
        """Return the key under the master key that seals now; None where it is already. Raises `VaultError`."""


class Vaults:
    """All vaults of a signer: *masters*, of which the first seals, and the token *hsm*, where there is one.

    *again* gives the master keys anew where their files have changed since it gave them last, and None where not; it is
    asked before a key is sealed, and when one comes under a master key that is not known.
    """

    __slots__ = ("_again", "_masters", "hsm")

    def __init__(
        self,
        masters: Sequence[Vault],
        hsm: Opener | None = None,
        again: Callable[[], Sequence[Vault] | None] | None = None,
    ) -> None:
        self.hsm = hsm
        self._again = again
        self._masters = {one.master: one for one in masters}

    @property
    def masters(self) -> tuple[bytes, ...]:
        """Return what tells the master keys that are here from others; the first is the one that seals."""
        return tuple(self._masters)

    def refresh(self) -> None:
        """Take the master keys that are in the files now. Where those cannot be read, all stays as it was."""
        if self._again is None:
            return
        try:
            found = self._again()
        except VaultError as error:
            log.warning("signer.master_keys_stay reason=%s", error)
            return
        if found is not None:
            self._masters = {one.master: one for one in found}  # one assignment: other threads read it
            log.info("signer.master_keys held=%s", " ".join(master.hex() for master in self._masters))

    def make(
        self,
        origin: Name,
        algorithm: int,
        role: Role = Role.CSK,
        taken: Collection[int] = (),
        vault: str = SEALED,
    ) -> tuple[SigningKey, SealedKey]:
        """Make a key for zone *origin* in *vault* whose tag is none of *taken*. Raises `VaultError`."""
        if vault != SEALED and self.hsm is not None:
            return self.hsm.make(origin, algorithm, role, taken, vault)
        self.refresh()
        return self._first().make(origin, algorithm, role, taken, vault)

    def open(self, origin: Name, sealed: SealedKey) -> SigningKey:
        """Open a key of zone *origin*. Raises `VaultError`."""
        if sealed.vault != SEALED or not is_sealed(sealed.sealed):
            return self._token(origin, sealed).open(origin, sealed)
        return self._under(sealed).open(origin, sealed)

    def destroy(self, origin: Name, sealed: SealedKey) -> None:
        """Destroy a private half that is in the token; one that was sealed went with its row. Raises `VaultError`."""
        if sealed.vault != SEALED:
            self._token(origin, sealed).destroy(origin, sealed)

    def reseal(self, origin: Name, sealed: SealedKey) -> SealedKey | None:
        """Return the key under the first master key; None where it is already, or in a token. Raises `VaultError`."""
        if sealed.vault != SEALED:
            return None
        first = self._first()
        under = self._under(sealed)
        if under.master == first.master:
            return None
        return under.moved(origin, sealed, first)

    def _first(self) -> Vault:
        return next(iter(self._masters.values()))

    def _under(self, sealed: SealedKey) -> Vault:
        """Return the vault whose master key a key is under, or else the first, which says what is wrong."""
        master = master_of(sealed.sealed)
        if master not in self._masters:
            self.refresh()
        return self._masters.get(master) or self._first()

    def _token(self, origin: Name, sealed: SealedKey) -> Opener:
        if self.hsm is None:
            raise VaultAway(
                f"{described(origin, sealed)} is in the vault {sealed.vault}, which is not here;"
                " start zone-signer with --pkcs11 and --pkcs11-token"
            )
        return self.hsm

    def __repr__(self) -> str:
        return f"Vaults(masters={[master.hex() for master in self._masters]})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault does not leave its process")
