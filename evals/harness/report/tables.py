"""The results as tables: for a terminal, in Markdown and in LaTeX for papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kuleshov.evals.harness.compare import SystemComparison
from kuleshov.evals.harness.scores import Scores, SystemScores
from kuleshov.evals.metrics import registry
from kuleshov.evals.metrics.base import Figure
from kuleshov.output import view
from kuleshov.tools.errors import KuleshovError

Row = list[str]


def metric_title(metric: str) -> str:
    try:
        return registry.find_metric(metric).title
    except KuleshovError:  # a metric that needs tables which are not here
        return metric


def better_arrow(metric: str) -> str:
    """Which way is better."""
    try:
        best = registry.find_metric(metric).best
    except KuleshovError:
        return ""
    return {"higher": " ↑", "lower": " ↓"}.get(best or "", "")


def metric_range(metric: str) -> tuple[float, float] | None:
    """The range that a metric can have; None: open, or its tables are not here."""
    try:
        return registry.find_metric(metric).range
    except KuleshovError:
        return None


def format_number(value: float | None) -> str:
    """`.857`; what is not known is a dash."""
    if value is None:
        return "–"
    text = f"{round(value, 3) + 0.0:.3f}"  # −0.0 + 0.0 is 0.0: no negative zero
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def format_interval(figure: Figure, *, strict: bool = False) -> str:
    """`.857 [.845, .869]`."""
    told = format_number(figure.value)
    if figure.low is not None and figure.high is not None:
        told += f" [{format_number(figure.low)}, {format_number(figure.high)}]"
    return told


def answered_share(system: SystemScores) -> str:
    """`2790 of 3486`: samples with a readable answer."""
    total = sum(system.states.values())
    return f"{system.states.get('answered', 0)} of {total}"


def main_table(scores: Scores, metrics: Sequence[str] | None = None) -> tuple[Row, list[Row]]:
    """A row a system: how many answered, the metrics, the first with unanswered counted wrong."""
    shown = list(metrics or scores.metrics)
    first = shown[0] if shown else None
    strict = first is not None and any(s.figure(first).strict is not None for s in scores.systems)
    head = ["system", "answered", *(metric_title(name) + better_arrow(name) for name in shown)]
    if strict and first:
        head.append(f"{metric_title(first)}, unanswered wrong{better_arrow(first)}")
    rows = []
    for system in scores.systems:
        row = [
            system.title,
            answered_share(system),
            *(format_interval(system.figure(m)) for m in shown),
        ]
        if strict and first:
            row.append(format_number(system.figure(first).strict))
        rows.append(row)
    return head, rows


def published_table(scores: Scores) -> tuple[Row, list[Row]]:
    return ["published", "metric", "value", "source", "note"], [
        [p["system"], metric_title(p["metric"]), format_number(p["value"]), p["source"], p["note"]]
        for p in scores.published
    ]


def class_table(system: SystemScores) -> tuple[Row, list[Row]]:
    scored = any(row.average_precision is not None for row in system.classes)
    head = ["label", "n", "precision", "recall", "F1", *(["AP"] if scored else [])]
    return head, [
        [
            row.label,
            str(row.n),
            format_number(row.precision),
            format_number(row.recall),
            format_number(row.f1),
            *([format_number(row.average_precision)] if scored else []),
        ]
        for row in system.classes
    ]


def table_caption(scores: Scores) -> str:
    """What the table is of, in one sentence or two."""
    facts = scores.facts
    models = sorted(
        {
            " and ".join(
                str(part["id"] if "id" in part else part["name"])
                for part in (plan.get("mllm"), plan.get("faces"))
                if part
            )
            for plan in scores.provenance.values()
            if plan.get("mllm")
        }
    )
    by = f" Read by {'; '.join(models)} (MLLM and face tool)." if models else ""
    folds = "; each figure is the mean over the folds" if scores.task["mean_of_folds"] else ""
    level = next((f.level for s in scores.systems for f in s.figures), 0.95)
    return (
        f"{scores.task['title']}, {draw_facts(facts)}{by} In brackets {100 * level:.0f} % "
        f"bootstrap intervals. Metrics count answered samples{folds}."
    )


def draw_facts(facts: dict[str, Any]) -> str:
    """Which samples: all, or how they were drawn."""
    without = facts.get("left_out")
    told = f" {without['told'][:1].upper()}{without['told'][1:]}." if without else ""
    if facts["samples"] == facts["of"]:
        return f"{facts['split']}: all {facts['samples']} samples.{told}"
    return (
        f"{facts['split']}: {facts['samples']} of {facts['of']} samples, drawn in proportion "
        f"to the labels (seed {facts['seed']}).{told}"
    )


# ------------------------------------------------------------------------- markdown


def render_markdown(scores: Scores) -> str:
    """The whole evaluation as Markdown."""
    parts = [
        f"# {scores.task['title']}",
        table_caption(scores),
        _markdown_table(*main_table(scores)),
    ]
    parts += [f"{name} was not run: {why}" for name, why in scores.not_run.items()]
    parts += scores.notes
    told = people_line(scores)
    if told:
        parts.append(told)
    if scores.published:
        parts += ["## Published results", _markdown_table(*published_table(scores))]
    for system in scores.systems:
        if system.classes and system.system not in ("majority", "chance"):
            parts += [f"## {system.title}", _markdown_table(*class_table(system))]
            if system.reasons:
                parts.append(list_reasons(system))
    parts += ["## Protocol", scores.task["protocol"], f"Data: {scores.task['source']}."]
    return "\n\n".join(parts) + "\n"


def list_reasons(system: SystemScores) -> str:
    told = ", ".join(f"{why} ({count})" for why, count in list(system.reasons.items())[:5])
    return f"Without an answer: {told}."


def people_line(scores: Scores) -> str:
    if not scores.people:
        return ""
    alpha, entropy = scores.people.get("alpha"), scores.people.get("entropy")
    told = []
    if alpha is not None:
        told.append(
            f"The people agree among themselves with Krippendorff's α = {format_number(alpha)}."
        )
    if entropy is not None:
        told.append(f"No system can have less cross-entropy than their {entropy:.3f} nats.")
    return " ".join(told)


def _markdown_table(head: Row, rows: Sequence[Row]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    numeric = ["---:" if _is_numeric(rows, place) else "---" for place in range(len(head))]
    return "\n".join([line(head), "|" + "|".join(numeric) + "|", *map(line, rows)])


def _is_numeric(rows: Sequence[Row], place: int) -> bool:
    return bool(rows) and all(row[place][:1] in "0123456789.–-" for row in rows)


# ------------------------------------------------------------------------- LaTeX

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "α": r"$\alpha$",
    "κ": r"$\kappa$",
    "–": "--",
    "×": r"$\times$",
    "−": "$-$",
    "…": r"\dots{}",
}


def escape_latex(text: str) -> str:
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def render_latex(scores: Scores) -> str:
    """The main table and the per-class tables for a paper; needs the package booktabs."""
    parts = [
        "% \\usepackage{booktabs}",
        _latex_table(*main_table(scores), table_caption(scores), f"tab:{scores.task['name']}"),
    ]
    for system in scores.systems:
        if system.classes and system.system not in ("majority", "chance"):
            about = f"{scores.task['title']}, {system.title}: each class."
            label = f"tab:{scores.task['name']}-{system.system}"
            parts.append(_latex_table(*class_table(system), about, label))
    return "\n\n".join(parts) + "\n"


def _latex_table(head: Row, rows: Sequence[Row], about: str, label: str) -> str:
    columns = "".join("r" if _is_numeric(rows, place) else "l" for place in range(len(head)))
    lines = [" & ".join(map(escape_latex, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(escape_latex, head)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape_latex(about)}}}",
            rf"\label{{{label}}}",
            r"\end{table}",
        ]
    )


# ------------------------------------------------------------------------- protocols


def findings_markdown(found: Any, facts: dict[str, Any]) -> str:
    """What a protocol came to (`Findings`) as Markdown."""
    parts = [f"# {found.title}", found.question, draw_facts(facts)]
    for table in found.tables:
        parts += [
            f"## {table.title}",
            _markdown_table(list(table.head), [list(row) for row in table.rows]),
        ]
        parts += [table.note] if table.note else []
    parts += [*found.notes, f"After: {found.source}."]
    return "\n\n".join(parts) + "\n"


def findings_latex(found: Any, facts: dict[str, Any]) -> str:
    """The same for a paper; needs the package booktabs."""
    parts = ["% \\usepackage{booktabs}"]
    for number, table in enumerate(found.tables, start=1):
        about = f"{table.title} ({facts['task']}, {facts['split']}, {facts['samples']} samples)."
        label = f"tab:{found.protocol}-{number}"
        rows = [list(row) for row in table.rows]
        parts.append(_latex_table(list(table.head), rows, f"{about} {table.note}".strip(), label))
    return "\n\n".join(parts) + "\n"


def show_findings(found: Any, console: Any) -> None:
    from rich.markup import escape

    console.print(f"[bold]{escape(found.title)}[/bold]. {escape(found.question)}")
    for table in found.tables:
        console.print(f"\n{escape(table.title)}")
        _rich_table(list(table.head), [list(row) for row in table.rows], console)
        if table.note:
            console.print(escape(table.note))
    for note in found.notes:
        console.print(escape(note))


# ------------------------------------------------------------------------- terminal


def show_table(scores: Scores, console: Any) -> None:
    """The main table on a terminal."""
    from rich.markup import escape

    console.print(escape(table_caption(scores)))
    _rich_table(*_short_table(scores), console)
    if any(f.strict is not None for system in scores.systems for f in system.figures):
        console.print("strict: every sample without an answer counted as wrong")
    for name, why in scores.not_run.items():
        console.print(f"{name} was not run: {escape(why)}")
    for text in (*scores.notes, people_line(scores)):
        if text:
            console.print(escape(text))
    for system in scores.systems:
        if system.reasons:
            console.print(f"{system.system}. {escape(list_reasons(system))}")
    if scores.published:
        _rich_table(*published_table(scores), console)


def _short_table(scores: Scores) -> tuple[Row, list[Row]]:
    """The main table as narrow as a terminal: an interval for the first metric alone."""
    first, *rest = scores.metrics
    head = ["system", "answered", metric_title(first) + better_arrow(first), "strict"]
    head += [f"{name}{better_arrow(name)}" for name in rest]
    rows = []
    for system in scores.systems:
        figure = system.figure(first)
        row = [
            system.system,
            answered_share(system),
            format_interval(figure),
            format_number(figure.strict),
        ]
        rows.append([*row, *(format_number(system.figure(name).value) for name in rest)])
    return head, rows


def show_comparison(found: SystemComparison, console: Any) -> None:
    from rich.markup import escape

    console.print(
        f"{escape(found.b)} against {escape(found.a)}: {found.samples} samples in common, "
        f"{found.left_out} of one evaluation alone"
    )
    head, rows = comparison_table(found)
    _rich_table(head, rows, console)
    if found.mcnemar:
        console.print(escape(told_mcnemar(found)))
    for note in found.notes:
        console.print(escape(note))


def comparison_table(found: SystemComparison) -> tuple[Row, list[Row]]:
    head = ["metric", "A", "B", "B − A", "p (permutation)", "answered by both"]
    rows = []
    for d in found.differences:
        bounds = (
            ""
            if d.low is None or d.high is None
            else f" [{view.format_signed(d.low, 3)}, {view.format_signed(d.high, 3)}]"
        )
        rows.append(
            [
                metric_title(d.metric) + better_arrow(d.metric),
                format_number(d.a),
                format_number(d.b),
                f"{view.format_signed(d.value, 3)}{bounds}",
                p_value(d.p),
                str(d.n),
            ]
        )
    return head, rows


def told_mcnemar(found: SystemComparison) -> str:
    test = found.mcnemar
    assert test is not None
    odds = ""
    if test.odds is not None:
        odds = f", odds {test.odds:.2f} [{test.odds_low:.2f}, {test.odds_high:.2f}]"
    return (
        f"McNemar's exact test: right in B alone {test.only_b}, in A alone {test.only_a}, in both "
        f"{test.both}, in neither {test.neither}; p = {p_value(test.p)}{odds}."
    )


def p_value(p: float) -> str:
    return "<.001" if p < 0.001 else format_number(p)


def _rich_table(head: Row, rows: Sequence[Row], console: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(head):
        right = _is_numeric(rows, place)
        table.add_column(
            escape(name),
            justify="right" if right else "left",
            overflow="fold",
            min_width=min(max((len(row[place]) for row in rows), default=1), 999 if right else 14),
        )
    for row in rows:
        table.add_row(*map(escape, row))
    # figures are never cut off: a table wider than the terminal stays whole
    console.print(table, width=max(console.width, console.measure(table).minimum), crop=False)


Maker = Callable[[Scores], str]
WRITTEN: dict[str, Maker] = {"table.md": render_markdown, "table.tex": render_latex}
