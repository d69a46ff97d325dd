"""Writes a random Qwen3 model that a CPU serves in milliseconds, its tokenizer and LoRA adapters, with .venv-vllm.

    .venv-vllm/bin/python tests/vllm/tiny_model.py FOLDER [--hidden 64] [--layers 2]

FOLDER gets ``base`` and, written by PEFT, the adapters ``rerank``, ``rerank-next`` and ``answer`` of rank 8 and
``wide`` of rank 16. Labels of passages and verdicts are single tokens; Korean text takes about one token a syllable.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "source"
LETTERS = string.ascii_uppercase[:20]
SINGLE_TOKENS = [*LETTERS, *(f" {letter}" for letter in LETTERS), "yes", "no", "Yes", "No", "예", "아니오", " >", " ["]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCABULARY = 2048
POSITIONS = 8192
LOGIT_DEVIATION = 1.2
# ChatML as Qwen3 writes it: thinking is left out by an empty thought.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
ADAPTERS = {"rerank": (8, 1), "rerank-next": (8, 2), "answer": (8, 3), "wide": (16, 4)}  # rank, seed
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE over the sample documents, in which every one of ``SINGLE_TOKENS`` is one token."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    documents = [path.read_text(encoding="utf-8") for path in sorted(SAMPLES.iterdir())]
    bpe.train_from_iterator([*documents, *SINGLE_TOKENS * 1000], trainer)
    bpe.add_tokens([AddedToken(text, normalized=False) for text in ("<think>", "</think>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    for text in SINGLE_TOKENS:
        tokens = tokenizer.encode(text)
        assert len(tokens) == 1, f"{text!r} is {len(tokens)} tokens"
    return tokenizer


def make_model(tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int) -> Qwen3ForCausalLM:
    """Random weights whose logits differ clearly from token to token."""
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=hidden // 2,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    ).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, LOGIT_DEVIATION / hidden**0.5)
    return model


def write_adapter(base: Path, folder: Path, rank: int, seed: int) -> None:
    """An adapter that changes the answers: PEFT's own start is zero."""
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=PROJECTIONS, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.2)
    adapted.save_pretrained(folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    arguments = parser.parse_args()
    tokenizer = make_tokenizer()
    base = arguments.folder / "base"
    make_model(tokenizer, arguments.hidden, arguments.layers).save_pretrained(base)
    tokenizer.save_pretrained(base)
    for name, (rank, seed) in ADAPTERS.items():
        write_adapter(base, arguments.folder / name, rank, seed)


if __name__ == "__main__":
    main()
