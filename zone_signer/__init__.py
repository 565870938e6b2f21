"""The signer: the only program that opens a private zone key.

It answers servers over a unix socket (`service`, `signer`) and keeps every zone signed by itself (`worker`). It
refuses to listen on the network, to change what clients wrote, except for a child's DS, and to show a key.
Start reading at `plan`, then `change`; `shape` and `denial` are the law that both follow.
"""
