"""Zones for secondaries: AXFR (RFC 5936), IXFR (RFC 1995) and NOTIFY (RFC 1996), all outwards.

Nothing here takes a zone in, and nothing is answered from memory: a transfer is what Postgres holds at one
moment, read a page at a time. Read `transfers` first, then `packer` and `delta`; `notifier` is the other half.
"""
