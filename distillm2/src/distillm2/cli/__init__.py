"""The command ``distillm2``: LLaMA-Factory's own commands, and ours beside them."""
