"""A desk in this process, asked without a network: each request goes the way that one from the network goes."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

from ddns.desk import Desk, DeskConfig
from ddns.net.certificate import make
from ddns.net.encrypted import CertificateFiles
from ddns.operator import tokens
from ddns.store import tenancy
from ddns.web.heard import Heard
from ddns.web.rations import RationLimits
from ddns.web.routes import Listener

MANY = RationLimits(1e9, 1e9, 1e9, 1e9)


class Asking:
    """A desk whose clock is ours."""

    def __init__(self, dsn, folder, now, **config):
        (folder / "secrets.key").write_bytes(bytes(32))
        certificate, key = make(folder, "ns1.homes.example")
        self.now = now
        self.folder = folder
        config = DeskConfig(
            dsn, [], str(folder / "secrets.key"), str(folder / "no-signer.sock"),
            CertificateFiles(str(certificate), str(key)), **({"signer_wait": 0.1, "rations": MANY} | config),
        )  # fmt: skip
        self.desk = Desk(config, lambda: self.now)

    async def token(self, admin, tenant, rights, **bound):
        """Make a token and return its text."""
        async with admin.transaction():
            await tenancy.entered(admin, tenant)
            fresh = await tokens.add(admin, tenant, sorted(rights), self.now, self.desk.dice, **bound)
        return fresh.text.reveal().decode()

    async def ask(self, method, path, body=None, *, token=None, media="application/json", headers=None, devices=False):
        """Return status, headers and what the body says (JSON where it is)."""
        said = {"content-type": media, **(headers or {})} if body is not None else dict(headers or {})
        if token is not None:
            said["authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        where, _, query = path.partition("?")
        answer = await self.desk._serving.serve(
            Heard(
                Listener.DEVICES if devices else Listener.PEOPLE,
                method,
                where,
                query,
                said,
                body or b"",
                False,
                "192.0.2.9",
            )
        )
        told = json.loads(answer.body) if answer.body and "json" in answer.media else answer.body
        return answer.status, dict(answer.headers), told


@asynccontextmanager
async def asking(dsn, folder, now, **config):
    one = Asking(dsn, folder, now, **config)
    try:
        yield one
    finally:
        await one.desk._making.stop()
        await one.desk.signer.close()
        await one.desk._pool.close()
