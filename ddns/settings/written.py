"""Settings as an annotated TOML file."""

from __future__ import annotations

import json
from typing import get_type_hints

from msgspec import Meta

from ddns.settings.whole import Settings

_WIDTH = 96  # characters of a comment's line


def to_toml(settings: Settings) -> str:
    """Return *settings* as an annotated TOML file that `parse` reads."""
    out = [
        "# The settings of `ddns serve --config FILE`. Every value here is the default: keep what you change.",
        "# `ddns config check FILE` says whether a file is good, `ddns config show --config FILE` what holds.",
    ]
    for table in settings.__struct_fields__:
        value = getattr(settings, table)
        out += ["", *_comment(type(value).__doc__ or ""), f"[{table}]"]
        hints = get_type_hints(type(value), include_extras=True)
        for field in value.__struct_fields__:
            described = next(one.description or "" for one in hints[field].__metadata__ if isinstance(one, Meta))
            out += [*_comment(described), f"{field} = {json.dumps(getattr(value, field))}"]
    return "\n".join(out) + "\n"


def _comment(sentence: str) -> list[str]:
    lines = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return [f"#{line}" for line in lines]
