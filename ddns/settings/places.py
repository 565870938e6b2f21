"""Addresses with their ports, as settings have them."""

from __future__ import annotations

import ipaddress
import re

DNS_PORT = 53
TLS_PORT = 853  # RFC 7858 §3.1, and RFC 9250 §4.1.1 over UDP
HTTPS_PORT = 443


def address(text: str, usual: int = DNS_PORT) -> tuple[str, int]:
    """Read ADDR:PORT, [ADDR]:PORT, or an address alone, which means the port *usual*. Raises `ValueError`."""
    host, port = text, str(usual)
    if bracketed := re.fullmatch(r"\[([^]]*:[^]]*)](?::(.*))?", text):
        host, port = bracketed[1], port if bracketed[2] is None else bracketed[2]
    elif text.count(":") == 1:
        host, port = text.split(":")
    try:
        ipaddress.ip_address(host)
        number = int(port) if re.fullmatch("[0-9]{1,5}", port) else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 0xFFFF:
        raise ValueError(f"{text!r} is no address to listen on; write 192.0.2.1:53 or [2001:db8::1]:53")
    return host, number


def address_text(where: tuple[str, int]) -> str:
    """Return an address and port as `address` reads them."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
