"""A refusal: what to answer when a request may not be done. A value, never an exception."""

from __future__ import annotations

import msgspec

from ddns.dns.codes import Ede, Rcode

MOST_EXTRA_TEXT = 199  # octets of UTF-8, ours: RFC 8914 §2 sets no bound, and a datagram has little room
_SHORTEST = 24  # characters that are left of a word in a sentence that is too long
_GAP = "\N{HORIZONTAL ELLIPSIS}"


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is refused, and what to answer.

    *rcode* goes into the header (for TSIG and SIG(0) errors it is NOTAUTH and *error* says more),
    *ede* and *text* into an extended error (RFC 8914) where the asker spoke EDNS. *text* is one
    sentence that tells a person what to do; it never holds what the asker may not know. *code* is
    stable, for programs, and has its row in `ddns.dns.refusals`.
    """

    code: str
    rcode: Rcode
    text: str
    ede: Ede = Ede.OTHER
    error: int = 0  # the TSIG error of RFC 8945 §3, or the same number for SIG(0)

    @property
    def extra_text(self) -> str:
        """Return what the extended error says: the sentence, and the code in brackets (decision 19)."""
        return extra_text(self.text, self.code)


def extra_text(sentence: str, code: str = "") -> str:
    """Return *sentence* and *code* as the EXTRA-TEXT of RFC 8914 §2, at most `MOST_EXTRA_TEXT` octets long.

    What is too long loses the middle of its longest words, which are names, before it loses its end, which is the
    cure; it never loses the code. Text that has its code already is left as it is.
    """
    sentence = " ".join(sentence.split())
    tail = f" [{code}]" if code and not sentence.endswith(f"[{code}]") else ""
    room = MOST_EXTRA_TEXT - len(tail.encode())
    words = sentence.split(" ")
    while (excess := len(" ".join(words).encode()) - room) > 0:
        at = max(range(len(words)), key=lambda index: len(words[index]))
        word = words[at]
        if len(word) <= _SHORTEST:
            return " ".join(words).encode()[: room - len(_GAP.encode())].decode(errors="ignore") + _GAP + tail
        keep = max(_SHORTEST, len(word) - excess - len(_GAP.encode())) - 1
        words[at] = f"{word[: keep - keep // 2]}{_GAP}{word[-(keep // 2) :]}"
    return " ".join(words) + tail
