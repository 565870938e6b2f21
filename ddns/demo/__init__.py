"""The whole story on one machine: registry, gateway, device, and a stranger who checks all of it.

Everything is real: the service runs as a child process, the gateway and the validator are the ones that
users get, TLS is TLS. It refuses to leave anything behind: processes and files go with it. Start
reading at `story`.
"""
