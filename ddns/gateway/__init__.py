"""The home's side: an agent that makes its own key, spends an invitation and publishes devices.

It needs no Twisted and no psycopg, opens no port and resolves nothing but its registry's address. It
refuses to call a thing done that no server has confirmed. Start reading at `agent`.
"""
