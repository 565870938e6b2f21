"""The registry's own business: how a home comes to be. Start reading at `enrol`."""
