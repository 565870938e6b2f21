"""A small reference MASA: a maker's service that says whose its boxes are (RFC 8995 §5.5 to §5.8).

It exists to run the registry's enrolment against, and to be read: the standard library's HTTP server and sqlite3, one
folder, no dependency on the registry. It gives a voucher to whoever has the box and writes that into a log that
every later registrar sees; it sells nothing, and a registry needs it once for each box. Start reading in `issuing.py`.
"""
