"""Question to answer: bytes in, bytes out.

`table` finds compiled answers by the question's bytes; `responder` reads every other question and has
it compiled (`compile`, RFC 1034 §4.3.2) out of the zones in memory (`image`), with their proofs of
denial (`denial`), and written down (`render`). It refuses to know sockets, SQL, clocks or keys. Start
reading at `table`.
"""
