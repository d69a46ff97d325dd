"""The plugin's process: ``python -m main``."""

import os

# LangGraph would report runs to LangSmith where the host's environment says so; nothing leaves through this plugin.
os.environ["LANGSMITH_TRACING_V2"] = "false"

from dify_plugin import DifyPluginEnv, Plugin

plugin = Plugin(DifyPluginEnv(MAX_REQUEST_TIMEOUT=600))

if __name__ == "__main__":
    plugin.run()
