"""What the tests of answers share."""

from __future__ import annotations

import sys
from pathlib import Path

# The scripted chat server lives beside the tests of its client.
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
