"""How long a busy registry has a box wait here, and how long a box may take."""

from __future__ import annotations

RETRY_AFTER = 10  # seconds; a box that looks at nothing comes again sooner
LONGEST = 90  # seconds: twice the longest first wait of the protocol, 30 s by chance up to 45 s
STEP = 600.0  # seconds for what a person has to do, and the box, in one step
