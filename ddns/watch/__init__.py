"""What the world shows of our zones: their secondaries' serials, and the DS that the parents' servers have.

One worker of all asks, and writes down what was answered (`ddns.store.sightings`); the signer reads that, and takes no
step of a key roll before everybody who must show the last one has shown it. Law: nothing here knows a key, decides a
step or changes a zone; silence is written down as silence. Start reading at `watcher`.
"""
