"""Nameplate's server: answers for homes' zones and accepts their authenticated updates.

It refuses to hold a private zone key: signing is `zone_signer`'s, met in Postgres and on one
unix socket. Start reading at `ddns.app` (the worker) and `ddns.net.updates` (the way of an update).
"""

__version__ = "0.1.0"
