"""What a model's ``config.json`` says of its size: linear layers, norms, embeddings; no torch needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distillm2.errors import DistillationError


@dataclass(frozen=True)
class Linear:
    """One linear layer of a decoder block; sizes in features."""

    name: str
    inputs: int
    outputs: int
    bias: bool

    @property
    def weights(self) -> int:
        """Numbers in the matrix, without the bias."""
        return self.inputs * self.outputs

    @property
    def parameters(self) -> int:
        """Numbers in the matrix and the bias."""
        return self.weights + (self.outputs if self.bias else 0)


@dataclass(frozen=True)
class Family:
    """What ``transformers`` builds for a ``model_type`` beyond the sizes in its configuration."""

    norms: int = 2
    query_norm: bool = False
    tied: bool = False
    head_width: int | None = None
    fused: bool = False
    query_bias: bool = False


FAMILIES: Mapping[str, Family] = {
    "exaone4": Family(query_norm=True),
    "gemma": Family(tied=True, head_width=256),
    "gemma2": Family(norms=4, tied=True, head_width=256),
    "gemma3_text": Family(norms=4, query_norm=True, tied=True, head_width=256),
    "granite": Family(),
    "llama": Family(),
    "mistral": Family(),
    "phi3": Family(fused=True),
    "qwen2": Family(query_bias=True),
    "qwen3": Family(query_norm=True, head_width=128),
    "smollm3": Family(tied=True),
}
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class Shape:
    """The sizes of a dense decoder-only model; ``linears`` are those of one block, ``norms`` those of hidden width."""

    name: str
    model_type: str
    dtype: str | None
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    tied: bool
    linears: tuple[Linear, ...]
    norms: int
    query_norm: bool
    attention_cap: bool
    logit_cap: bool
    quantisation: Mapping[str, Any] | None

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_width

    @property
    def key(self) -> int:
        """Width of all key heads, which is that of the value heads."""
        return self.kv_heads * self.head_width

    @property
    def embedding(self) -> int:
        """Numbers in the input embedding."""
        return self.vocabulary * self.hidden

    @property
    def block_weights(self) -> int:
        """Numbers in the matrices of all blocks: what quantisation shrinks."""
        return self.layers * sum(linear.weights for linear in self.linears)

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        block = sum(linear.parameters for linear in self.linears) + self.norms * self.hidden
        block += 2 * self.head_width if self.query_norm else 0
        return self.layers * block + self.embedding * (1 if self.tied else 2) + self.hidden

    def targets(self, wanted: str) -> tuple[Linear, ...]:
        """The block's linear layers that ``lora_target`` names (comma list or ``all``)."""
        names = [part.strip() for part in wanted.split(",") if part.strip()]
        if names == ["all"]:
            return self.linears
        known = {linear.name: linear for linear in self.linears}
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise DistillationError(
                f"lora_target {wanted!r}: {', '.join(unknown) or 'nothing'} is not among the linear layers of "
                f"{self.name} ({', '.join(known)}); name some of them, or all"
            )
        return tuple(known[name] for name in dict.fromkeys(names))


def read_shape(config: Mapping[str, Any], name: str) -> Shape:
    """Read the values of a ``config.json`` as ``transformers`` does, defaults included.

    ``name`` is for messages. Raises DistillationError for mixture-of-experts, vision and unknown models and for
    values that are missing or no positive whole numbers.
    """
    kind = config.get("model_type")
    experts = [key for key in EXPERTS if config.get(key)]
    if experts:
        raise DistillationError(
            f"{name}: mixture-of-experts models ({experts[0]}={config[experts[0]]}) cannot be planned; "
            "their activations depend on the routing. Choose a dense model"
        )
    if not isinstance(kind, str) or kind not in FAMILIES:
        mixed = " (a model of text with images or sound)" if "text_config" in config else ""
        raise DistillationError(
            f"{name}: model_type {kind!r}{mixed} cannot be planned; known types: {', '.join(FAMILIES)}"
        )
    family = FAMILIES[kind]

    def size(key: str, default: int | None = None) -> int:
        value = config.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise DistillationError(f"{name}: {key} is {value!r} in config.json; a positive whole number is needed")
        return value

    hidden, heads, inner = size("hidden_size"), size("num_attention_heads"), size("intermediate_size")
    kv_heads = size("num_key_value_heads", heads)
    width = size("head_dim", family.head_width or hidden // heads)
    tied = config.get("tie_word_embeddings")
    return Shape(
        name=name,
        model_type=kind,
        dtype=config.get("dtype") or config.get("torch_dtype"),
        vocabulary=size("vocab_size"),
        hidden=hidden,
        intermediate=inner,
        layers=size("num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_width=width,
        tied=family.tied if tied is None else bool(tied),
        linears=_linears(family, config, (hidden, inner, heads * width, kv_heads * width)),
        norms=family.norms,
        query_norm=family.query_norm,
        attention_cap=bool(config.get("attn_logit_softcapping")),
        logit_cap=bool(config.get("final_logit_softcapping")),
        quantisation=config.get("quantization_config"),
    )


def _linears(family: Family, config: Mapping[str, Any], sizes: tuple[int, int, int, int]) -> tuple[Linear, ...]:
    """The linear layers of one block in the order of the forward pass."""
    hidden, inner, query, key = sizes
    attention = bool(config.get("attention_bias"))
    bias, mlp = attention or family.query_bias, bool(config.get("mlp_bias"))
    if family.fused:
        return (
            Linear("qkv_proj", hidden, query + 2 * key, False),
            Linear("o_proj", query, hidden, False),
            Linear("gate_up_proj", hidden, 2 * inner, False),
            Linear("down_proj", inner, hidden, False),
        )
    return (
        Linear("q_proj", hidden, query, bias),
        Linear("k_proj", hidden, key, bias),
        Linear("v_proj", hidden, key, bias),
        Linear("o_proj", query, hidden, attention),
        Linear("gate_proj", hidden, inner, mlp),
        Linear("up_proj", hidden, inner, mlp),
        Linear("down_proj", inner, hidden, mlp),
    )
