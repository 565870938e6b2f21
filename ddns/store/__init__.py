"""What is stored, one file per noun, with the SQL inside.

Law: a function here is `async def f(conn, …)`, knows nothing of transactions and returns our values; who
calls it opens and ends the transaction. All but the `fill` and `stream` functions work inside
`async with conn.pipeline()` as well. Whoever changes a zone (its rrsets, published_rrsets, journal or
editions) first locks its row with `zones.lock`. It refuses to hold what is not stored: no cache, no
rules. Start reading at `pool`, then `zones`, then `rrsets`.
"""
