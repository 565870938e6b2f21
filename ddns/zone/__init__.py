"""Zone algebra: what an update asks, what it changes, what an edition publishes. Pure values.

It refuses to know sockets, SQL or clocks. Start reading at `changes`, then `update`, then `edition`.
"""
