"""Label sets in the terminal: a paragraph a set, or a line a label."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from kuleshov.output import view
from kuleshov.output.terminal_text import Lines
from kuleshov.tools.labels import Label, LabelSet
from kuleshov.tools.labels.mappings import Mapping

MODES = {
    "single": "one of them holds",
    "multi": "each holds or does not",
    "free": "the model's own words",
}


class LabelCard(Lines):
    def label_sets(self, sets: Sequence[LabelSet]) -> None:
        for labels in sets:
            count = f"{len(labels.labels)} labels, " if labels.labels else ""
            self.line((labels.name, "bold"), f"  {count}{labels.mode}: {MODES[labels.mode]}")
            if labels.labels:
                self.field("labels", ", ".join(labels.names), 6)
            self.field("source", labels.source, 6)
            if labels.note:
                self.field("note", labels.note, 6)

    def label_set(self, labels: LabelSet) -> None:
        self.line((view.clean_line(labels.name), "bold"), f"  {labels.mode}: {MODES[labels.mode]}")
        self.field("source", labels.source, 7)
        if labels.note:
            self.field("note", labels.note, 7)
        if labels.anchors:
            self.field("anchors", f"valence, arousal: {labels.anchors}", 7)
        if labels.sides:
            self.field("sides", labels.sides, 7)
        if labels.labels:
            self.line()
        column = max((cell_len(view.clean_line(name)) for name in labels.names), default=0)
        for label in labels.labels:
            name = set_cell_size(view.clean_line(label.name), column)
            self.wrapped(f"  {name}  {_label_meaning(label)}", hang=column + 4)

    def mapping(self, table: Mapping) -> None:
        self.line((f"{table.source_set} to {table.target_set}", "bold"))
        self.field("source", table.source, 7)
        self.line()
        column = max(cell_len(name) for name in table.labels)
        for name, words in table.labels.items():
            self.field(name, ", ".join(words), column)
        if table.without:
            self.field("without counterpart", ", ".join(table.without), 19)


def _label_meaning(label: Label) -> str:
    parts = [view.clean_line(label.definition)] if label.definition else []
    if label.synonyms:
        parts.append("also: " + ", ".join(view.clean_line(word) for word in label.synonyms))
    if label.valence is not None and label.arousal is not None:
        parts.append(
            f"valence {view.format_signed(label.valence)}, arousal "
            f"{view.format_signed(label.arousal)}"
        )
    if label.side is not None:
        parts.append(label.side)
    return "; ".join(parts)
