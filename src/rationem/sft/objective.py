"""The M-step's loss as a module, so that its wrapper (DDP, FSDP2) sees one forward pass.

    loss = - (1 / B) sum_{i in step} sum_m w_im sum_t log pi(c_imt | x_i, c_im<t; theta)

Logits are computed for completion tokens only, in chunks whose gradient is taken immediately, so a vocabulary of
150,000 does not dominate the memory of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import cross_entropy

#: Logits in memory at once, per device type: 64 MB and 1 GB in fp32.
_LOGITS = {"cpu": 2**24, "cuda": 2**28}
_PROBED = 8


class Objective(torch.nn.Module):
    """Minus the weighted log-likelihood of a micro-batch, as :func:`rationem.sft.rows.collate` builds it.

    Args:
        model: a causal language model of transformers, or a peft model around one.
        logits: the largest number of logits in memory at once.
    """

    def __init__(self, model: Any, logits: int | None = None) -> None:
        super().__init__()
        self.model = model
        self._logits = logits
        self.plain_head = _has_plain_head(model)

    def forward(
        self, input_ids: torch.Tensor, places: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss, a scalar connected to all parameters even if no token has a loss."""
        head: Callable[[torch.Tensor], torch.Tensor]
        if self.plain_head:
            hidden = _decoder(self.model)(input_ids=input_ids, use_cache=False).last_hidden_state
            head = self.model.get_output_embeddings()
            parameters = [p for p in head.parameters() if p.requires_grad]  # type: ignore[attr-defined]
            width = head.weight.shape[0]  # type: ignore[attr-defined]
        else:
            hidden = self.model(input_ids=input_ids, use_cache=False).logits
            head, parameters, width = torch.nn.Identity(), [], hidden.shape[-1]
        limit = self._logits or _LOGITS.get(hidden.device.type, _LOGITS["cuda"])
        chosen = hidden.flatten(0, 1)[places]
        rows = max(1, limit // width)
        loss: torch.Tensor = _Chunked.apply(  # type: ignore[no-untyped-call]
            head, rows, chosen, targets, weights, *parameters
        )
        return loss


class _Chunked(torch.autograd.Function):
    """sum_n w_n (- log softmax(head(h_n))[target_n]), with its gradient computed in the forward pass, by chunks."""

    @staticmethod
    def forward(
        ctx: Any,
        head: Callable[[torch.Tensor], torch.Tensor],
        rows: int,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        """Return the sum; store d/dhidden and d/dparameters."""
        wanted = [p for p in parameters if p.requires_grad]
        total = hidden.new_zeros((), dtype=torch.float32)
        pieces: list[torch.Tensor] = []
        sums: list[torch.Tensor] = []
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            with torch.enable_grad():
                piece = hidden[part].detach().requires_grad_()
                losses = cross_entropy(head(piece).float(), targets[part], reduction="none")
                loss = (losses * weights[part]).sum()
            piece_gradient, *found = torch.autograd.grad(loss, [piece, *wanted])
            total += loss.detach()
            pieces.append(piece_gradient)
            sums = [one.add_(more) for one, more in zip(sums, found, strict=True)] if sums else list(found)
        ctx.hidden = torch.cat(pieces) if pieces else torch.zeros_like(hidden)
        ctx.parameters = sums or [torch.zeros_like(p) for p in wanted]
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the stored gradients times the outer gradient."""
        hidden, parameters = ctx.hidden.mul_(outer[0]), [one.mul_(outer[0]) for one in ctx.parameters]
        ctx.hidden = ctx.parameters = None
        return None, None, hidden, None, None, *parameters


def _decoder(model: Any) -> Any:
    """Return the model without its head, which computes the last hidden states."""
    causal = model.get_base_model() if hasattr(model, "peft_config") else model
    return getattr(causal, causal.base_model_prefix, None)


def _has_plain_head(model: Any) -> bool:
    """Say whether logits are just the output embedding of the last hidden states; found by a trial.

    Some families scale or cap logits. They compute all logits themselves, without chunks.
    """
    head, decoder = model.get_output_embeddings(), _decoder(model)
    if head is None or decoder is None or decoder is model:
        return False
    training = model.training
    ids = torch.arange(1, _PROBED + 1, device=next(model.parameters()).device)[None]
    try:
        model.eval()
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            ours = head(decoder(input_ids=ids, use_cache=False).last_hidden_state)
    finally:
        model.train(training)
    return bool(torch.allclose(ours.float(), logits.float(), rtol=1e-5, atol=1e-5))
