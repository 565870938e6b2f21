"""A stranger's eyes: DNSSEC from a trust anchor down, and TLS by DANE alone.

It imports nothing of ours and holds no key, so that it can be wrong only on its own account: what
the signer signs, this package checks with dnspython's validator. It refuses to resolve (it asks one
server) and to trust a certification authority. Start reading at `chain`, then `dane`.
"""
