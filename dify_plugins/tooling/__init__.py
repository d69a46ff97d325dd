"""Checks, packages and runs the Dify plugins of this repository: ``python -m dify_plugins.tooling``."""
