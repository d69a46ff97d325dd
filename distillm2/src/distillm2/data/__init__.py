"""From prompts to training pairs: generation, synthesis, joining, licences. Needs no GPU and no LLaMA-Factory trainer."""
