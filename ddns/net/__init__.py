"""The shell: sockets in, sockets out, the queue of updates, and the database's feed. Twisted lives here.

It decides nothing about names: `ddns.answer` answers, `ddns.zone` changes, `ddns.auth` permits. Start
reading at `udp`, then `updates`.
"""
