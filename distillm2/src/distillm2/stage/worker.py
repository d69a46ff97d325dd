"""What torchrun starts in every process: LLaMA-Factory's training, with the stage registered.

LLaMA-Factory's launcher joins the arguments into one command and splits it at spaces, so they come by the environment:
``ARGUMENTS`` names the variable, whose value is a JSON list of them as they were typed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ARGUMENTS = "DISTILLM2_TRAIN_ARGUMENTS"


def main() -> None:
    """Train; a fault that a person can mend ends the process with its message alone."""
    from distillm2.errors import DistillationError

    if typed := os.environ.get(ARGUMENTS):
        sys.argv[1:] = json.loads(typed)
    try:
        from distillm2.stage.register import register

        register()
        from llamafactory.train.tuner import run_exp

        run_exp()
    except DistillationError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    # torchrun puts this folder first on the path, where its modules would hide others of the same name.
    sys.path[:] = [entry for entry in sys.path if Path(entry) != Path(__file__).parent]
    main()
