"""From prompts to training pairs: generation, synthesis, joining, licences. Needs neither a GPU nor a trainer."""
