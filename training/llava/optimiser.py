"""Muon for matrices and filters, AdamW for the rest.

Muon (Jordan et al. 2024): momentum whose update is brought near the closest orthogonal matrix by
Newton-Schulz steps, so that no direction of a weight matrix is left behind. torch.optim.Muon does
those steps in bfloat16, which many CPUs only emulate, and takes no convolution filters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonalised(update: Tensor, steps: int = 5) -> Tensor:
    """A matrix with the singular vectors of `update` and singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan et al.'s quintic
    x = update / (update.norm() + 1e-7)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; updates scaled to AdamW's size (Liu et al. 2025)."""

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                velocity = state["momentum"]
                velocity.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(velocity, group["momentum"])
                update = orthogonalised(update.reshape(len(update), -1))
                scale = 0.2 * max(update.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)


class Pair:
    """Muon for hidden matrices and filters, AdamW for embeddings, heads, gains and biases.

    Muon's update is scaled to AdamW's root mean square, so one rate serves both; `share` gives
    AdamW's part of it.
    """

    def __init__(
        self,
        module: nn.Module,
        lr: float,
        weight_decay: float = 0.05,
        plain: tuple[str, ...] = ("embed_tokens", "embedder", "head", "cls_token", "position"),
        share: float = 1.0,
    ) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        small: list[nn.Parameter] = []
        for name, parameter in module.named_parameters():
            if parameter.ndim < 2:
                small.append(parameter)
            elif not any(word in name for word in plain):
                matrices.append(parameter)
            else:
                others.append(parameter)
        self.lr, self.share = lr, share
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": others, "weight_decay": weight_decay},
                    {"params": small, "weight_decay": 0.0},
                ],
                lr=lr,
                betas=(0.9, 0.98),
                fused=True,
            )
        ]
        if matrices:
            self.parts.append(Muon(matrices, lr=lr, weight_decay=weight_decay))

    def step(self, factor: float) -> None:
        """One step at `factor` times the peak rate; clears the gradients."""
        for part in self.parts:
            share = 1.0 if isinstance(part, Muon) else self.share
            for group in part.param_groups:
                group["lr"] = self.lr * factor * share
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
