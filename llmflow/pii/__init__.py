"""Finding and masking personal data, Korean first. Text in, text out; no stores."""
