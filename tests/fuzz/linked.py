"""Have the package find `ddns.dns._native` linked into the program that runs this; import it before the package."""

import sys

import _native

sys.modules["ddns.dns._native"] = _native
