"""What is known of model types of transformers before a checkpoint of theirs is loaded."""

from __future__ import annotations

FAMILY = {"llava", "llava_next", "llava_next_video", "llava_onevision", "vipllava"}
"""Model types whose language model takes plain positions and masks, images one row each."""

ONE_IMAGE = {"llava", "llava_next", "mllama", "paligemma", "vipllava"}
"""Model types trained on one image a conversation (llava-interleave is told by its name)."""

MANY_IMAGE_TOWERS = {"pixtral"}
"""Vision towers of models trained on several images, whatever the model's type (Pixtral: llava)."""

VIDEO = {"llava_next_video", "llava_onevision"}
"""Model types trained on videos, that a processor turns into tokens of their own."""
