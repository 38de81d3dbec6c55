"""The terminal card: one inference as text that a person likes to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from kuleshov.evidence.influence import COMPUTED
from kuleshov.output import coded_view, view
from kuleshov.output.terminal_text import BAR_WIDTH, Lines
from kuleshov.tools.types import EmotionScores
from kuleshov.types import no_face

if TYPE_CHECKING:
    from rich.console import Console

    from kuleshov.types import Inference, Influence, Person

STATUS_STYLE = {"confirmed": "green", "unconfirmed": "yellow", "contradicted": "bold red"}
MOMENTS = 16  # rows, at most, of an expression over time


def print_card(inference: Inference, console: Console) -> None:
    """Print the whole inference; colour and line-drawing only where the console has both."""
    card = Card(console)
    card.inference(inference)
    card.end()


def print_coded(inference: Inference, console: Console) -> None:
    """Print the coded variables of one picture or clip, and nothing else of it."""
    card = Card(console)
    card.title(inference)
    card.coded(inference)
    card.gaps(inference)
    card.notes("Warnings", inference.warnings)
    card.end()


def print_contexts(inference: Inference, console: Console) -> None:
    """Print for each face the situations that it belongs in, and the evidence cited."""
    card = Card(console)
    card.title(inference)
    if not inference.people:
        card.wrapped(no_face(inference.gaps), 2, style="italic")
    for person in inference.people:
        if person.contexts is not None:
            card.contexts(person)
    card.evidence(inference)
    card.gaps(inference)
    card.notes("Warnings", inference.warnings)
    card.end()


class Card(Lines):
    """The parts of the card."""

    def title(self, inference: Inference) -> None:
        name = view.media_title(inference.media)
        self.line((name, "bold"))
        if not self.console.is_terminal:  # no bold: mark where one card of many begins
            self.line("=" * min(cell_len(name), self.width))

    def inference(self, inference: Inference) -> None:
        self.title(inference)
        self.wrapped(" · ".join(view.media_facts(inference)), style="dim")
        self.heading("Scene", view.scene_source(inference) or "")
        if inference.scene is None:
            self.wrapped("not described", 2, style="italic")
        else:
            self.wrapped(view.clean_line(inference.scene.description), 2)
            for name, text in view.scene_details(inference):
                self.field(name, text, 10)
        for person in inference.people:
            self.person(inference, person)
        if inference.coded is not None:
            self.coded(inference)
        self.evidence(inference)
        self.gaps(inference)
        self.notes("Warnings", inference.warnings)
        self.heading("Read with")
        for name, text in view.tools_used(inference.provenance):
            self.field(name, text, 10)
        self.line()
        self.wrapped(view.clean_line(inference.caveat), style="dim italic")

    def person(self, inference: Inference, person: Person) -> None:
        top = "unanswered" if person.emotions is None else view.score_headline(person.emotions)
        self.heading(f"Person {person.id}", top)
        face = person.face
        if face is None:
            self.wrapped(view.NO_FACE, 2, style="dim")
        else:
            x0, y0, x1, y1 = face.xyxy
            where = f"face {x1 - x0:.0f} × {y1 - y0:.0f} px at ({x0:.0f}, {y0:.0f})"
            score = "" if face.score is None else f", detector score {face.score:.2f}"
            time = "" if face.time_s is None else f", shown at {view.format_seconds(face.time_s)}"
            self.wrapped(f"{where}{score}{time}", 2, style="dim")
            for note in face.notes:
                self.wrapped(f"note: {view.clean_line(note)}", 2)
        if person.emotions is None:
            self.wrapped(
                f"unanswered: {view.clean_line(person.unanswered or 'no reason given')}", 2
            )
        else:
            self.line()
            self.distribution(person.emotions)
            self.line()
            self.field("based on", view.fusion_text(person.emotions), 16)
        for judgement in person.judgements:
            told = f"unanswered: {view.clean_line(judgement.unanswered or 'no reason given')}"
            if judgement.emotions is not None:
                told = view.brief_scores(judgement.emotions)
            self.field(view.judgement_text(judgement), told, 16)
        if person.influence is not None:
            self.influence(person.influence)
        self.incongruence(person)
        affect = [
            f"{name} {view.format_signed(value)}"
            for name, value in (("valence", person.valence), ("arousal", person.arousal))
            if value is not None
        ]
        if affect:
            self.field("affect", f"{', '.join(affect)} (each −1 to +1)", 16)
        if face is not None:
            self.units(person)
        self.over_time(inference, person)
        self.explanation(person)

    def gaps(self, inference: Inference) -> None:
        told = [f"{steps}: {reason}" for steps, reason in view.list_gaps(inference)]
        self.notes("Gaps", told)

    def distribution(self, scores: EmotionScores) -> None:
        shown, rest = view.split_scores(scores)
        column = self.column(label for label, _ in shown)
        room = min(BAR_WIDTH, self.width - 2 - column - 7)
        for place, (label, p) in enumerate(shown):
            style = "bold" if place == 0 else ""
            name = set_cell_size(view.clean_line(label), column)
            self.line(
                f"  {name} ", (f"{view.format_percent(p):>4}", style), "  ", self.bar(p, room)
            )
        if rest:
            self.wrapped(
                f"below 1%: {', '.join(view.clean_line(label) for label in rest)}", 2, "dim"
            )

    def influence(self, found: Influence) -> None:
        self.subheading("Influence of the context", "")
        moved = view.shift_text(found)
        if moved is not None:
            self.field("moved", moved, 17, indent=4)
        for name, scores in (
            ("face alone", found.face),
            ("context alone", found.context),
            (view.third_reading(found), found.both),
        ):
            told = "unanswered" if scores is None else view.brief_scores(scores)
            self.field(name, told, 17, indent=4)
        if found.computed is not None:
            told = f"{view.brief_scores(found.computed)} ({COMPUTED}, {found.computed.fusion})"
            self.field("computed", told, 17, indent=4)
        self.field("index", view.influence_text(found), 17, indent=4)

    def incongruence(self, person: Person) -> None:
        if not person.incongruence:
            return
        self.subheading("Face and context disagree", "possible reasons to check")
        for candidate in person.incongruence:
            numbers = " ".join(f"[{n}]" for n in candidate.evidence)
            self.wrapped(
                Text.assemble(
                    (f"    {candidate.kind}: ", "bold"),
                    f"{view.clean_line(candidate.pattern)} {numbers}",
                ),
                hang=6,
            )
            self.wrapped(view.clean_line(candidate.source), 6, "dim")

    def units(self, person: Person) -> None:
        assert person.face is not None
        known = view.group_units(person.face)
        self.subheading("Action units", "; ".join(view.scales_text(person.face)))
        column = max((len(view.unit_name(unit)) for unit in known.shown), default=0)
        words = max((len(unit.shown or "") for unit in known.shown), default=0)
        mixed = len(view.scales_text(person.face)) > 1
        for unit in known.shown:
            number = view.unit_number(unit, with_scale=mixed)
            weak = " (measured poorly)" if unit.weak else ""
            halves = f" ({known.halves[unit.unit]})" if unit.unit in known.halves else ""
            self.wrapped(
                f"AU{unit.unit:<3} {view.unit_name(unit):<{column}}  {unit.shown:<{words}}  "
                f"{number}{halves}{weak}",
                4,
                hang=6 + column + 3,
            )
        if not (known.shown or known.absent or known.untold):
            self.wrapped("not measured: this tool yielded no action units", 4)
            return
        if not known.shown:
            self.wrapped("none shown", 4)
        for name, numbers in (
            ("not shown", [unit.unit for unit in known.absent]),
            ("could not tell", [unit.unit for unit in known.untold]),
            ("not measured", list(known.unmeasured)),
        ):
            if numbers:
                listed = ", ".join(f"AU{number}" for number in dict.fromkeys(numbers))
                self.field(name, listed, 14, indent=4)
        if (pain := view.pain_text(person.face)) is not None:
            self.field("PSPI", pain, 14, indent=4)

    def over_time(self, inference: Inference, person: Person) -> None:
        moments = view.list_moments(inference, person)
        if not moments:
            return
        rows = view.thin_items(moments, MOMENTS)
        some = "" if len(rows) == len(moments) else f"{len(rows)} of {len(moments)} sampled times"
        self.subheading("Expression over time", some)
        column = self.column(row.expression.top for row in rows if row.expression is not None)
        room = min(BAR_WIDTH, self.width - 4 - 9 - column - 8)
        for moment in rows:
            when = f"    {view.format_seconds(moment.time_s):>8}  "
            if moment.expression is None:
                self.line(when, (f"({moment.missing})", "dim"))
                continue
            label = moment.expression.top
            p = moment.expression.probabilities[label]
            name = set_cell_size(view.clean_line(label), column)
            self.line(when, f"{name}  {view.format_percent(p):>4}  ", self.bar(p, room))

    def explanation(self, person: Person) -> None:
        told = person.explanation
        if told is None:
            return
        self.subheading("Explanation", "second attempt" if told.repaired else "")
        self.wrapped(view.clean_line(told.text), 4)
        for name, words in (("before", told.antecedent), ("after", told.consequence)):
            if words:
                self.field(name, words, 12, indent=4)
        if told.cues:
            self.line()
        for cue in told.cues:
            head = Text(f"    {cue.status:<12}  ", STATUS_STYLE[cue.status])
            other = " (seen on the face, but cites the wrong evidence)" if cue.elsewhere else ""
            self.wrapped(
                Text.assemble(
                    head, f"[{cue.evidence}] ", view.clean_line(cue.text), (other, "dim")
                ),
                hang=18,
            )
        if told.left_out:
            numbers = " ".join(f"[{n}]" for n in told.left_out)
            self.field("left out", f"{numbers} shown on the face, not cited", 12, indent=4)

    def evidence(self, inference: Inference) -> None:
        if not inference.evidence:
            return
        self.heading("Evidence")
        people = list(dict.fromkeys(item.person for item in inference.evidence))
        source = max(len(view.clean_line(item.source)) for item in inference.evidence)
        number = len(str(max(item.n for item in inference.evidence))) + 2
        for person in people:
            if len(people) > 1:
                name = "Whole picture" if person is None else f"Person {person}"
                if person is None and inference.media.kind == "clip":
                    name = "Whole clip"
                self.line((f"  {name}", "dim"))
            for item in view.evidence_of(inference, person):
                if item.kind == "coded":  # stands under Context as data, with its number
                    continue
                mark = f"[{item.n}]"
                head = f"  {mark:>{number}} {view.clean_line(item.source):<{source}}  "
                self.wrapped(
                    Text.assemble((head, "cyan"), view.clean_line(item.text)),
                    hang=number + 5 + source,
                )

    def contexts(self, person: Person) -> None:
        found = person.contexts
        assert found is not None
        self.heading(f"Person {person.id}", "situations that this face belongs in")
        if found.situations is not None:
            probabilities = found.situations
            self.distribution(EmotionScores(labels="", probabilities=probabilities, method=""))
        self.line()
        for name, text in coded_view.situation_lines(found):
            self.field(name, text, 14)

    def coded(self, inference: Inference) -> None:
        self.heading(
            "Context as data", view.clean_line((inference.provenance.scheme or {})["name"])
        )
        for group in coded_view.group_variables(inference):
            self.line((f"  {group.title}", "dim"))
            column = self.column(row.name for row in group.rows)
            for row in group.rows:
                mark = "" if row.evidence is None else f"[{row.evidence}]"
                note = f" ({row.note})" if row.note else ""
                head = f"  {mark:>5} {set_cell_size(row.name, column)}  "
                self.wrapped(
                    Text.assemble((head, "cyan"), row.answer, (note, "dim")), hang=column + 10
                )
            for reason, names in group.missing:
                self.wrapped(f"{reason}: {', '.join(names)}", 8, "dim")

    def notes(self, name: str, texts: Sequence[str]) -> None:
        if texts:
            self.heading(name, style="yellow")
            for text in texts:
                self.wrapped(f"- {view.clean_line(text)}", 2, hang=4)
