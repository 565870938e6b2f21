"""Who signed a message, and what they may do. Pure: keys, grants and the time come in.

It refuses to look a key up anywhere: `ddns.net.updates` does, in the database's table. Start reading at
`principal`.
"""
