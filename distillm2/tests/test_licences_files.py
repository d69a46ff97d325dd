"""What a file of licences must hold; what is wrong is named with its line."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from licence_entries import OWN

from distillm2.data.licences import read_register
from distillm2.errors import DistillationError

NEXT_MONTH = (date.today().replace(day=1) + timedelta(days=32)).isoformat()[:7]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: x\n", r"own.yaml:1: a register is a list"),
        ("- names: [a\n", r"own.yaml:2: not valid YAML"),
        ("- just a string\n", r"own.yaml:1: an entry has the keys"),
        (OWN + "- names: b\n  kind: model\n", r"own.yaml:10: the entry lacks licence, released"),
        (OWN + OWN, r"own.yaml:10: ours/student-\* stands already at own.yaml:1"),
        (OWN.replace("licence:", "license:"), r"own.yaml:3: unknown key 'license'"),
        (OWN.replace("allowed", "maybe"), r"own.yaml:1: commercial is 'maybe'; allowed: allowed, conditions"),
        (OWN.replace("2025-06", "June"), r"own.yaml:1: 'June' is no date"),
        (OWN.replace("2026-11-21", "unknown"), r"own.yaml:1: checked is a day or a month"),
        (OWN.replace("2025-06", "2025-02-30"), r"own.yaml:1: '2025-02-30' is no date"),
        (OWN.replace("kind: model", "kind: [model]"), r"own.yaml:2: kind is one value"),
        (OWN.replace("[ours/student-*]", "[]"), r"own.yaml:1: names is a name or a list"),
        (OWN + "  note: again\n", r"own.yaml:10: note stands twice"),
        ("- names: a\n  same_as: b\n  kind: model\n", r"own.yaml:1: with same_as only"),
        (OWN.replace("2025-06", "9999-12-31"), r"own.yaml:1: released is 9999-12-31, which is still to come"),
        (OWN.replace("2025-06", NEXT_MONTH), rf"own.yaml:1: released is {NEXT_MONTH}, which is still to come"),
        (OWN.replace("2026-11-21", NEXT_MONTH), rf"own.yaml:1: checked is {NEXT_MONTH}, which is still to come"),
    ],
)
def test_malformed_registers_name_the_line(here: Path, text: str, message: str) -> None:
    (here / "own.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DistillationError, match=message):
        read_register(Path("own.yaml"))


def test_today_and_this_month_are_not_to_come(here: Path) -> None:
    for released in (date.today().isoformat(), date.today().isoformat()[:7]):
        (here / "own.yaml").write_text(OWN.replace("2025-06", released), encoding="utf-8")
        assert len(read_register(Path("own.yaml"))) == 1


def test_an_empty_register_is_one(here: Path) -> None:
    (here / "own.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert read_register(Path("own.yaml")) == ()
