"""Bytes and names: codes, wire names, RRsets, wire messages, presentation text.

Pure: no I/O, no clock. Only `message`, `text` and `masterfile` know dnspython; `wire` never does,
because it is on the query path. Start reading at `names`.
"""
