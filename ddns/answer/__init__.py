"""Question to answer: bytes in, bytes out.

`table` finds compiled answers by the question's bytes, `cookied` does so for those with a cookie
(`cookies`); `responder` reads every other question and has the answer compiled (`compile`, RFC 1034
§4.3.2) out of the zones in memory (`image`), with their proofs of denial (`denial`), written down
(`render`) and given its EDNS options (`options`). `rrl` says which answers may be sent. It refuses to
know sockets, SQL, clocks or keys. Start reading at `table`.
"""
