"""LlamaBoard's fields, labels, command preview and plots for the stage."""
