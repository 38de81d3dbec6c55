"""What is installed, for `kuleshov doctor` and `kuleshov models`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from kuleshov.output.card import Card

if TYPE_CHECKING:
    from rich.console import Console

    from kuleshov.tools.faces.base import ToolStatus
    from kuleshov.tools.mllm.hub import ModelStatus


def print_doctor(rows: Iterable[ToolStatus], console: Console) -> None:
    """Print what is installed and what is missing, a paragraph a part."""
    card = Card(console)
    known = list(rows)
    column = max((cell_len(row.name) for row in known), default=0)
    for row in known:
        state = ("ready", "green") if row.ready else ("not ready", "yellow")
        if not row.installed:
            state = ("not installed", "yellow")
        name = set_cell_size(row.name, column)
        card.line((name, "bold"), "  ", state, f"  {row.version}" if row.version else "")
        for field, text in (
            ("measures", row.measures),
            ("weights", row.weights),
            ("licence", row.licence),
        ):
            if text:
                card.field(field, text, 9)
        card.command(row.command)


def print_models(rows: Iterable[ModelStatus], console: Console) -> None:
    """Print which models are here and how the others are had, a paragraph a model."""
    card = Card(console)
    for row in rows:
        here = row.state in ("bundled", "plug-in", "cached")
        size = "" if row.bytes is None else f", {row.bytes / 1e9:.2g} GB"
        if row.bytes is not None and row.bytes < 1e8:
            size = f", {row.bytes / 1e6:.2g} MB"
        default = ", the default on this machine" if row.default else ""
        card.line((row.id, "bold"))
        card.field("state", f"{row.state}{size}{default}", 9, style="green" if here else "yellow")
        for field, text in (
            ("licence", row.licence),
            ("note", row.note),
            ("folder", row.path),
        ):
            if text:
                card.field(field, text, 9)
        card.command(row.command)
