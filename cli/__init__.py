"""The command line."""

import os

# Where other programs are at work, torch's threads (of libgomp) spend most of the time waiting for
# each other in loops; so they wait shortly, and then let others go on. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
