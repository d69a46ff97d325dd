"""The command line: reads arguments, calls the runtime, prints.

Nothing is computed here. Modules import what is heavy inside their commands, so that
``llmflow --help`` answers at once.
"""
