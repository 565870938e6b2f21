"""The server's side of signing: ask the signer over its socket, and publish what it answers.

No private key is here, and nothing here can open one. Start reading at `publish`.
"""
