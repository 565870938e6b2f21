"""`python -m ddns.demo.desk STATE SETTINGS DNS WEB DEVICES AHEAD`: the demo's desk, with a clock that is AHEAD seconds.

Claims and recoveries wait for days and weeks, and no setting of the service shortens that. So the demo has a
composition root of its own for the one program that waits: every rule is the service's, and only the time that it is
told is the story's. It serves beside `ddns serve --only dns`, on its database.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ddns import settings
from ddns.database import open_database
from ddns.desk import serve
from ddns.net.encrypted import Inherited
from ddns.service import DESK, Service
from ddns.supervisor import open_sockets

HOST = "127.0.0.1"


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    state, chosen = Path(arguments[0]), settings.load(Path(arguments[1]))
    ports, ahead = dict(zip(("dns", *DESK), map(int, arguments[2:5]), strict=True)), int(arguments[5])
    listen = {kind: [(HOST, port)] for kind, port in ports.items()}
    (sockets,) = open_sockets({kind: listen[kind] for kind in DESK}, 1)
    with open_database(None, state) as database:
        service = Service(chosen, database, listen)
        told = service.desk_config([Inherited(one.detach(), kind) for kind, one in sockets])
        serve(told, lambda: time.time() + ahead)


if __name__ == "__main__":
    main(sys.argv[1:])
