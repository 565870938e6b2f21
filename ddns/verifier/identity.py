"""Where the TLSA records of a device stand, as the server that it is and as the client that it is."""

from __future__ import annotations

import dns.name

DEVICE = b"_device"


def server(name: str, port: int) -> str:
    """Return the owner of the TLSA records of a TLS server at a TCP *port* (RFC 6698 §3)."""
    return f"_{port}._tcp.{dns.name.from_text(name)}"


def client(name: str) -> str:
    """Return the owner of the TLSA records of a client: `cam._device.smith.example.` for `cam.smith.example`.

    That is the second format of draft-ietf-dance-client-auth: the device's name, `_device`, whose device it is. A name
    that has the label already is taken as it is. Raises `ValueError` where no name would be left.
    """
    whole = dns.name.from_text(name)
    if DEVICE in {label.lower() for label in whole.labels}:
        return str(whole)
    if len(whole) < 3:
        raise ValueError(f"{whole} names no device in a zone")
    return str(dns.name.Name((whole.labels[0], DEVICE, *whole.labels[1:])))
