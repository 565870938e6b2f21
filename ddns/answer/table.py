"""The zones in memory, and the answers to the questions that are asked again: found by their bytes.

Law: an answer is remembered only where the records that it is made of exist, so that nobody who asks
can grow the table past what is published, nor past *entries* and *memory*. What is remembered is the plain answer,
AA and NOERROR, that fits into one datagram. Whatever changes a zone goes through here and takes out
exactly what leaned on it. `lookup` is the hot path: no exception, no attribute chain, no parsing.
Its slow twin is `ddns.answer.responder`, which gives the same octets.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ddns.answer.answer import Answer
from ddns.answer.below import Below
from ddns.answer.compile import Draft
from ddns.answer.image import ZoneImage
from ddns.answer.shelf import Shelf
from ddns.dns import names, twin
from ddns.dns.codes import CLASS_IN, FLAG_AA, HEADER_SIZE, UDP_MAX_PAYLOAD, UDP_MIN_PAYLOAD, EdnsOption, Type
from ddns.dns.names import Name
from ddns.dns.wire import Edns, opt
from ddns.zone.edition import Edition

ENTRIES = 250_000  # ours: remembered answers a worker, about 400 octets each
MEMORY = 256 * 1024 * 1024  # ours: octets of zones and remembered answers a worker, half of it each
_ENTRY = 340  # about how many octets an answer takes besides those of its question and its records
_CLIENTS = 4096  # ours: OPT records that are recognized by their octets
_IN = CLASS_IN.to_bytes(2, "big")

_DS = Type.DS.to_bytes(2, "big")

# An answer's counts, and its body.
Entry = tuple[bytes, bytes]

# For who sends a certain OPT record: the answers, our OPT record, the limit of the sender where it is below ours or 0.
Form = tuple[dict[bytes, Entry], bytes, int]

# What stands behind the id in a plain query (RFC 1035 §4.1.1): RD as it may be, AD and CD ignored, one
# question, at most one additional record; and what the answer has there: QR, AA, RD, one question.
_PLAIN = {
    bytes((rd, low)) + b"\0\1\0\0\0\0\0" + bytes((ar,)): bytes((0x84 | rd, 0)) + b"\0\1"
    for rd in (0, 1)
    for low in (0x00, 0x10, 0x20, 0x30)
    for ar in (0, 1)
}
_BARE = {head: opening for head, opening in _PLAIN.items() if head[-1] == 0}
_EDNS = {head: opening for head, opening in _PLAIN.items() if head[-1] == 1}

# Types for which an alias that leads out of our zones is remembered.
_COMMON = frozenset(
    {Type.A, Type.AAAA, Type.CNAME, Type.MX, Type.TXT, Type.SRV, Type.SVCB, Type.HTTPS, Type.TLSA, Type.DS, Type.NS}
)

# Our OPT record without options, without and with DO (RFC 6891 §6.1.4, RFC 3225 §3).
OPT = opt(UDP_MAX_PAYLOAD, do=False)
OPT_DO = opt(UDP_MAX_PAYLOAD, do=True)


class Table:
    """Zones by origin, and the remembered answers of all of them, at most *entries* and half of *memory*, in octets.

    The other half is for zones. *options* stand in the OPT record of every remembered answer.
    """

    __slots__ = (
        "_agents",
        "_bare",
        "_by_zone",
        "_clients",
        "_entries",
        "_leaning",
        "_left",
        "_most",
        "_octets",
        "_opt",
        "_opt_do",
        "_origins",
        "_plain",
        "_reached",
        "_room",
        "_shed",
        "_signed",
        "_tails",
        "beginnings",
        "below",
        "is_complete",
        "shelf",
        "zones",
    )

    def __init__(
        self, entries: int = ENTRIES, options: tuple[tuple[int, bytes], ...] = (), memory: int = MEMORY
    ) -> None:
        self._opt = opt(UDP_MAX_PAYLOAD, do=False, options=options)
        self._opt_do = opt(UDP_MAX_PAYLOAD, do=True, options=options)
        self._room = UDP_MAX_PAYLOAD - len(self._opt)  # for the octets of an answer before our OPT record
        self._agents = [octets for code, octets in options if code == EdnsOption.REPORT_CHANNEL]
        self.is_complete = True  # all zones are known
        self.below = Below()
        self.zones: dict[Name, ZoneImage | int] = {}  # a number is a zone that is known but not in memory
        self._origins: dict[int, Name] = {}
        self.shelf = Shelf(memory // 2)
        self._entries = entries
        self._most = memory // 2
        self._octets = 0  # of remembered answers
        # Zones that had to go from memory, and in which edition: their answers stay as long as that is current.
        self._shed: dict[int, int] = {}
        # Answers by question, as name, type and class: for those who sent no OPT, one, and one with DO.
        self._bare: dict[bytes, Entry] = {}
        self._plain: dict[bytes, Entry] = {}
        self._signed: dict[bytes, Entry] = {}
        # Questions by the zones that their answers are from; those that lean on more than their own owner in one
        # zone, with that; questions by what they lean on; those whose answer leads out of what is served here.
        self._by_zone: dict[int, set[bytes]] = {}
        self._leaning: dict[bytes, tuple[tuple[int, ...], tuple[Name, ...]]] = {}
        self._reached: dict[Name, set[bytes]] = {}
        self._left: set[bytes] = set()
        # OPT records by their octets: what they say; and for the hot path the answers for their sender, our OPT,
        # and the sender's limit where it is below ours.
        self._clients: dict[bytes, Edns] = {}
        self._tails: dict[bytes, Form] = {}
        # The same for who sends a cookie, by the octets of an OPT record up to the cookie's: see `ddns.answer.cookied`.
        self.beginnings: dict[bytes, Form] = {}

    def is_plain(self, datagram: bytes) -> bool:
        """Tell whether *datagram* holds no cookie: it ends in an OPT record that is known and has none, or has none."""
        return datagram[10:12] == b"\0\0" or datagram[-11:] in self._tails

    # ---- the hot path --------------------------------------------------------------------------

    def lookup(self, datagram: bytes) -> bytes | None:
        """Return the answer to *datagram* where it is a plain question whose answer is remembered, else None.

        Of the question only the name is lower-cased: QTYPE 65 is the octet of an A. A key matches in
        full, so what is taken for an OPT record cannot be anything else.
        """
        opening = _EDNS.get(datagram[2:12])
        if opening is None:
            return self._lookup_bare(datagram)
        form = self._tails.get(datagram[-11:])
        if form is None:
            return None
        name, kind = datagram[12:-15].lower(), datagram[-15:-11]
        entry = form[0].get(name + kind)
        if entry is None:
            limit = form[2] - len(OPT) if form[2] else self._room
            return self.below.answer(self.zones, datagram, name, kind, opening, form[1], limit)
        if form[2] and len(datagram) + len(entry[1]) > form[2]:
            return None
        return b"".join((datagram[:2], opening, entry[0], datagram[12:-11], entry[1], form[1]))

    def _lookup_bare(self, datagram: bytes) -> bytes | None:
        opening = _BARE.get(datagram[2:12])
        if opening is None:
            return None
        name, kind = datagram[12:-4].lower(), datagram[-4:]
        entry = self._bare.get(name + kind)
        if entry is None:
            return self.below.answer(self.zones, datagram, name, kind, opening, b"", UDP_MIN_PAYLOAD)
        return b"".join((datagram[:2], opening, entry[0], datagram[12:], entry[1]))

    @property
    def opt_size(self) -> int:
        """Return the octets of the OPT record in a remembered answer."""
        return len(self._opt)

    def opt(self, octets: bytes) -> Edns | None:
        """Return what *octets* say as an OPT record without options and of version 0; None where they are none."""
        client = self._clients.get(octets)
        if client is None and len(octets) == len(OPT) and octets[:3] == OPT[:3] and octets[7:] in (OPT[7:], OPT_DO[7:]):
            if octets[5:7] != OPT[5:7]:
                return None
            client = Edns(max(octets[3] << 8 | octets[4], UDP_MIN_PAYLOAD), 0, octets[7] != 0)
            if len(self._clients) >= _CLIENTS:
                # Who sends them all does not keep others out: those that are used come back at once.
                self._clients.clear()
                self._tails.clear()
                self.beginnings.clear()
            self._clients[octets] = client
            # What may stand before our OPT, and the octets of theirs, which the hot path does not subtract.
            limit = client.payload - len(self._opt) + len(OPT) if client.payload < UDP_MAX_PAYLOAD else 0
            answers = self._signed if client.do else self._plain
            self._tails[octets] = answers, self._opt_do if client.do else self._opt, limit
        return client

    def form(self, octets: bytes) -> Form | None:
        """Return what the hot path knows of those who send *octets* as their OPT record, as `opt` understands it."""
        self.opt(octets)
        return self._tails.get(octets)

    def remember(self, question: bytes, answer: Answer, draft: Draft, *, edns: bool, do: bool) -> None:
        """Keep *answer* to *question*, as name, type and class in lower case, where it is plain.

        What will not last as it is, is kept as far as it is about names that exist: see `ddns.answer.below`.
        """
        if draft.lasting:
            self._keep(question, answer, draft, edns=edns, do=do)
        else:
            self.below.learn(question[:-4], draft, answer, do=do)
        for image in draft.images:
            if image.octets != image.counted:
                self.shelf.resize(image)  # it was unpacked for this
        if self.shelf.octets > self.shelf.most:
            self.trim()  # at the end: what goes may be what this answer leans on, and then that is noted

    def _keep(self, question: bytes, answer: Answer, draft: Draft, *, edns: bool, do: bool) -> None:
        room = self._room if edns else UDP_MIN_PAYLOAD
        if not answer.whole or answer.flags != FLAG_AA or HEADER_SIZE + len(question) + len(answer.body) > room:
            return
        if draft.left and int.from_bytes(question[-4:-2], "big") not in _COMMON:
            return  # the alias exists, but any type leads out by it: an asker could go through them all
        answers = self._signed if do else self._plain if edns else self._bare
        before = answers.get(question)
        if before is not None:
            self._octets -= _ENTRY + len(question) + len(before[1])
        elif len(self) >= self._entries or self._octets >= self._most:
            self._make_room()
        self._octets += _ENTRY + len(question) + len(answer.body)
        answers[question] = answer.counts(edns=edns), answer.body
        zones = {image.zone_id for image in draft.images}
        for zone_id in zones:
            self._by_zone.setdefault(zone_id, set()).add(question)
        if len(zones) > 1 or draft.owners or question[-4:-2] == _DS:
            self._leaning[question] = tuple(zones), tuple(draft.owners)
            for owner in draft.owners:
                self._reached.setdefault(owner, set()).add(question)
        if draft.left:
            self._left.add(question)

    def __len__(self) -> int:
        """Return the number of remembered answers."""
        return len(self._bare) + len(self._plain) + len(self._signed)

    def _make_room(self) -> None:
        """Forget the oldest answers of the kind that has the most."""
        answers = max((self._bare, self._plain, self._signed), key=len)
        for question in list(islice(answers, max(len(answers) // 256, 1))):
            self._forget(question)

    def _forget(self, question: bytes) -> None:
        """Forget the answers to *question*, and what they leaned on."""
        for answers in (self._bare, self._plain, self._signed):
            entry = answers.pop(question, None)
            if entry is not None:
                self._octets -= _ENTRY + len(question) + len(entry[1])
        zones: tuple[int, ...] = ()
        leaning = self._leaning.pop(question, None)
        if leaning is not None:
            zones = leaning[0]
            for owner in leaning[1]:
                questions = self._reached.get(owner)
                if questions is not None:
                    questions.discard(question)
                    if not questions:
                        del self._reached[owner]
            self._left.discard(question)
        else:
            found = self.authority(question[:-4])
            if found is not None:
                zones = (found.zone_id if isinstance(found, ZoneImage) else found,)
        for zone_id in zones:
            known = self._by_zone.get(zone_id)
            if known is not None:
                known.discard(question)
                if not known:
                    del self._by_zone[zone_id]
                    self._shed.pop(zone_id, None)

    # ---- zones ---------------------------------------------------------------------------------

    def authority(self, name: Name) -> ZoneImage | int | None:
        """Return the zone nearest above *name* or at it (RFC 1034 §4.3.2 step 2), an id where it is not in memory."""
        zones = self.zones
        while True:
            found = zones.get(name)
            if found is not None:
                return found
            if not name[0]:
                return None
            name = name[1 + name[0] :]

    def image(self, zone_id: int) -> ZoneImage | None:
        """Return the zone's image where it is in memory."""
        origin = self._origins.get(zone_id)
        found = None if origin is None else self.zones[origin]
        return found if isinstance(found, ZoneImage) else None

    def has(self, zone_id: int) -> bool:
        """Tell whether the zone is served here, in memory or not."""
        return zone_id in self._origins

    def zone_ids(self) -> set[int]:
        """Return the ids of the zones that are served here."""
        return set(self._origins)

    def origin(self, zone_id: int) -> Name | None:
        """Return the zone's apex where it is served here."""
        return self._origins.get(zone_id)

    def some_ids(self, most: int) -> list[int]:
        """Return the ids of at most *most* zones that are served here."""
        return list(islice(self._origins, most))

    def edition(self, zone_id: int) -> int | None:
        """Return the number of the edition that is in memory, None where nothing of the zone is."""
        image = self.image(zone_id)
        return self._shed.get(zone_id) if image is None else image.edition

    def editions(self) -> list[tuple[int, int]]:
        """Return (zone, edition) of all that is in memory."""
        return [(image.zone_id, image.edition) for image in self.shelf.images()] + list(self._shed.items())

    def find(self, origin: Name) -> int | None:
        """Return the id of the zone whose apex is *origin*."""
        found = self.zones.get(origin)
        return found.zone_id if isinstance(found, ZoneImage) else found

    def known(self, origin: Name, zone_id: int) -> None:
        """Note that the zone *zone_id* is served here; it is asked for with `NeedZone` when it is needed."""
        if self._origins.get(zone_id) == origin:
            return
        self.forget(zone_id)
        before = self.zones.get(origin)
        if before is not None:
            self.forget(before if isinstance(before, int) else before.zone_id)
        self._uncover(origin)
        self.zones[origin] = zone_id
        self._origins[zone_id] = origin

    def known_all(self, zones: Iterable[tuple[Name, int]]) -> None:
        """Note that many zones are served here, given as (apex, id): what `known` does, for thousands at once."""
        origins, known = self._origins, self.zones
        fresh = {}
        for origin, zone_id in zones:
            if zone_id in origins or origin in known:
                self.known(origin, zone_id)
            else:
                fresh[origin] = zone_id
        for question in tuple(self._left):
            self._forget(question)
        if self._by_zone:
            # A zone above may have answered for these; each is looked for before they come in between.
            above = {self._above(origin) for origin in fresh}
            for covered in above:
                if covered is not None:
                    self._clear(covered)
        known.update(fresh)
        origins.update({zone_id: origin for origin, zone_id in fresh.items()})

    def _above(self, origin: Name) -> int | None:
        found = self.authority(origin)
        return found.zone_id if isinstance(found, ZoneImage) else found

    def install(self, image: ZoneImage) -> None:
        """Serve *image* from now on, in the place of the one before; others may have to go for want of room."""
        zone_id = image.zone_id
        self.known(image.origin, zone_id)
        before = self.image(zone_id)
        shown = self._shed.pop(zone_id, None)
        if before is not None:
            self.shelf.drop(before)
            shown = before.edition
        if shown != image.edition:
            self._clear(zone_id)
        if not self.is_complete or any(names.is_subdomain(agent, image.origin) for agent in self._agents):
            image.direct = None  # a zone below may not be known yet; answers out of an agent's zone do not name it
        self.zones[image.origin] = image
        self.shelf.put(image)
        self.trim()

    def trim(self) -> None:
        """Let go of zones that nobody asked for lately, until there is room; their remembered answers stay."""
        for image in self.shelf.surplus():
            self.zones[image.origin] = image.zone_id
            if image.zone_id in self._by_zone:
                self._shed[image.zone_id] = image.edition

    def evict(self, zone_id: int) -> None:
        """Let go of all that is in memory of the zone; it stays known."""
        origin = self._origins.get(zone_id)
        if origin is not None:
            self._drop(zone_id)
            self.zones[origin] = zone_id

    def _drop(self, zone_id: int) -> None:
        image = self.image(zone_id)
        if image is not None:
            self.shelf.drop(image)
        self._shed.pop(zone_id, None)
        self._clear(zone_id)

    def forget(self, zone_id: int) -> None:
        """Serve the zone no longer."""
        origin = self._origins.get(zone_id)
        if origin is not None:
            self._drop(zone_id)
            del self._origins[zone_id]
            if self.find(origin) == zone_id:  # not where a new zone of the same name has come meanwhile
                del self.zones[origin]

    def patch(self, edition: Edition) -> bool:
        """Apply *edition* to its zone; the next answer shows it.

        False where it does not follow what is in memory: then load the zone anew. True too where the
        zone is not in memory or already holds the edition: nothing older is served.
        """
        image = self.image(edition.zone)
        if image is None:
            if edition.number > self._shed.get(edition.zone, edition.number):
                self._clear(edition.zone)
            return True
        if edition.number <= image.edition:
            return True
        if edition.number != image.edition + 1:
            return False
        patch = image.patch(edition)
        self.shelf.resize(image)
        if patch.bent:
            self._clear(edition.zone)
        for owner, question in self._asked(patch.touched):
            self._forget(question)
            for other in tuple(self._reached.get(owner, ())):
                self._forget(other)
        return True

    def _asked(self, places: tuple[tuple[Name, int], ...]) -> list[tuple[Name, bytes]]:
        """Return the names of those *places* to which an answer is remembered or leads, with the question for each."""
        bare, plain, signed, reached = self._bare, self._plain, self._signed, self._reached
        found = twin.asked(places, bare, plain, signed, reached)
        if found is not None:
            return found
        out = []
        for owner, rdtype in places:
            question = owner + rdtype.to_bytes(2, "big") + _IN
            if question in signed or question in plain or question in bare or owner in reached:
                out.append((owner, question))
        return out

    def _uncover(self, origin: Name) -> None:
        """Forget what was answered when *origin* was not a zone here: by the zone above it, or by leaving."""
        for question in tuple(self._left):
            self._forget(question)
        above = self.authority(origin)
        if isinstance(above, int):
            self._clear(above)
        elif above is not None and (not above.whole or origin in above.nodes):
            self._clear(above.zone_id)

    def _clear(self, zone_id: int) -> None:
        """Forget every answer that the zone has a part in."""
        self._shed.pop(zone_id, None)
        for question in tuple(self._by_zone.pop(zone_id, ())):
            self._forget(question)
