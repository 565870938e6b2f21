"""The short way to commit a batch of updates: judge and sign what memory shows, then write it if memory was right.

Law: one function of the database locks the zones, compares what the batch was judged by (editions, keys, rules,
homes, requests answered before), and writes all of it or nothing. So what is answered is what `ddns.net.commits`
would have answered. What does not fit, or has changed meanwhile, goes that way.

Of a zone that is ready (see `Standing`) the published records show what is stored: the signer's own types left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec
import psycopg
from twisted.logger import Logger

from ddns.answer.image import Node, ZoneImage
from ddns.answer.served import published as served_as
from ddns.answer.served import replaced, stored
from ddns.answer.table import Table
from ddns.auth.grants import Rules
from ddns.auth.principal import Credential
from ddns.dns.codes import SIGNER_TYPES, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, soa_serial
from ddns.net.judging import (
    Committed,
    Found,
    PublishedRows,
    Verified,
    ZoneWork,
    done_by,
    judge,
    with_those_above,
)
from ddns.net.keyring import Keyring
from ddns.signing.client import SignerClient
from ddns.signing.publish import Published, sign
from ddns.store import standing, unchanged
from ddns.store.credentials import Stamped
from ddns.store.line import Line, NotSent
from ddns.store.lines import Lines
from ddns.store.standing import Shown, Standing
from ddns.store.zones import Zone
from ddns.zone.lease import Terms
from ddns.zone.limits import Limits

log = Logger(namespace="ddns.updates")

_SOA = int(Type.SOA)

KNOWN = 32_768  # zones whose standing is remembered; some 500 octets each, and 400 a key
PATIENCE = 64  # batches for which a zone that was not as it was remembered is left to the careful way, at most


class Attempt(msgspec.Struct, frozen=True):
    """What became of a batch: *taken* are the places in it that *done* answers; None: nothing was done.

    *unsigned*: the signer did not sign now, and need not be asked again.
    """

    done: Committed | None = None
    taken: tuple[int, ...] = ()
    unsigned: bool = False


class _Zone:
    """What is remembered of one zone: how it stands, and for how many batches more it goes the careful way."""

    __slots__ = ("left", "penalty", "rules", "standing")

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.rules: dict[int, tuple[Credential, Rules]] = {}  # those of its keys, as long as it stands so
        self.penalty = 0
        self.left = 0

    def doubt(self) -> None:
        """Have it go the careful way for a while, each time for longer."""
        self.standing = None
        self.left = self.penalty = min(2 * self.penalty + 1, PATIENCE)


class Optimist:
    """One worker's short way; *follower* is the number by which this worker follows editions.

    What memory does not have is read over *reading*, which is for that alone: *lines* commit meanwhile, batches
    of other zones beside each other.
    """

    def __init__(
        self,
        *,
        lines: Lines,
        reading: Line,
        table: Table,
        signer: SignerClient,
        keyring: Keyring,
        limits: Limits,
        terms: Terms,
        follower: int,
    ) -> None:
        self._lines = lines
        self._reading = reading
        self._table = table
        self._signer = signer
        self._keyring = keyring
        self._limits = limits
        self._terms = terms
        self._follower = follower
        self._zones: OrderedDict[int, _Zone] = OrderedDict()

    async def commit(self, batch: Sequence[Verified]) -> Attempt:
        """Commit as much of *batch* as fits, all of it or nothing. Raises `psycopg.OperationalError`.

        After that it may be committed all the same.
        """
        zones = self._fitting(batch)
        return await self._of(batch, zones) if zones else Attempt()

    async def _of(self, batch: Sequence[Verified], zones: Sequence[int]) -> Attempt:
        """Commit what of *batch* is for *zones*, as `commit` does."""
        try:
            work = await self._look(batch, zones)
        except (NotSent, psycopg.OperationalError):
            return Attempt()  # nothing was done: the careful way has connections of its own
        keys = self._keys(batch, work)
        taken = tuple([place for place, one in enumerate(batch) if one.zone in work])
        if not taken:
            return Attempt()
        judged = judge(
            [batch[place] for place in taken],
            {},
            lambda one: keys[one.credential.id].within(one.zone or 0),
            work,
            self._limits,
            self._terms,
        )
        guarded = [zone for zone, item in work.items() if item.guarded]
        if guarded:
            # A TLSA record changes: only the careful way knows what caches hold of those. The others need not wait.
            rest = [zone for zone in zones if zone not in guarded]
            return await self._of(batch, rest) if rest else Attempt()
        written = await sign(self._signer, *done_by(work), judged.remembered())
        if written.pending or written.keys:
            if not written.away:
                # It was asked wrongly: the zone has changed, or is signed another way now.
                for zone in written.pending:
                    self._zones[zone].doubt()
            return Attempt(unsigned=written.away)
        try:
            changed = await unchanged.commit(self._lines.free(), written.batch, self._basis(work, keys), self._follower)
        except NotSent:
            return Attempt()
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            # Such as two servers that were sent the same request for two zones: the careful way finds out.
            log.warn("updates.not_committed n={n} reason={reason}", n=len(taken), reason=str(error).strip())
            return Attempt()
        if changed:
            self._doubt(changed, batch)
            return Attempt()
        for zone in work:
            self._zones[zone].penalty = 0
        return Attempt(Committed(judged.answers, tuple(written.batch.editions)), taken)

    # -- what is known

    def _fitting(self, batch: Sequence[Verified]) -> list[int]:
        """Return the zones of *batch* that may go this way, as far as can be told before they are looked at."""
        fits: dict[int, bool] = {}
        for one in batch:
            if one.zone is None:
                continue
            fits.setdefault(one.zone, True)
            update = one.update
            if one.registration is not None or update.lease is not None or update.dane is not None:
                fits[one.zone] = False
        for zone in fits:
            known = self._zones.get(zone)
            if known is not None and known.left:
                known.left -= 1
                fits[zone] = False
        return [zone for zone, fit in fits.items() if fit]

    async def _look(self, batch: Sequence[Verified], zones: Sequence[int]) -> dict[int, ZoneWork]:
        """Return the zones that are ready, from memory, and from the database where memory has nothing."""
        images = {zone: self._held(zone) for zone in zones}
        cold = [zone for zone, image in images.items() if image is None]
        read = dict.fromkeys([*[zone for zone in zones if not self._remembers(zone)], *cold])
        mentioned = with_those_above(
            [
                (one.zone, one.update.zone, one.update.names)
                for one in batch
                if one.zone in images and one.zone is not None
            ]
        )
        shown: Shown = {}
        if read:
            wanted = [(zone, name) for zone in cold for name in mentioned[zone]]
            # One statement, of one moment: if how the zones stand holds at the commit, so does what is read with it.
            standings, shown = await standing.ask(self._reading, list(read), wanted)
            for zone in read:
                self._remember(zone, standings.get(zone))
            images = {zone: self._held(zone) for zone in zones}
        work: dict[int, ZoneWork] = {}
        for zone in zones:
            remembered, names = self._zones[zone], mentioned[zone]
            known = remembered.standing
            if known is None:
                continue
            image = images[zone]
            if zone in read and zone in cold:
                row = known.zone
                edition, serial = row.edition, row.serial
                found: Found = _stored(zone, names, shown)
                published: Published = PublishedRows(zone, shown)
            elif image is not None and image.ready:
                found, published = _records(image, names)
                edition, serial = image.edition, _serial(found[zone, image.origin])
            else:
                continue
            work[zone] = _work(remembered, known, edition, serial, names, found, published)
        return work

    def _held(self, zone: int) -> ZoneImage | None:
        """Return the zone's image where all of it is in memory: what a window does not show may be there."""
        image = self._table.image(zone)
        return image if image is not None and image.whole else None

    def _remembers(self, zone: int) -> bool:
        known = self._zones.get(zone)
        if known is None:
            return False
        self._zones.move_to_end(zone)
        return known.standing is not None

    def _remember(self, zone: int, found: Standing | None) -> None:
        known = self._zones.get(zone)
        if known is None:
            if len(self._zones) >= KNOWN:
                self._zones.popitem(last=False)
            known = self._zones[zone] = _Zone()
        if found is not None and found.ready:
            known.standing = found
            known.rules = {}
        else:
            known.doubt()

    def _keys(self, batch: Sequence[Verified], work: dict[int, ZoneWork]) -> dict[int, Stamped]:
        """Return the keys of *batch*, by their ids; a zone with a key that is not known leaves *work*."""
        keys: dict[int, Stamped] = {}
        for one in batch:
            key = one.credential.id
            if one.zone not in work or key in keys:
                continue
            known = self._keyring.stamped(key)
            if known is None:
                del work[one.zone]
            else:
                keys[key] = known
        return keys

    def _basis(self, work: dict[int, ZoneWork], keys: dict[int, Stamped]) -> unchanged.Basis:
        """Return what *work* is judged by."""
        stood: list[tuple[int, int, int, str]] = []
        registries: dict[tuple[int, int], None] = {}  # some zones may remember more of one than others
        for zone, item in work.items():
            known = self._zones[zone].standing
            if known is None:
                continue
            stood.append((zone, item.zone.edition, item.zone.serial, known.state))
            if known.zone.parent is not None:
                registries[known.zone.parent, known.registry] = None
        return unchanged.Basis(stood, list(registries), [(key, one.stamp) for key, one in keys.items()])

    def _doubt(self, changed: str, batch: Sequence[Verified]) -> None:
        """Forget what has *changed*, as `commit_updates` names it."""
        what, *numbers = changed.split()
        ids = frozenset(map(int, numbers))
        if what == "zones":
            for zone in ids:
                if zone in self._zones:
                    self._zones[zone].doubt()
        elif what == "registries":
            for known in self._zones.values():
                if known.standing is not None and known.standing.zone.parent in ids:
                    known.standing = None  # it is read again: others of the registry have not changed for that
        elif what == "keys":
            for one in batch:
                if one.credential.id in ids:
                    self._keyring.forget(one.credential.name)


