"""The LLMFlow server as this plugin talks to it."""
