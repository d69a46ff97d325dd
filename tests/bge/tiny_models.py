"""Models in the real layouts, tiny and random: BGE-M3, and a BGE reranker."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

WIDTH = 64
_CORPUS = (
    "연차 휴가 신청 절차 안내", "보안 정책 VPN OTP 비밀번호", "출장비 정산은 영수증을 첨부하여 7일 이내에 한다.",
    "hello world machine learning retrieval", "Expenses are reimbursed within ten days.",
)  # fmt: skip


def make_bge_m3(folder: Path, seed: int = 0) -> Path:
    """Encoder, tokenizer, and the linear layers of BGE-M3's term weights and token vectors."""
    config = _tokenizer(folder)
    torch.manual_seed(seed)
    XLMRobertaModel(config).save_pretrained(folder)
    torch.save(torch.nn.Linear(WIDTH, WIDTH).state_dict(), folder / "colbert_linear.pt")
    terms = torch.nn.Linear(WIDTH, 1)
    with torch.no_grad():
        terms.bias.fill_(0.5)  # most tokens weigh something
    torch.save(terms.state_dict(), folder / "sparse_linear.pt")
    return folder


def make_reranker(folder: Path) -> Path:
    """A cross-encoder with one output."""
    config = _tokenizer(folder)
    config.num_labels = 1
    torch.manual_seed(1)
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


def _tokenizer(folder: Path) -> XLMRobertaConfig:
    folder.mkdir(parents=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = sorted({f"▁{word}" for text in _CORPUS for word in text.split()})
    letters = sorted({letter for text in _CORPUS for letter in text if letter != " "} | {"▁"})
    # Given, not trained: training gives another vocabulary each time.
    vocabulary = [(token, 0.0) for token in special] + [(word, -3.0) for word in words]
    tokenizer = Tokenizer(models.Unigram([*vocabulary, *((letter, -6.0) for letter in letters)], unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=128,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return XLMRobertaConfig(
        vocab_size=len(fast), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2,
        initializer_range=0.3,
    )  # fmt: skip
