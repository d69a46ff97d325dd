"""``python -m distillm2``."""

from __future__ import annotations

from distillm2.cli.main import main

if __name__ == "__main__":
    main()
