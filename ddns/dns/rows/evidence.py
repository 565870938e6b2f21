"""Rows of the catalogue: vouchers, certificates, attestations and other evidence."""

from __future__ import annotations

from ddns.dns.rows.row import Row

ROWS: tuple[Row, ...] = ()
