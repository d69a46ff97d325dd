"""What the YAML files of a plugin declare: the keys both SDKs and Dify's daemon read, and their values.

Where the three differ, what all of them take is allowed. Sources: ``pkg/entities/plugin_entities`` of
https://github.com/langgenius/dify-plugin-daemon and ``dify_plugin/entities`` of the SDK, 0.7.4 and 0.10.2.
"""
