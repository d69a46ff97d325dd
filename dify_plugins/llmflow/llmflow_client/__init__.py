"""The LLMFlow server as this plugin talks to it, and Dify's forms of what it says."""
