"""Rows of the catalogue: who owns what, and what owners, boxes and operators may do with it."""

from __future__ import annotations

from ddns.dns.rows.row import Row

ROWS: tuple[Row, ...] = ()
