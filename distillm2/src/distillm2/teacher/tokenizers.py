"""Whether two tokenizers give the same ids to the same tokens: a divergence between them means nothing otherwise."""

from __future__ import annotations

from typing import Any

from distillm2.errors import DistillationError

SHOWN = 5


def check_same_tokenizer(student: Any, teacher: Any, teacher_name: str) -> None:
    """Compare the maps from tokens to ids and the ids that begin and end a text, templates already applied.

    More rows of padding in a model's vocabulary are no difference.

    :raises DistillationError: showing the first differences
    """
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    differences = [
        f"{token!r} is {ours.get(token, 'missing')} for the student and {theirs.get(token, 'missing')} for the teacher"
        for token in sorted(ours.keys() | theirs.keys(), key=lambda token: (ours.get(token, theirs.get(token)), token))
        if ours.get(token) != theirs.get(token)
    ]
    differences += [
        f"{name} is {getattr(student, name)} for the student and {getattr(teacher, name)} for the teacher"
        for name in ("bos_token_id", "eos_token_id")
        if getattr(student, name) != getattr(teacher, name)
    ]
    if differences:
        more = f", and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise DistillationError(
            f"The tokenizers of student and teacher {teacher_name} differ: {'; '.join(differences[:SHOWN])}{more}. "
            "Distillation compares probabilities of the same token ids: choose a teacher of the student's family and "
            "generation."
        )
