"""What programs that renew certificates call: the new key is shown when clients know it, and not when it is there.

Law: these programs write the new certificate and say so; servers go on showing the old one until they are told to read
again. The hook is what tells them, once the registry says that the key is safe. Who shows a new certificate at once,
as Caddy does, can only be held to the key that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Hook(msgspec.Struct, frozen=True):
    """How one program says which certificate is new: the *variable* of its environment, and the *file* below it.

    *told* is how it is told of the hook, `{}` standing for the hook's command. *at_once*: it shows what it gets.
    """

    variable: str
    file: str
    told: str
    at_once: bool = False


HOOKS = {
    "certbot": Hook("RENEWED_LINEAGE", "cert.pem", "certbot renew --deploy-hook '{}'"),
    # Its own hooks are words without quotes, and may last two minutes: too short for most TTLs.
    "lego": Hook("LEGO_CERT_PATH", "", "lego … renew && {} --cert .lego/certificates/HOST.crt"),
    "acme.sh": Hook("CERT_PATH", "", "acme.sh --install-cert -d HOST --reloadcmd '{}'"),
    "caddy": Hook(
        "CADDY_CERTIFICATE", "", "in Caddy's events: on cert_obtained exec {} --cert {{event.data.certificate_path}}",
        at_once=True,
    ),
}  # fmt: skip


def certificate(kind: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file of the new certificate as the program says it in its *environment*; None: it says nothing."""
    hook = HOOKS[kind]
    told = environment.get(hook.variable)
    if not told:
        return None
    return Path(told) / hook.file if hook.file else Path(told)
