"""Bodies and parameters, read by their types: unknown fields and wrong values are refused by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ddns.proof import strict_json
from ddns.proof.bad import BadProof
from ddns.web import refusing
from ddns.web.routes import JSON, Refused

__all__ = ["JSON", "body", "media", "pairs", "query", "takes"]

MOST_PARAMETERS = 32


def media(text: str) -> str:
    """Return a Content-Type without its parameters, in lower case."""
    return text.partition(";")[0].strip().lower()


def takes(accept: str, given: Iterable[str]) -> bool:
    """Tell whether who sent *accept* (RFC 9110 §12.5.1) takes one of the types *given*; problems are always told."""
    wanted = {media(one) for one in accept.split(",") if one.strip()}
    if not wanted or "*/*" in wanted:
        return True
    return any(one in wanted or f"{one.partition('/')[0]}/*" in wanted for one in given)


def pairs(text: str) -> list[tuple[str, str]]:
    """Return the parameters of a query. Raises `Refused`."""
    try:
        return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise Refused(refusing.field_wrong("the parameters after the question mark cannot be read")) from None


def query(text: str, wanted: Any) -> Any:
    """Return the parameters in *text* as a value of the Struct *wanted*; None where there are none to read."""
    given = [(name, value) for name, value in pairs(text) if name != "tenant"]
    if wanted is None:
        if given:
            raise Refused(refusing.field_unknown(f"the parameter {given[0][0]!r}"))
        return None
    if len({name for name, _value in given}) != len(given):
        raise Refused(refusing.field_wrong("a parameter was given twice"))
    try:
        return msgspec.convert(dict(given), wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(_refusal(str(error))) from None


def body(octets: bytes, wanted: Any) -> Any:
    """Return the JSON *octets* as a value of the Struct *wanted*. Raises `Refused`."""
    try:
        strict_json.members(octets, max(len(octets), strict_json.MOST))
        return msgspec.json.decode(octets, type=wanted)
    except msgspec.ValidationError as error:
        raise Refused(_refusal(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(refusing.body_malformed(str(error))) from None
    except BadProof:
        raise Refused(refusing.body_malformed("it is no JSON object whose members each stand there once")) from None


def _refusal(why: str) -> Any:
    unknown = "unknown field" in why
    return refusing.field_unknown(why) if unknown else refusing.field_wrong(why)
