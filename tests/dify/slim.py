#!/usr/bin/env python3
"""Stands for ``dify-plugin-daemon-slim``, which Dify's engine starts for every call of a plugin.

It passes the call on to :class:`workflow_host.WorkflowHost` and writes what comes back, line by line:
``slim.py -id PLUGIN -action ACTION`` with the call on standard input, or
``slim.py extract -output json -id PLUGIN`` for what the plugin declares.
"""

import json
import os
import sys
import urllib.request


def main(words: list[str]) -> int:
    """Make one call; 1 where its last line is an error."""
    action = "extract" if words[0] == "extract" else words[words.index("-action") + 1]
    call = {"plugin": words[words.index("-id") + 1], "action": action}
    if action != "extract":
        call |= json.load(sys.stdin)
    line = b"{}"
    with urllib.request.urlopen(os.environ["WORKFLOW_HOST"] + "/plugin", json.dumps(call).encode()) as lines:
        for line in lines:
            sys.stdout.write(line.decode())
            sys.stdout.flush()
    return int(json.loads(line).get("event") == "error")


sys.exit(main(sys.argv[1:]))
