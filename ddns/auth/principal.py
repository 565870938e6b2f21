"""Who may do what: credentials, the grants they carry, and the principal a verified message speaks for."""

from __future__ import annotations

import functools
import hmac
import ipaddress

import msgspec

from ddns.dns import names
from ddns.dns.codes import MAX_NAME, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata

RULES = ("zone", "subdomain", "name", "self", "selfsub", "wildcard", "acme", "within")

# How sure the registry is of who holds a key, from the least on: nobody vouched for it; a one-time secret was
# shown; an operator entered it; somebody stood before the device; its maker vouched; its hardware proved it.
ASSURANCES = ("open", "token", "manual", "qr", "voucher", "attested")
DEFAULT_ASSURANCE = "manual"
_RANKS = {level: rank for rank, level in enumerate(ASSURANCES)}

ADDRESSES = frozenset({int(Type.A), int(Type.AAAA)})  # the types whose records are one address

_ASTERISK = ord("*")
_MAPPED = bytes(10) + b"\xff\xff"  # before an IPv4 address as IPv6 has it (RFC 4291 §2.5.5.2)
ACME_LABEL = b"\x0f_acme-challenge"  # as it stands in a name (RFC 8555 §8.4)


class Secret:
    """A shared secret that no log, error or `repr` shows."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """Return the secret's octets; keep them out of anything that lasts."""
        return self._octets

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return id(self)


class Grant(msgspec.Struct, frozen=True):
    """One rule about what a credential may write in the zone *zone* (its id).

    *rule* is one of `RULES` and says which names are meant, by *name*:

    - `zone`: every name of the zone;
    - `subdomain`: *name* and what is below; `name`: *name* alone;
    - `self`: the name that the key is called by; `selfsub`: that and what is below;
    - `wildcard`: what is below the parent of *name*, a pattern such as `*.lab.example.`;
    - `acme`: TXT at `_acme-challenge.` of *name* and of the names below (RFC 8555 §8.4);
    - `within`: in each home of the zone what *name* and what is below are to the zone itself: `lock.homes.example.`
      means `lock.smith.homes.example.` and so on. An asterisk may end its first label: `lock-*`, or `*` for every name
      below the home's own. Only denials for homes are written so, and `for_home` says what one means in a home.

    *types* are the record types meant, None: all. *most* bounds, as sorted pairs of type and number, how many
    records of that type a name may have after the update. *min_assurance*: a grant holds for keys of that
    assurance or more, a denial strikes keys of less. *denied* makes the rule a denial and is its reason.
    *homes*: the denial is for the homes that the zone delegates, *tenant*: for those of this tenant (its id) alone.
    *addresses*: the denial takes no more than A and AAAA records with an address in one of these networks. *id* is the
    number that people know it by, 0 where it has none yet.
    """

    zone: int
    name: Name
    types: frozenset[int] | None = None
    rule: str = "subdomain"
    most: tuple[tuple[int, int], ...] = ()
    min_assurance: str | None = None
    denied: str | None = None
    homes: bool = False
    id: int = 0
    tenant: int | None = None
    addresses: tuple[str, ...] = ()

    @property
    def anchor(self) -> Name:
        """Return the name that every name which the rule means is at or below of; for a pattern its parent."""
        pattern = self.rule == "wildcard" or (self.rule == "within" and _pattern(self.name))
        return names.parent(self.name) if pattern else self.name

    def for_home(self, home: Name) -> Grant | None:
        """Return the rule as it stands in the zone of *home*; None: it means no name there, all are too long for it."""
        if self.rule != "within":
            return self
        name = self.name[: len(self.name) - len(names.parent(home))] + home
        return msgspec.structs.replace(self, name=name) if len(name) <= MAX_NAME else None

    def means(self, key: Name, name: Name, rdtype: int) -> bool:
        """Tell whether the rule speaks of *rdtype* at *name*, a name of the zone, for a key called *key*.

        The *rdtype* ANY, a whole name, is meant where all types are.
        """
        if self.types is not None and rdtype not in self.types:
            return False
        rule = self.rule
        if rule == "zone":
            return True
        if rule == "subdomain":
            return names.is_subdomain(name, self.name)
        if rule == "name":
            return name == self.name
        if rule == "self":
            return name == key
        if rule == "selfsub":
            return names.is_subdomain(name, key)
        if rule == "wildcard":
            return name != self.anchor and names.is_subdomain(name, self.anchor)
        if rule == "within":
            return _within(name, self.name)
        return (
            rule == "acme"
            and rdtype == Type.TXT
            and name.startswith(ACME_LABEL)
            and names.is_subdomain(names.parent(name), self.name)
        )

    def reached(self, assurance: str) -> bool:
        """Tell whether a key of this *assurance* has what the rule asks for."""
        return self.min_assurance is None or _RANKS[assurance] >= _RANKS[self.min_assurance]

    def bound(self, rdtype: int) -> int | None:
        """Return how many records of *rdtype* a name may have; None: as many as there is room for."""
        return next((most for bounded, most in self.most if bounded == rdtype), None)

    def holds(self, rdtype: int, rdata: Rdata) -> bool:
        """Tell whether the address of an A or AAAA record lies in one of the rule's networks."""
        if rdtype not in ADDRESSES:
            return False
        return any(len(low) == len(rdata) and low <= rdata <= high for low, high in _spans(self.addresses))

    @property
    def terms(self) -> Grant:
        """Return the rule without its number: rules of the same terms are the same rule."""
        return msgspec.structs.replace(self, id=0) if self.id else self