def _serial(apex: Iterable[RRset]) -> int:
    for one in apex:
        if one.type == _SOA:
            return soa_serial(one.rdatas[0])
    raise LookupError("a zone that is ready has lost its SOA")


def _work(
    remembered: _Zone,
    known: Standing,
    edition: int,
    serial: int,
    mentioned: Iterable[Name],
    found: Found,
    published: Published,
) -> ZoneWork:
    row = known.zone
    # Its head is not known; what counts from it begins at 0.
    zone = Zone(
        row.id, row.origin, row.denial, row.algorithm, row.parent, 0, edition, serial, row.home, row.suspended,
        row.signed_pending, row.leased, row.keyset,
    )  # fmt: skip
    return ZoneWork(zone, mentioned, found, published, known.everybody, remembered.rules)


def _stored(zone: int, mentioned: Iterable[Name], shown: Shown) -> Found:
    """Return what is stored at the names *mentioned* of a zone that is ready: what is *shown* says it."""
    found: Found = {}
    for name in mentioned:
        rrsets = shown.get((zone, name))
        if rrsets:
            found[zone, name] = tuple(
                [RRset(name, one.type, one.ttl, one.rdatas) for one in rrsets if one.type not in SIGNER_TYPES]
            )
    return found


def _records(image: ZoneImage, mentioned: Iterable[Name]) -> tuple[Found, Published]:
    """Return what *image* holds at the names *mentioned*: as it is stored, and how to find what is published."""
    zone = image.zone_id
    found: Found = {}
    nodes: dict[Name, Node] = {}
    for name in mentioned:
        node = image.nodes.get(name)
        if not node:
            continue
        nodes[name] = node
        found[zone, name] = stored(name, node, SIGNER_TYPES)
    return found, _PublishedNodes(nodes)


class _PublishedNodes:
    """What is published at the names of *nodes*, which are out of memory."""

    __slots__ = ("_nodes",)

    def __init__(self, nodes: dict[Name, Node]) -> None:
        self._nodes = nodes

    def at(self, name: Name, rdtype: int) -> SignedRRset | None:
        """Return the RRset of *rdtype* at *name*, None where there is none."""
        return served_as(name, self._nodes.get(name, ()), rdtype)

    def replaced_by(self, added: tuple[SignedRRset, ...]) -> tuple[SignedRRset, ...]:
        """Return the RRsets that *added* take the places of, where there are any."""
        return replaced(self._nodes, added)
