"""Rows of the catalogue: policies, labels, quotas and tenants."""

from __future__ import annotations

from ddns.dns.rows.row import Row

ROWS: tuple[Row, ...] = ()
