"""The page that an invitation's link opens: it is told nothing, sends nothing, and reads what stands behind the #."""

import json
import subprocess
from pathlib import Path

import pytest
from tools import need

from ddns.gateway.invitation import BadInvitation, Invitation

STATIC = Path(__file__).parents[2] / "ddns/web/static"
LINE = "ddns://invite-1.homes.example:c2VjcmV0LXNlY3JldA@127.0.0.1:5300/smith.homes.example?alg=hmac-sha256&web=8443"
DEEP = LINE.replace("smith.homes", "smith.flat.homes") + "&zone=homes.example"


def read(*hashes):
    """Return what the page's script reads in each of *hashes*."""
    script = (
        f'import {{ read }} from "{STATIC / "invitation.mjs"}";'
        f"console.log(JSON.stringify({json.dumps(hashes)}.map(read)));"
    )
    done = subprocess.run(
        [need("node"), "--input-type=module", "-e", script], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def test_the_script_reads_what_python_writes():
    link = Invitation.from_text(LINE).to_link()
    again = link.partition("#")[2]

    one, deep = read(f"#{again}", f"#{DEEP}")

    assert link.startswith("https://127.0.0.1:8443/e#ddns://")
    assert Invitation.from_text(link) == Invitation.from_text(LINE)
    assert (one["home"], one["registry"], one["line"]) == ("smith.homes.example", "homes.example", again)
    assert (deep["home"], deep["registry"]) == ("smith.flat.homes.example", "homes.example")


def test_what_is_no_invitation_shows_nothing():
    """Above all no address that a script could be smuggled in by."""
    bad = [
        "",
        "#",
        "#x",
        "#javascript:alert(1)",
        f"#{LINE} x",
        f"#{LINE.replace('smith', '<b>')}",
        "#%",
        "#" + "a" * 9999,
    ]

    assert read(*bad) == [None] * len(bad)


def test_a_link_needs_a_desk():
    with pytest.raises(BadInvitation, match="--web"):
        Invitation.from_text(LINE.partition("&web")[0]).to_link()
