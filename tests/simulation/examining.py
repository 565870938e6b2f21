"""Which validator is asked what of which zone, and whether it says what the zone is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from denying import ABSENT, is_compact
from elsewhere import Own
from holding import Held, makers
from serving import Answers, Copy
from signing import text
from validators import INSECURE, SECURE, Validators

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset
from zone_signer import keys as public

WHOLE = ("ldns-verify-zone", "kzonecheck")  # they know no DS: what is signed must be signed well
ONLINE = ("unbound-host", "delv", "ddns.verifier")
# Names in each zone, or not in it: an address, what a wildcard makes, no such type, no such name.
QUESTIONS = (("www", "A"), ("x.any", "TXT"), ("www", "AAAA"), (ABSENT, "A"))
ALL_DENIED = ((ABSENT, "A"),) * 6  # so that compact zones are asked most for what they have signed then
THERE = (QUESTIONS[0], QUESTIONS[2])  # to which nobody need sign anything


Shown = Mapping[tuple[Name, int], SignedRRset]


class Examiner:
    """Asks validators about zones, of which *held* is known, at the servers *copies*; counts `verdicts`.

    `denied` counts those of names that are not in zones with compact denial; *signs* tells whether anybody can sign
    them. *own* are the servers of a home that has its own. *anchor* is the DS record that they trust, of the zone that
    is above all.
    """

    def __init__(
        self,
        folder: Path,
        anchor: str,
        copies: Sequence[Copy],
        own: Own,
        held: Mapping[Name, Held],
        chance: random.Random,
        signs: Callable[[], bool],
    ) -> None:
        self.validators = Validators(folder, anchor.split(maxsplit=1)[0], anchor)
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.denied: Counter[tuple[str, str]] = Counter()
        self._signs, self._compact = signs, False
        self._folder, self._copies, self._own = folder, copies, own
        self._held, self._chance = held, chance
        self.judges: Mapping[str, Callable[[Held, int], str | None]] = {
            "ldns-verify-zone": self._ldns,
            "kzonecheck": self._knot,
            "unbound-host": self._unbound,
            "delv": self._delv,
            "ddns.verifier": self._chain,
        }

    def examine(self, held: Held, judge: str, now: int) -> str:
        """Have one judge look at a zone *now*, in seconds since 1970; return what is wrong with what it says, or ''."""
        self._compact = False
        verdict = self.judges[judge](held, now)
        if verdict is None:
            return ""  # it has nothing to say about this one
        secure = held.is_secure(now)
        wanted = (SECURE, INSECURE) if secure is None else (SECURE,) if secure else (INSECURE,)
        if judge in WHOLE:
            wanted = (SECURE,)
        if verdict not in wanted:
            kept = self._folder / f"{judge}-{now}"
            if (self._folder / "zone").exists():
                (self._folder / "zone").rename(kept)
            return f"{judge} of {held.text}, which is {' or '.join(wanted)}: {verdict}\nfiles in {kept.parent}"
        self.verdicts[judge, verdict] += 1
        if self._compact:
            self.denied[judge, verdict] += 1
        return ""

    def _shown(self, held: Held) -> Shown:
        """Return the zone as one of the servers shows it; nothing where that is not signed."""
        if not held.shown:
            return {}
        shown = held.shown[self._chance.choice(sorted(held.shown))]
        whole = (held.origin, Type.DNSKEY) in shown and not is_compact(held, shown)
        return shown if whole else {}

    def _file(self, shown: Shown) -> Path:
        file = self._folder / "zone"
        file.write_text(text(list(shown.values())))
        return file

    def _ldns(self, held: Held, now: int) -> str | None:
        shown = self._shown(held)
        return self.validators.ldns(held.text, self._file(shown), now) if shown else None

    def _knot(self, held: Held, now: int) -> str | None:
        shown = self._shown(held)
        return self.validators.knot(held.text, self._file(shown), now) if shown and _all_sign(held, shown) else None

    def _answering(self, held: Held) -> list[Answers]:
        above: list[Held] = []
        one: Held | None = held
        while one is not None:
            above.append(one)
            one = one.parent
        found: list[Answers] = [
            copy for copy in self._copies if not copy.away and all(copy.name in one.shown for one in above)
        ]
        return [*found, *(self._own.referred(self._copies) if held is self._own.held else ())]

    def _question(self, held: Held) -> tuple[str, str]:
        """Return what is asked; where nobody signs, a compact zone cannot deny what it does not have."""
        compact = any(is_compact(held, shown) for shown in held.shown.values())
        denies = compact and self._signs()
        questions = (*QUESTIONS, *ALL_DENIED) if denies else THERE if compact else QUESTIONS
        name, rdtype = self._chance.choice(questions)
        self._compact = compact and name == ABSENT
        return name, rdtype

    def _unbound(self, held: Held, now: int) -> str | None:
        name, rdtype = self._question(held)
        zones = [one.text for one in self._held.values()]
        servers = self._answering(held)
        return self.validators.unbound(servers, zones, f"{name}.{held.text}", rdtype, now) if servers else None

    def _delv(self, held: Held, now: int) -> str | None:
        name, rdtype = self._question(held)
        found = self._answering(held)
        return self.validators.delv(self._chance.choice(found), f"{name}.{held.text}", rdtype, now) if found else None

    def _chain(self, held: Held, now: int) -> str | None:
        servers = self._answering(held)
        if not held.is_secure(now) or not servers:
            return None  # it proves what is secure, and cannot tell that something is not meant to be
        return self.validators.chain(self._chance.choice(servers), f"www.{held.text}", "A", now)


def _all_sign(held: Held, shown: Shown) -> bool:
    """Tell whether every key of a zone signs all of it, or all that is for it: kzonecheck knows no key that waits.

    The RFCs do: one signature of each algorithm is enough (RFC 4035 §2.2), and a key may be published before it signs.
    Nor does kzonecheck 3.2 believe two algorithms of keys that sign all, whoever has signed.
    """
    dnskey = shown[held.origin, Type.DNSKEY]
    keys = {(str(public.tag(one)), one[3]): bool(one[1] & public.ENTRY_POINT) for one in dnskey.rdatas}
    if len({algorithm for _, algorithm in keys}) > 1:
        return False
    split = {algorithm for (_, algorithm), entry in keys.items() if not entry}
    signing = {key for key, entry in keys.items() if not entry or key[1] not in split}
    return makers(shown[held.origin, Type.SOA]) == signing and makers(dnskey) >= {key for key in keys if keys[key]}
