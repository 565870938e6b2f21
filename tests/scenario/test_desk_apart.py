"""The desk as a service of its own, beside the one that answers names, on one database."""

import os
import signal
import subprocess
import sys

from desk import Desk
from service import Service, eventually

from ddns import postgres


def test_names_are_answered_by_one_service_and_the_api_by_another():
    registry = Desk("--only", "dns")
    web = None
    try:
        registry.set_up()
        Service.start(registry)
        assert registry.pids("desk") == []
        dsn = postgres.socket_dsn(postgres.running(registry.state), postgres.OWNER)
        words = [
            "serve",
            "--only",
            "web",
            "--web",
            f"127.0.0.1:{registry.web}",
            "--config",
            registry.folder / "ddns.toml",
        ]
        with registry.log.open("ab") as log:
            web = subprocess.Popen(
                [sys.executable, "-m", "ddns.cli", *map(str, words)],
                env=registry.environment() | {"DDNS_DSN": dsn},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

        def works():
            try:
                return registry.ask_web("GET", "/healthz").status == 200
            except OSError:
                return False

        eventually(works)
        token = registry.token("homes:write")
        made = registry.ask_web("POST", "/v1/homes", {"zone": "homes.example", "label": "apart"}, token=token)
        assert made.status == 201, made
        eventually(lambda: registry.values("apart.homes.example.", "NS"))
        assert eventually(lambda: registry.values(f"_{registry.web}._tcp.ns1.homes.example.", "TLSA"))
        web.send_signal(signal.SIGTERM)
        assert web.wait(60) == 0
        assert registry.values("homes.example.", "SOA")
        registry.stop()
    finally:
        if web is not None and web.poll() is None:
            os.kill(web.pid, signal.SIGKILL)
            web.wait()
        registry.remove()


def test_a_desk_without_an_address_is_no_desk():
    with Desk() as registry:
        said = registry.ddns("serve", "--only", "web", status=2)
        assert "--web ADDR:PORT" in said
