"""What is raised by everything that reads a proof: a code of the catalogue, and the sentence for a person."""

from __future__ import annotations

from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal


class BadProof(ValueError):
    """Octets that prove nothing: *code* has its row in the catalogue of refusals, *sentence* says what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def refusal_of(error: BadProof) -> Refusal:
    """Return the refusal that answers a request with such a proof."""
    return Refusal(error.code, Rcode.REFUSED, error.sentence, Ede.PROHIBITED)
