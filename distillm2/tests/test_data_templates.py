"""The training template against LLaMA-Factory itself: rendered prompts, checked chat templates, counted tokens."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, Reply

from distillm2.data.endpoint import Endpoint
from distillm2.data.generate import Rendering, generate
from distillm2.data.pairs import Limits, build_pairs
from distillm2.data.records import Message, Prompt, parse_prompt
from distillm2.data.templates import check_template, load_template
from distillm2.errors import DistillationError

THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_models import make_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def thinking_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose chat template writes an empty think block when told not to think, as Qwen3's does."""
    from tiny_models import make_tokenizer

    folder = tmp_path_factory.mktemp("thinking")
    made = make_tokenizer()
    made.chat_template = THINKING
    made.save_pretrained(folder)
    return folder


def trained_rows(tokenizer: Path, rows: list[dict[str, Any]], info: Mapping[str, Any], folder: Path) -> list[Any]:
    """The rows as LLaMA-Factory's own dataset code makes them for training."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from transformers import AutoTokenizer

    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json", **info}}))
    model, data, training, _, _ = get_train_args(
        {
            "model_name_or_path": str(tokenizer),
            "stage": "rm",
            "do_train": True,
            "dataset": "rows",
            "dataset_dir": str(folder),
            "template": "qwen3_nothink",
            "cutoff_len": 4096,
            "output_dir": str(folder / "out"),
            "overwrite_cache": True,
        }
    )
    made = AutoTokenizer.from_pretrained(tokenizer)
    template = get_template_and_fix_tokenizer(made, data)
    module = get_dataset(template, model, data, training, stage="rm", tokenizer=made)
    return list(module["train_dataset"])


def test_pairs_are_in_training_what_they_were_in_generation(tokenizer: Path, tmp_path: Path) -> None:
    template = load_template("qwen3_nothink", str(tokenizer))
    prompts = [
        parse_prompt({"prompt": "연차휴가는 며칠인가요?"}),
        parse_prompt({"instruction": "짧게 답하라.", "input": "출장비는?", "system": "너는 비서다."}),
        parse_prompt({"instruction": "그다음은?", "history": [["하나", "둘"]]}),
    ]
    with OpenAIServer(lambda asked: Reply(f"답 {asked.number}")) as server:
        for who in ("teacher", "student"):
            generate(prompts, Endpoint(server.url, who), tmp_path / who, rendering=Rendering(template))
    assert {asked.path for asked in server.asked} == {"/v1/completions"}
    assert all(asked.body["stop"] == ["<|im_end|>"] for asked in server.asked)
    build_pairs(tmp_path / "teacher", tmp_path / "student", tmp_path, "mine", template=template, validation=0)
    rows = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    entry = json.loads((tmp_path / "dataset_info.json").read_text())["mine"]
    (tmp_path / "training").mkdir()
    trained = trained_rows(tokenizer, rows, {"ranking": True, "columns": entry["columns"]}, tmp_path / "training")
    sent = sorted(asked.body["prompt"] for asked in server.asked if asked.body["model"] == "student")
    in_training = [
        [token for token, label in zip(row["rejected_input_ids"], row["rejected_labels"], strict=True) if label == -100]
        for row in trained
    ]
    assert len(sent) == 3
    assert sorted(in_training) == sent
    for row, prompt in zip(trained, [parse_prompt(row) for row in ({**row} for row in rows)], strict=True):
        chosen = next(pair["chosen"] for pair in rows if parse_prompt(pair) == prompt)
        lengths = template.lengths(prompt, chosen)
        assert lengths.prompt + lengths.response == len(row["chosen_input_ids"])


def test_over_long_pairs_are_dropped_by_real_tokens(tokenizer: Path, tmp_path: Path) -> None:
    template = load_template("qwen3_nothink", str(tokenizer))
    prompt = parse_prompt({"prompt": "질문 하나"})
    exact = template.lengths(prompt, "답 " * 10)
    for name, times in (("t", 10), ("s", 1)):
        line = json.dumps({"prompt": "질문 하나", "response": "답 " * times}) + "\n"
        long = json.dumps({"prompt": "아주 긴 질문 " * 20, "response": "답"}) + "\n"
        (tmp_path / name).write_text(line + long, encoding="utf-8")

    def built(limits: Limits) -> Any:
        return build_pairs(
            tmp_path / "t", tmp_path / "s", tmp_path / "data", "mine", template=template, limits=limits, validation=0
        )

    total = exact.prompt + exact.response
    fits = built(Limits(cutoff_len=total, max_prompt=exact.prompt))
    assert (fits.splits["mine"], fits.dropped) == (1, {f"prompt over {exact.prompt} tokens": 1})
    with pytest.raises(DistillationError, match=f"1 pair over {total - 1} tokens"):
        built(Limits(cutoff_len=total - 1, max_prompt=exact.prompt))
    assert not fits.warnings


def test_a_chat_template_that_agrees_is_used(tokenizer: Path, tmp_path: Path) -> None:
    template = load_template("qwen3_nothink", str(tokenizer))
    prompts = [parse_prompt({"prompt": "하나"}), parse_prompt({"prompt": "둘", "system": "너는 비서다."})]
    with OpenAIServer(lambda asked: Reply("답")) as server:
        generate(
            prompts, Endpoint(server.url, "teacher"), tmp_path / "out", rendering=Rendering(template, checked=True)
        )
    assert {asked.path for asked in server.asked} == {"/v1/chat/completions"}
    assert all("chat_template_kwargs" not in asked.body for asked in server.asked)


def test_an_empty_think_block_is_found_before_anything_is_sent(tokenizer: Path, tmp_path: Path) -> None:
    template = load_template("qwen3", str(tokenizer), thinking=False)
    with OpenAIServer(lambda asked: Reply("답")) as server, pytest.raises(DistillationError) as caught:
        generate(
            [parse_prompt({"prompt": "하나"})],
            Endpoint(server.url, "teacher"),
            tmp_path / "out",
            rendering=Rendering(template, checked=True),
        )
    assert not server.asked
    assert not (tmp_path / "out").exists()
    training, served = str(caught.value).splitlines()[1:3]
    assert training.endswith("<|im_start|>assistant\\n' then '<think>\\n\\n</think>\\n\\n'")
    assert served.endswith("<|im_start|>assistant\\n' and its end")


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_the_same_in_training_and_on_the_server(
    thinking_tokenizer: Path, tmp_path: Path, thinking: bool
) -> None:
    template = load_template("qwen3", str(thinking_tokenizer), thinking=thinking)
    prompt = parse_prompt({"prompt": "하나"})
    with OpenAIServer(lambda asked: Reply("답")) as server:
        generate([prompt], Endpoint(server.url, "m"), tmp_path / "out", rendering=Rendering(template, checked=True))
    assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": thinking}
    assert ("<think>" in template.tokenizer.decode(template.prompt_ids(prompt))) is not thinking


def test_a_default_system_message_of_one_side_is_found(tokenizer: Path) -> None:
    with pytest.raises(DistillationError, match=r"Prompt 1: .*from token 1 on"):
        check_template(load_template("qwen", str(tokenizer)), [parse_prompt({"prompt": "하나"})])
    template = load_template("qwen3_nothink", str(tokenizer), default_system="너는 비서다.")
    with pytest.raises(DistillationError, match=r"(?s)training: .*너는 비서다"):
        check_template(template, [parse_prompt({"prompt": "하나"})])


def test_loading_a_template_leaves_llamafactory_as_it_was(tokenizer: Path) -> None:
    from llamafactory.data.template import TEMPLATES

    load_template("qwen3", str(tokenizer), thinking=False, default_system="바뀜")
    assert (TEMPLATES["qwen3"].enable_thinking, TEMPLATES["qwen3"].default_system) == (True, "")


def test_another_template_is_another_setting(tokenizer: Path, tmp_path: Path) -> None:
    prompts = [Prompt((Message("user", "하나"),))]
    with OpenAIServer(lambda asked: Reply("답")) as server:
        endpoint = Endpoint(server.url, "m")
        generate(prompts, endpoint, tmp_path / "out", rendering=Rendering(load_template("qwen3", str(tokenizer))))
        other = Rendering(load_template("qwen3_nothink", str(tokenizer)))
        with pytest.raises(DistillationError, match="template was 'qwen3', now 'qwen3_nothink'"):
            generate(prompts, endpoint, tmp_path / "out", rendering=other)


def test_unknown_names_are_refused(tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"no template 'qwen3_nothnk'; it has qwen3_nothink"):
        load_template("qwen3_nothnk", str(tokenizer))
    with pytest.raises(DistillationError, match="No tokenizer at"):
        load_template("qwen3", str(tmp_path / "nowhere"))


def test_real_korean_prompts_agree_token_by_token(tokenizer: Path) -> None:
    data = os.environ.get("LLMFLOW_EVAL_DATA")
    if not data:
        pytest.skip("LLMFLOW_EVAL_DATA names no folder of evaluation data")
    with gzip.open(Path(data) / "instruct" / "ko_superni_2tasks.jsonl.gz", "rt", encoding="utf-8") as file:
        prompts = [parse_prompt(json.loads(line)) for line in file][:1000]
    check_template(load_template("qwen3_nothink", str(tokenizer)), prompts)
