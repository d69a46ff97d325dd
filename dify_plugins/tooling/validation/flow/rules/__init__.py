"""What no single node says: rules across a flow, one function an idea."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dify_plugins.tooling.validation.flow.flow import Flow
from dify_plugins.tooling.validation.flow.rules import (
    agents,
    code,
    conditions,
    defaults,
    dependencies,
    edges,
    graph,
    models,
    privacy,
    texts,
    tools,
    variables,
)
from dify_plugins.tooling.validation.problem import Problem

Rule = Callable[[Flow], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    graph.ids_are_unique,
    graph.begins_once,
    graph.ends_as_its_mode_asks,
    graph.iterations_hold_their_nodes,
    graph.inputs_and_outputs_are_sound,
    edges.connect_nodes,
    edges.are_drawn_once,
    edges.leave_by_handles,
    edges.run_in_no_circle,
    edges.reach_every_node,
    edges.leave_no_dead_end,
    variables.are_given_upstream,
    texts.name_variables_rightly,
    conditions.fit_their_types,
    code.runs,
    defaults.stand_in,
    tools.exist,
    agents.exist,
    models.exist,
    dependencies.are_known,
    dependencies.are_complete,
    privacy.no_secrets,
    privacy.no_datasets,
)


def problems(flow: Flow) -> Iterator[Problem]:
    """What the rules find."""
    for rule in RULES:
        yield from rule(flow)
