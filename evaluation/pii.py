"""How well personal data is found, beside stock Presidio in the same run.

Reads JSON lines (gzip or not) with ``text`` and ``spans`` of ``{label, start, end}``.

How it is counted. Labels of data sets and of both systems are mapped to groups by
:data:`GROUPS`; labels not in it are not judged. A gold span is *found* when a prediction of
its group overlaps it. A prediction is *correct* when it overlaps a gold span of its group;
several predictions on one gold span (an address found in two pieces) count as one, so
cutting a span up earns nothing. A prediction that touches only a span of a related label
(:data:`NEUTRAL`: a city beside an address) is neither right nor wrong. Everything else is a
false alarm, also where it overlaps a gold span of another group. Telephone and fax are one
group. Spans need to overlap, not to be equal.
"""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from llmflow.errors import InvalidInputError
from llmflow.korean import has_hangul
from llmflow.pii import Masker
from llmflow.settings import PiiSettings

GROUPS: dict[str, tuple[str, ...]] = {
    "RRN": ("RRN", "KR_RRN"),
    "FRN": ("FRN", "KR_FRN"),
    "PHONE": ("PHONE", "FAX", "PHONE_NUMBER", "FAX_NUMBER"),
    "EMAIL": ("EMAIL", "EMAIL_ADDRESS"),
    "CARD": ("CARD", "CREDIT_CARD"),
    "ACCOUNT": ("ACCOUNT", "BANK_ACCOUNT", "US_BANK_NUMBER"),
    "PASSPORT": ("PASSPORT", "KR_PASSPORT", "US_PASSPORT"),
    "DRIVER_LICENSE": ("DRIVER_LICENSE", "KR_DRIVER_LICENSE", "US_DRIVER_LICENSE"),
    "BUSINESS_NUMBER": ("BUSINESS_REG", "BUSINESS_NUMBER", "KR_BRN"),
    "VEHICLE": ("VEHICLE",),
    "IP": ("IP", "IP_ADDRESS"),
    "SSN": ("US_SSN",),
    "IBAN": ("IBAN", "IBAN_CODE"),
    "CORPORATE_NUMBER": ("CORP_REG", "CORPORATE_NUMBER"),
    "BIRTH_DATE": ("DT_BIRTH", "DATE_OF_BIRTH"),
    "PERSON": ("PERSON", "PS"),
    "ADDRESS": ("ADDRESS", "STREET_ADDRESS"),
}
"""Group -> the labels of data sets, LLMFlow and Presidio that mean it."""

STRUCTURED = (
    "RRN", "FRN", "PHONE", "EMAIL", "CARD", "ACCOUNT", "PASSPORT", "DRIVER_LICENSE", "BUSINESS_NUMBER", "VEHICLE", "IP",
    "SSN", "IBAN",
)  # fmt: skip
"""Groups of the micro average."""

NEUTRAL: dict[str, frozenset[str]] = {
    "ADDRESS": frozenset({"GPE", "ZIP_CODE", "POSTAL_CODE", "LC"}),
    "BIRTH_DATE": frozenset({"DATE_TIME", "DT", "AGE"}),
}
"""Group -> labels its predictions may touch without being right or wrong."""

_GROUP_OF = {label: group for group, labels in GROUPS.items() for label in labels}


class Span(NamedTuple):
    """``text[start:end]`` with a label of the data set or of a system."""

    label: str
    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        """Whether at least one character is shared."""
        return self.start < other.end and other.start < self.end


Finder = Callable[[list[str]], list[list[Span]]]


def evaluate_pii(path: Path, settings: PiiSettings | None = None, limit: int | None = None) -> dict[str, Any]:
    """Precision, recall and F1 of LLMFlow and of stock Presidio on a labelled file.

    Args:
        path: JSON lines, ``.gz`` or not, each ``{"text", "spans": [{"label", "start", "end"}]}``.
        settings: threshold of LLMFlow; the policy plays no part.
        limit: read only the first lines.

    Returns:
        ``{"dataset", "documents", "kilobytes", "systems": {"llmflow" | "presidio": {"entities":
        {group: {"gold", "found", "predicted", "correct", "precision", "recall", "f1"}},
        "structured": {...}, "false_alarms": {group: {label touched: count}}, "ms_per_kb"}}}``.
        A ratio with nothing below its line is None. ``ms_per_kb`` is wall time per KiB of
        UTF-8 after loading.

    Raises:
        InvalidInputError: no such file, or a line without these fields.
    """
    texts, gold = _read(path, limit)
    size = sum(len(text.encode()) for text in texts) / 1024
    systems: dict[str, Finder] = {"llmflow": _llmflow(settings or PiiSettings()), "presidio": _presidio()}
    report: dict[str, Any] = {}
    for name, find in systems.items():
        find(["첫 문장 홍길동", "first sentence"])
        started = time.perf_counter()
        found = find(texts)
        elapsed = time.perf_counter() - started
        report[name] = _score(gold, found) | {"ms_per_kb": round(elapsed * 1000 / max(size, 1e-9), 3)}
    return {"dataset": path.name, "documents": len(texts), "kilobytes": round(size, 1), "systems": report}


