"""What was found, as the review and the writing of the answer are shown it."""

from __future__ import annotations

from orchestration.budget import cut, tokens
from orchestration.passages import listing
from orchestration.run import Run, State

_PASSAGES = 0.6
"""Share of the prompt for passages; half as much goes to everything else."""


def material_of(run: Run, state: State) -> tuple[str, list[int]]:
    """Notes of the steps, what tools said, passages; and the numbers of the passages shown."""
    room = max(run.model.room - tokens(run.prompts.instruction) - tokens(run.question), 0)
    passages, shown = listing(run.passages, int(room * _PASSAGES), run.words)
    others = [f"- {note.step}: {note.text}" for note in state["notes"]]
    others += [run.words.result_of.format(name=finding.tool, result=finding.text) for finding in state["findings"]]
    others += [run.words.failed.format(name=name, reason=reason) for name, reason in run.tools.unusable.items()]
    share = int(room * _PASSAGES / 2) // max(len(others), 1)
    return "\n\n".join([*(cut(each, share, run.words) for each in others), passages]).strip(), shown
