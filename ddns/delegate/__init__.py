"""A home with servers of its own: what these say, and what follows for its delegation.

Nothing here signs, and nothing here decides: servers are asked (`asking`), signatures are checked (`proving`), and the
rules are those of `ddns.zone.acceptance`, `cds`, `csync` and `turn`. Start reading there.
"""
