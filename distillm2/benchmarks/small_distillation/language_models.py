"""Teacher and student: byte-level Qwen3 models, their training on plain text, and sampling from them."""

from __future__ import annotations

import torch
from corpus import END, PAD, PROMPT, RESPONSE, VOCABULARY, windows
from rich.progress import track
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

SAMPLED = {"do_sample": True, "temperature": 0.8, "top_p": 0.95}


def make(hidden: int, layers: int, seed: int) -> Qwen3ForCausalLM:
    """A model of random weights."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return Qwen3ForCausalLM(config)


def pretrain(model: Qwen3ForCausalLM, articles: list[bytes], steps: int, seed: int, name: str) -> float:
    """Train on windows of 16 x 192 bytes; the mean loss of the last tenth, in nats a byte."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.05)
    model.train()
    losses = []
    for _ in track(range(steps), description=f"{name}: plain text"):
        batch = windows(articles, PROMPT + RESPONSE, generator, 16)
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    model.eval()
    return sum(losses[-(steps // 10) :]) / max(1, steps // 10)


@torch.no_grad()
def respond(model: Qwen3ForCausalLM, prompts: Tensor, seed: int, *, sampled: bool = True) -> Tensor:
    """RESPONSE tokens after each prompt [n, PROMPT], sampled as in the paper or greedy; PAD after the end."""
    torch.manual_seed(seed)
    model.eval()
    mode = SAMPLED if sampled else {"do_sample": False}
    written = [
        model.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=RESPONSE, use_cache=True, **mode)[
            :, PROMPT:
        ]
        for batch in prompts.split(192)
    ]
    padded = [torch.nn.functional.pad(rows, (0, RESPONSE - rows.shape[1]), value=PAD) for rows in written]
    return torch.cat(padded)
