"""The page /phone without a browser: its own modules, run by node, which tests speak to by lines of JSON."""

import contextlib
import json
import subprocess
from pathlib import Path

from tools import need

_PROGRAM = Path(__file__).with_suffix(".mjs")


class Wrong(Exception):
    """What the page told a person that was wrong."""

    def __init__(self, sentence, code):
        super().__init__(sentence)
        self.code = code


class Node:
    """A node with the page's modules in it."""

    def __init__(self):
        self._child = subprocess.Popen(
            [need("node"), str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, do, **asked):
        """Have it *do* something, and return the value. Raises `Wrong`."""
        self._child.stdin.write(json.dumps({"do": do, **asked}) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        if "wrong" in answer:
            assert answer["told"], answer  # whatever else is thrown is a mistake in the page
            raise Wrong(answer["wrong"], answer["code"])
        return answer["value"]

    def call(self, name, *args):
        """Call the function `module.function`."""
        return self("call", name=name, args=args)

    def close(self):
        self._child.stdin.close()
        self._child.wait(timeout=60)
        self._child.stdout.close()


@contextlib.contextmanager
def node():
    one = Node()
    try:
        yield one
    finally:
        one.close()
