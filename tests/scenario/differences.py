"""The reasons for which a peer may answer or act otherwise: ids of docs/reference/differences.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "differences.md"
PEERS = {"BIND": "bind", "Knot": "knot", "NSD": "nsd"}


def listed():
    """Return the ids of the page with the peers that each speaks of."""
    found = {}
    for line in PAGE.read_text().splitlines():
        row = re.match(r"\| `([a-z0-9-]+)` \| ([^|]+) \|", line)
        if row:
            assert row[1] not in found, f"{row[1]} is listed twice"
            found[row[1]] = {PEERS[peer] for peer in re.findall(r"BIND|Knot|NSD", row[2])}
    return found


LISTED = listed()


def peers(ids):
    """Return the peers that the *ids* excuse."""
    return {peer for one in ids for peer in LISTED[one]}
