"""What an operator does to a registry: zones, keys, grants and homes, by hand or from a file.

Async functions on a connection of the role `ddns_admin`; each opens its own transaction where it writes,
locks the zones that it changes, and returns values. Nothing here prints, waits for a signer or reads the
command line: that is `ddns.cli`. What cannot be done raises `CannotDo`. Start reading at `change`.
"""
