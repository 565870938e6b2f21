"""What a zone publishes because of its keys, and who signs what: derived from the phases of the keys. Pure.

Law: equal phases give an equal keyset at every signer. Its *number* is the zone's, and grows whenever anything in it
but the DS changes; nobody signs with another number than the zone's row has.

CDS and CDNSKEY always name the same keys, and are signed by all that sign the DNSKEY RRset, so by one in the present
DS (RFC 7344 §4.1). A zone whose parent is here publishes neither: the registry knows its keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from zone_signer import keys as public
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView
from zone_signer.phase import MOVING, SHOWN, STRAY

APEX_TYPES = frozenset({Type.DNSKEY, Type.CDS, Type.CDNSKEY})  # signed by `KeySet.apex`; all else by `KeySet.zone`
DELETE_CDS: Rdata = b"\0\0\0\0\0"  # 0 0 0 00: RFC 8078 §4
DELETE_CDNSKEY: Rdata = b"\0\0\3\0\0"  # 0 3 0 AA==: RFC 8078 §4


class KeySet(msgspec.Struct, frozen=True):
    """The keys of a zone at work: what its apex publishes, and the ids of the keys that sign.

    *ds* is what the parent ought to publish; with *delete_ds* it is asked to publish none.
    """

    number: int
    dnskeys: tuple[Rdata, ...]
    apex: tuple[str, ...]
    zone: tuple[str, ...]
    cds: tuple[Rdata, ...]
    cdnskey: tuple[Rdata, ...]
    ds: tuple[Rdata, ...]
    delete_ds: bool

    @classmethod
    def of(
        cls,
        origin: Name,
        number: int,
        keys: Sequence[KeyView],
        policy: KeyPolicy,
        *,
        parent_here: bool,
        insecure: bool,
    ) -> KeySet:
        """Return what *keys*, foreign ones among them, make of zone *origin*.

        *insecure*: the zone is meant to lose its last DS.
        """
        shown = [key for key in keys if key.dnskey in SHOWN]
        named = [key for key in keys if key.ds in SHOWN]
        delete = insecure and not named and any(key.ds in STRAY for key in keys)
        cds, cdnskey = _asked(origin, keys, named, policy, delete=delete)
        if parent_here or policy.cds == "never" or not any(key.is_sep and key.is_living for key in shown):
            cds, cdnskey = (), ()
        return cls(
            number=number,
            dnskeys=tuple(sorted(key.rdata for key in shown)),
            apex=tuple(sorted(key.id for key in shown if key.is_sep and not key.foreign)),
            zone=tuple(sorted(key.id for key in keys if key.zrrsig in SHOWN and not key.foreign)),
            cds=cds,
            cdnskey=cdnskey,
            ds=tuple(sorted(public.ds(origin, key.rdata) for key in named)),
            delete_ds=delete,
        )

    def same_zone(self, other: KeySet) -> bool:
        """Tell whether both publish and sign the same, so that the zone keeps its number."""
        return self._published() == other._published()

    def _published(self) -> tuple[tuple[Rdata, ...] | tuple[str, ...], ...]:
        return self.dnskeys, self.apex, self.zone, self.cds, self.cdnskey


def _asked(
    origin: Name, keys: Sequence[KeyView], named: Sequence[KeyView], policy: KeyPolicy, *, delete: bool
) -> tuple[tuple[Rdata, ...], tuple[Rdata, ...]]:
    """Return CDS and CDNSKEY: always, or while the DS of some key is on its way (RFC 7344 §5)."""
    if delete:
        return (DELETE_CDS,), (DELETE_CDNSKEY,)
    if policy.cds != "always" and not any(key.ds in MOVING for key in keys):
        return (), ()
    return tuple(sorted(public.ds(origin, key.rdata) for key in named)), tuple(sorted(key.rdata for key in named))
