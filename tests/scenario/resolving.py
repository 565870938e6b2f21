"""A validating resolver that knows nothing but the zones of a test."""

import contextlib
import subprocess

import dns.exception
import dns.message
import dns.query
from service import eventually
from tools import need


@contextlib.contextmanager
def unbound(folder, settings, port, name, rdtype="A"):
    """Run unbound by the file *settings*, its log in *folder*, and yield its *port* once it answers about *name*."""
    with (folder / "unbound.log").open("wb") as log:
        process = subprocess.Popen([need("unbound"), "-d", "-c", settings], stdout=log, stderr=log)
    try:
        query = dns.message.make_query(name, rdtype)

        def up():
            with contextlib.suppress(OSError, dns.exception.Timeout):
                return dns.query.udp(query, "127.0.0.1", port=port, timeout=0.5)
            return None

        eventually(up)
        yield port
    finally:
        process.terminate()
        process.wait(10)
