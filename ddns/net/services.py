"""The admission of service registrations (RFC 9665): signed with a key that nobody enrolled, first come first served.

A home's zone takes them where a policy says so: a credential of kind `srp` called `_srp.` and the zone, whose
*public* holds the networks from which hosts may come. Law: anybody can make a key and sign with it, so a good
signature proves nothing and gets no refund of what its verification cost; and who sends must be proved to be where
it says, by a stream or a cookie, before it comes here.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable

from ddns.auth import keys, sig0, verdicts
from ddns.auth.budget import Budget
from ddns.auth.keys import BadKey
from ddns.auth.principal import ASSURANCES, Credential
from ddns.auth.sig0 import Sig0Record
from ddns.dns import names
from ddns.dns.asker import Asker
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import BadName
from ddns.dns.refusal import Refusal
from ddns.net.keyring import Keyring
from ddns.zone import srp
from ddns.zone.srp import Registration
from ddns.zone.update import Update

# Called once: with the policy that allows the registration and what it is, or with why not.
Judged = Callable[[Credential | Refusal, Registration | None], None]


class Services:
    """Registrations on their way to the queue, for one worker; *clock* gives seconds since 1970."""

    def __init__(self, keyring: Keyring, budget: Budget, times: sig0.Policy, clock: Callable[[], float]) -> None:
        self._keyring = keyring
        self._budget = budget
        self._times = times
        self._clock = clock

    def take(
        self, asker: Asker, signature: Sig0Record, known: tuple[Credential, ...], update: Update, judged: Judged
    ) -> bool:
        """Take *update* where it is a registration by a key that is not among those *known*; else return False."""
        if sig0.candidates(signature, known):
            return False
        registration = srp.read(update, signature.signer)
        if registration is None:
            return False
        try:
            policy = srp.policy_name(update.zone)
        except BadName:
            return False

        def found(policies: tuple[Credential, ...] | None) -> None:
            allowed = next((one for one in policies or () if one.kind == srp.POLICY), None)
            if policies is None:
                judged(verdicts.SERVER_BUSY, None)
            elif allowed is None:
                judged(sig0.unknown_key(signature), None)
            else:
                refusal = self._refuse(asker, signature, registration, allowed)
                judged(refusal or allowed, registration if isinstance(registration, Registration) else None)

        if not self._keyring.find(policy, found):
            judged(verdicts.SERVER_BUSY, None)
        return True

    def _refuse(
        self, asker: Asker, signature: Sig0Record, registration: Registration | Refusal, policy: Credential
    ) -> Refusal | None:
        """Do the cheap checks, then spend, then verify (as for every SIG(0): CVE-2024-1975)."""
        if not comes_from(policy.public, asker.source):
            return Refusal(
                "srp-from-elsewhere",
                Rcode.REFUSED,
                "Hosts register here from their home's own network only; ask the registry to add yours.",
                Ede.PROHIBITED,
            )
        if isinstance(registration, Refusal):
            return registration
        try:
            algorithm, tag = keys.check(registration.key)
        except BadKey as reason:
            return verdicts.key_unfit(reason)
        if (signature.algorithm, signature.tag) != (algorithm, tag):
            return _wrong(registration)
        refusal = sig0.in_time(signature, int(self._clock()), self._times)
        if refusal is not None:
            return refusal
        if not self._budget.spend(registration.host, asker.source, self._clock(), proved=True):
            return verdicts.SIG0_RATIONED
        shown = Credential(
            0, registration.host, "sig0", str(algorithm), tag=tag, public=registration.key, assurance=ASSURANCES[0]
        )
        if isinstance(sig0.verify(signature, [shown]), Refusal):
            return _wrong(registration)
        return None


@functools.lru_cache(maxsize=4096)
def _networks(text: bytes) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in text.decode("ascii").split())


def comes_from(networks: bytes, source: str) -> bool:
    """Tell whether *source* is in one of *networks*, prefixes as text with blanks between."""
    address = ipaddress.ip_address(source.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    place = mapped or address
    return any(place.version == one.version and place in one for one in _networks(networks))


def _wrong(registration: Registration) -> Refusal:
    return Refusal(
        "srp-signature-wrong",
        Rcode.REFUSED,
        f"The update is not signed with the key that it gives {names.to_text(registration.host)}.",
        Ede.PROHIBITED,
    )