def _pattern(name: Name) -> bool:
    return name[name[0]] == _ASTERISK  # ends the first label; the root's own octet is none


def _within(name: Name, wanted: Name) -> bool:
    """Tell whether *name* is *wanted* or below it, whose first label may end in an asterisk."""
    if not _pattern(wanted):
        return names.is_subdomain(name, wanted)
    above = names.parent(wanted)
    if name == above or not names.is_subdomain(name, above):
        return False
    while (up := names.parent(name)) != above:
        name = up
    return name[1 : 1 + name[0]].startswith(wanted[1 : wanted[0]])


@functools.lru_cache(maxsize=256)
def _spans(networks: tuple[str, ...]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the first and the last address of each of *networks*, in octets; those of IPv4 also mapped (RFC 4291)."""
    found = []
    for one in networks:
        network = ipaddress.ip_network(one)
        first, last = network[0].packed, network[-1].packed
        found.append((first, last))
        if network.version == 4:
            found.append((_MAPPED + first, _MAPPED + last))
    return tuple(found)


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A key that may sign updates.

    *kind* is `tsig` (then *algorithm* is a name such as `hmac-sha256` and *secret* is set) or `sig0`
    (then *algorithm* is the number as text, *public* the KEY's RDATA and *tag* its key tag).
    *home* is the id of the home's zone that it speaks for as its owner, *invitation* the id of the
    invitation that it spends; else None. *zones* are those where its *grants* give something, whatever is
    passed. *assurance* is one of `ASSURANCES`.
    """

    id: int
    name: Name
    kind: str
    algorithm: str
    tag: int = 0
    public: bytes = b""
    secret: Secret | None = None
    home: int | None = None
    invitation: int | None = None
    grants: tuple[Grant, ...] = ()
    zones: frozenset[int] = frozenset()
    assurance: str = DEFAULT_ASSURANCE

    def __post_init__(self) -> None:
        # An operator's key may have a grant for each of thousands of zones: the coarse question is asked of a set.
        given = frozenset(grant.zone for grant in self.grants if grant.denied is None)
        msgspec.structs.force_setattr(self, "zones", given)


class Principal(msgspec.Struct, frozen=True):
    """Who a verified message speaks for."""

    credential: Credential

    @property
    def label(self) -> str:
        """Return how journals and people name it, such as `sig0:smith.homes.example.`."""
        return _label(self.credential.kind, self.credential.name)


@functools.lru_cache(maxsize=1024)
def _label(kind: str, name: Name) -> str:
    return f"{kind}:{names.to_text(name)}"
