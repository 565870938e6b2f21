"""The tutorial "Ten minutes as a home's owner" does what it says: its commands are run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from desk import Desk
from tools import need

PAGE = Path(__file__).parents[2] / "docs/tutorial/ten-minutes-as-owner.md"


def test_every_command_of_the_tutorial_works_and_the_names_are_there():
    """Row 26. The ports are this test's; the registry itself is started as the page says."""
    need("dig")
    need("bash")
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    with Desk().running() as desk:
        script = "\n".join(blocks).replace("5300", str(desk.port)).replace("8443", str(desk.web))
        words = f'ddns() {{ "{sys.executable}" -m ddns.cli "$@"; }}\nset -e -o pipefail\n'
        done = subprocess.run(
            ["bash", "-c", words + script],
            cwd=desk.folder,
            env=desk.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(blocks) == 8
    assert "smith.homes.example. is yours" in done.stdout
    assert "\n192.0.2.80\n" in done.stdout
    assert "gateway.replaced" in done.stdout
    assert "does not accept this key" in done.stderr
