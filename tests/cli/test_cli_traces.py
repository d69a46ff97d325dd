from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmflow.schema import Scope
from llmflow.settings import TracingSettings
from llmflow.tracing import Tracer