def print_pii_report(report: dict[str, Any], console: Console | None = None) -> None:
    """Print what :func:`evaluate_pii` returned as a table, both systems side by side."""
    console = console or Console()
    table = Table(title=f"{report['dataset']}: {report['documents']} documents, {report['kilobytes']} KiB")
    table.add_column("entity")
    table.add_column("gold", justify="right")
    for name in report["systems"]:
        for column in ("precision", "recall", "F1"):
            table.add_column(f"{name}\n{column}", justify="right")
    ours = report["systems"]["llmflow"]
    for group in (*ours["entities"], "structured"):
        rows = [
            system["structured"] if group == "structured" else system["entities"].get(group, _ratios(Counter()))
            for system in report["systems"].values()
        ]
        cells = [
            "–" if row[key] is None else f"{row[key]:.3f}" for row in rows for key in ("precision", "recall", "f1")
        ]
        table.add_row(group, str(rows[0]["gold"]), *cells, style="bold" if group == "structured" else None)
    console.print(table)
    for name, system in report["systems"].items():
        console.print(f"{name}: {system['ms_per_kb']} ms per KiB")
        for group, touched in system["false_alarms"].items():
            console.print(f"  false alarms of {group}: " + ", ".join(f"{label} {n}" for label, n in touched.items()))


def _read(path: Path, limit: int | None) -> tuple[list[str], list[list[Span]]]:
    if not path.is_file():
        raise InvalidInputError(f"{path} is no file; give a JSON-lines file with text and spans", param=str(path))
    texts, gold = [], []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if limit is not None and number > limit:
                break
            try:
                row = json.loads(line)
                spans = [Span(span["label"], span["start"], span["end"]) for span in row["spans"]]
                texts.append(row["text"])
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInputError(
                    f"{path}:{number} is not {{text, spans: [{{label, start, end}}]}}: {error!r}", param=str(path)
                ) from None
            gold.append(spans)
    return texts, gold


def _score(gold: list[list[Span]], found: list[list[Span]]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    alarms: dict[str, Counter[str]] = {}
    for document, predictions in zip(gold, found, strict=True):
        for group in {_GROUP_OF[span.label] for span in (*document, *predictions) if span.label in _GROUP_OF}:
            wanted = [span for span in document if _GROUP_OF.get(span.label) == group]
            mine = [span for span in predictions if _GROUP_OF.get(span.label) == group]
            hit = sum(any(span.overlaps(prediction) for prediction in mine) for span in wanted)
            wrong = [prediction for prediction in mine if not any(prediction.overlaps(span) for span in wanted)]
            related = NEUTRAL.get(group, frozenset())
            wrong = [p for p in wrong if not any(p.overlaps(span) and span.label in related for span in document)]
            counts.setdefault(group, Counter()).update(
                gold=len(wanted), found=hit, correct=hit, predicted=hit + len(wrong)
            )
            for prediction in wrong:
                label = next((span.label for span in document if span.overlaps(prediction)), "nothing")
                alarms.setdefault(group, Counter())[label] += 1
    structured = sum((counts[group] for group in STRUCTURED if group in counts), Counter())
    return {
        "entities": {group: _ratios(counts[group]) for group in GROUPS if group in counts},
        "structured": _ratios(structured),
        "false_alarms": {group: dict(alarms[group].most_common()) for group in GROUPS if group in alarms},
    }


def _ratios(count: Counter[str]) -> dict[str, Any]:
    precision = count["correct"] / count["predicted"] if count["predicted"] else None
    recall = count["found"] / count["gold"] if count["gold"] else None
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {key: count[key] for key in ("gold", "found", "predicted", "correct")} | {
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def _llmflow(settings: PiiSettings) -> Finder:
    masker = Masker(settings.model_copy(update={"enabled": True, "policy": {}}))

    def find(texts: list[str]) -> list[list[Span]]:
        masked = masker.mask_many(texts)
        return [[Span(entity.type, entity.start, entity.end) for entity in text.entities] for text in masked]

    return find


def _presidio() -> Finder:
    """Presidio's predefined recognizers of Korean and English, no NER model, its own threshold (0).

    Its Korean identifiers are off by default; they are switched on here.
    """
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    # Its e-mail recognizer would download the list of public suffixes.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    languages = ["ko", "en"]
    registry = RecognizerRegistry(supported_languages=languages)
    registry.load_predefined_recognizers(languages=languages)
    registry.remove_recognizer("SpacyRecognizer")
    for name in ("KrRrn", "KrFrn", "KrBrn", "KrPassport", "KrDriverLicense"):
        registry.add_recognizer(getattr(predefined_recognizers, f"{name}Recognizer")(supported_language="ko"))
    nothing = NoOpNlpEngine([{"lang_code": language, "model_name": "none"} for language in languages])
    engine = AnalyzerEngine(registry=registry, nlp_engine=nothing, supported_languages=languages)

    def find(texts: Iterable[str]) -> list[list[Span]]:
        return [
            [
                Span(result.entity_type, result.start, result.end)
                for result in engine.analyze(text, language="ko" if has_hangul(text) else "en")
            ]
            for text in texts
        ]

    return find
