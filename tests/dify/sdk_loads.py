"""Loads plugins with the SDK of the interpreter that runs this: ``python sdk_loads.py FOLDER ...``.

Prints a JSON object: what the SDK said against each folder, or null.
"""

from __future__ import annotations

import json
import os
import sys

from dify_plugin.config.config import DifyPluginEnv
from dify_plugin.core.plugin_registration import PluginRegistration


def refusal(folder: str) -> str | None:
    """Why the SDK refuses the plugin in ``folder``; nothing if it loads."""
    os.chdir(folder)
    sys.path.insert(0, folder)
    before = set(sys.modules)
    try:
        PluginRegistration(DifyPluginEnv())
    except Exception as error:
        return str(error)
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
                del sys.modules[name]
    return None


if __name__ == "__main__":
    print(json.dumps({folder: refusal(folder) for folder in sys.argv[1:]}))
