"""The provider of the strategy; it needs no credentials."""

from dify_plugin.interfaces.agent import AgentProvider


class LLMFlowSupervisorProvider(AgentProvider):
    """Models and tools bring their own credentials."""
