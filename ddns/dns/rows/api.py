"""Rows of the catalogue: requests to the HTTPS API."""

from __future__ import annotations

from ddns.dns.rows.row import Row

ROWS: tuple[Row, ...] = ()
