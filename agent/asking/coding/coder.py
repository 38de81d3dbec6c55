"""Coding one picture by a scheme: every closed question by likelihood, counts and texts in JSON.

All closed questions about one picture are packed into a few forwards. The same questions about a
blank picture tell whether a variable looks at the picture at all; they correct nothing. A blank
picture is no neutral null: of it "no", "nobody" and "not at all" are the true answers, and dividing
by them turns a certain no into a yes. Where a null helps it is the mean over other pictures
(`kuleshov.studies.batch_calibration`), and never for yes/no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from kuleshov.asking import answers
from kuleshov.asking.coding.questions import Asked, Questions, Subject, Wording, listed_schema
from kuleshov.asking.coding.scheme import Scheme, Variable, by_scope
from kuleshov.asking.gate import PriorKey
from kuleshov.asking.images import draw_boxes
from kuleshov.asking.parts import Crew, gap_of_error
from kuleshov.evidence import fusion, generated
from kuleshov.evidence.influence import js_divergence
from kuleshov.tools.media.types import Rgb
from kuleshov.types import CodedVariable, Plain

MOST_PAIRS = 10
LIKE_BLANK = 0.005
"""Bits of Jensen-Shannon divergence under which an answer is that to a blank picture: between
yes/no answers of 50 % and 54 % lie .0012, between 50 % and 58 % .0046."""
TIE = 1e-6  # between equal answers lie only the last bits of sums
NOT_MEASURED = "not measured by this model"
LIKELIHOOD = "likelihood"
PROBED = "likelihood, as taught"
SAME = "several answers are equally likely"
NO_WORDS = "no words were given"
Known = Mapping[tuple[str, tuple[int, ...]], CodedVariable]
"""Answers by the variable's name and the people that it was asked about."""


@dataclass
class Coding:
    """What came of a scheme, in its order: the scene's, each person's, each pair's."""

    variables: list[CodedVariable] = field(default_factory=list)
    gaps: list[Plain] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Coder:
    """Codes with a crew's model by one scheme; answers to the blank picture are kept."""

    def __init__(self, crew: Crew, scheme: Scheme) -> None:
        self.crew, self.scheme = crew, scheme
        self.probes = crew.mllm.info.taught_probes
        self.questions = Questions(crew.writer, self.probes is not None)

    def code(
        self,
        scene: Any,
        places: Sequence[Rgb],
        targets: Sequence[Plain],
        said: Sequence[str] = (),
        wordings: Mapping[str, Wording] | None = None,
        known: Known | None = None,
    ) -> Coding:
        """Code one picture or clip.

        Args:
            scene: what the scene's questions are asked about, a PIL image.
            places: all pictures, (H, W, 3) RGB uint8, of which each person's face is in one.
            targets: the people as the graph holds them.
            said: the words that are heard.
            wordings: other questions or orders of options, by variable's name.
            known: answers to the same questions from before; they are not asked again.
        """
        wordings, known = wordings or {}, known or {}
        done = Coding()
        scopes = by_scope(self.scheme.variables)
        groups = [(scopes["scene"], [Subject((), [scene])])]
        people = self._people(places, targets) if scopes["person"] else []
        pairs = self._pairs(places, targets, done) if scopes["pair"] else []
        groups += [(scopes["person"], people), (scopes["pair"], pairs)]
        for variables, subjects in groups:
            for subject in subjects:
                there = {
                    variable.name: known[variable.name, subject.people]
                    for variable in variables
                    if (variable.name, subject.people) in known
                }
                left = [variable for variable in variables if variable.name not in there]
                told = there | self._subject(left, subject, said, wordings, done.gaps)
                done.variables += [told[variable.name] for variable in variables]
        return done

    # ------------------------------------------------------------------ who is asked about

    def _people(self, places: Sequence[Rgb], targets: Sequence[Plain]) -> list[Subject]:
        """Each person, on the picture with all boxes of those whose faces are in it."""
        shots: dict[int, Any] = {}
        found = []
        for target in targets:
            place = target["picture"]
            if place not in shots:
                shots[place] = draw_boxes(places[place], _people_boxes(targets, place))
            found.append(Subject((target["id"],), [shots[place]], _person_box(target) is not None))
        return found

    def _pairs(
        self, places: Sequence[Rgb], targets: Sequence[Plain], done: Coding
    ) -> list[Subject]:
        pairs = [
            (a, b)
            for a, b in combinations(targets, 2)
            if a["picture"] == b["picture"] and _person_box(a) and _person_box(b)
        ]
        if len(pairs) > MOST_PAIRS:
            done.warnings.append(
                f"{len(pairs)} pairs of people: the first {MOST_PAIRS} were coded as pairs"
            )
        shots: dict[int, Any] = {}
        found = []
        for a, b in pairs[:MOST_PAIRS]:
            place = a["picture"]
            if place not in shots:
                shots[place] = draw_boxes(places[place], _people_boxes(targets, place))
            found.append(Subject((a["id"], b["id"]), [shots[place]]))
        return found

    # ------------------------------------------------------------------ asking

    def _subject(
        self,
        variables: Sequence[Variable],
        subject: Subject,
        said: Sequence[str],
        wordings: Mapping[str, Wording],
        gaps: list[Plain],
    ) -> dict[str, CodedVariable]:
        told: dict[str, CodedVariable] = {}
        closed: list[Asked] = []
        listed: list[Variable] = []
        for variable in variables:
            reason = self._refused(variable, said)
            if reason is not None:
                told[variable.name] = self._record(variable, subject, unanswered=reason)
            elif variable.answers:
                closed.append(
                    self.questions.closed(variable, subject, said, wordings.get(variable.name))
                )
            else:
                listed.append(variable)
        works: list[tuple[list[Variable], Callable[[], list[CodedVariable]]]] = [
            ([one.variable for one in closed], lambda: self._closed(closed, subject)),
            (listed, lambda: self._listed(listed, subject, said, wordings)),
        ]
        for asked, work in works:
            if not asked:
                continue
            try:
                answers = work()
            except Exception as error:
                failure = gap_of_error("code_context", error)
                gaps.append(failure)
                answers = [
                    self._record(variable, subject, unanswered=failure["reason"])
                    for variable in asked
                ]
            told |= {answer.name: answer for answer in answers}
        return told

    def _refused(self, variable: Variable, said: Sequence[str]) -> str | None:
        """Why the model is not asked, or None."""
        info = self.crew.mllm.info
        if self.probes is not None and variable.probe not in self.probes:
            return NOT_MEASURED
        if variable.hears and not said:
            return NO_WORDS
        if variable.answers and not info.scores_labels:
            return f"{NOT_MEASURED}: it gives no likelihoods"
        return None

    def _closed(self, asked: Sequence[Asked], subject: Subject) -> list[CodedVariable]:
        blank = self._blank(asked)
        logs = self.crew.score_many([(one.talk, one.variable.answers) for one in asked])
        return [
            self._answered(one, subject, raw, prior)
            for one, raw, prior in zip(asked, logs, blank, strict=True)
        ]

    def _blank(self, asked: Sequence[Asked]) -> list[list[float]]:
        """Log-likelihoods of the same questions about a blank picture; asked once per agent."""
        keys = [PriorKey(f"code: {one.key}", one.variable.answers) for one in asked]
        by_key = dict(zip(keys, asked, strict=True))

        def ask(new: Sequence[PriorKey]) -> list[list[float]]:
            return self.crew.score_many([(by_key[key].blank, key.answers) for key in new])

        return self.crew.priors.find(keys, ask)

    def _answered(
        self, one: Asked, subject: Subject, raw: Sequence[float], blank: Sequence[float]
    ) -> CodedVariable:
        answers = one.variable.answers
        seen, unseen = (
            dict(zip(answers, fusion.softmax(logs), strict=True)) for logs in (raw, blank)
        )
        apart = js_divergence(seen, unseen)
        told = {
            "probabilities": seen,
            "method": PROBED if one.taught else LIKELIHOOD,
            "blank_js": apart,
            "like_blank": apart < LIKE_BLANK,
        }
        ranked = sorted(seen.values(), reverse=True)
        if one.variable.type != "ordinal" and len(ranked) > 1 and ranked[0] - ranked[1] < TIE:
            return self._record(one.variable, subject, unanswered=SAME, **told)
        value: str | float = max(seen, key=lambda option: seen[option])
        if one.variable.type == "ordinal":
            value = round(sum(int(step) * p for step, p in seen.items()), 4)
        return self._record(one.variable, subject, value=value, **told)

    def _listed(
        self,
        variables: Sequence[Variable],
        subject: Subject,
        said: Sequence[str],
        wordings: Mapping[str, Wording],
    ) -> list[CodedVariable]:
        talk = self.questions.listed(variables, subject, said, wordings)
        answer = self.crew.ask(
            talk,
            step="code_context",
            person=subject.people[0] if len(subject.people) == 1 else None,
            schema=listed_schema(variables),
            most=sum(
                16 if variable.type == "count" else 16 + (variable.most or 80)
                for variable in variables
            ),
        )
        try:
            told, _ = answers.read_fields(answer.text)
        except ValueError:
            told = {}
        values = {name: told[name] for name in (v.name for v in variables) if name in told}
        for variable in variables:
            words = values.get(variable.name)
            if isinstance(words, str) and variable.type == "text":
                values[variable.name] = generated.tidy_field(words, variable.most or 80) or None
        found = []
        for variable in variables:
            if variable.name not in values:
                reason = answers.why_unread("the answer", answer.finished)
            elif values[variable.name] is None:
                reason = "the model could not tell"
            elif variable.type == "count" and not _is_count(values[variable.name], variable):
                reason = "the count is out of its bounds"
            elif _is_echo(values[variable.name], variables):
                reason = "the answer repeats the question"
            else:
                found.append(
                    self._record(
                        variable, subject, value=values[variable.name], method="written, grammar"
                    )
                )
                continue
            found.append(self._record(variable, subject, unanswered=reason))
        return found

    def _record(self, variable: Variable, subject: Subject, **answer: Any) -> CodedVariable:
        return CodedVariable(
            name=variable.name,
            scheme=self.scheme.name,
            type=variable.type,
            scope=variable.scope,
            people=subject.people,
            question=variable.question,
            **answer,
        )


def _person_box(target: Plain) -> Any:
    """Where the person is: the face, else the box that was given, else None."""
    face = target["face"]
    return face["xyxy"] if face else target.get("box")


def _people_boxes(targets: Sequence[Plain], place: int) -> list[tuple[int, Any]]:
    return [
        (target["id"], box)
        for target in targets
        if target["picture"] == place and (box := _person_box(target)) is not None
    ]


def _is_echo(value: object, variables: Sequence[Variable]) -> bool:
    """Whether an answer is the name of a field, or holds no letter and no figure."""
    if not isinstance(value, str):
        return False
    plain = " ".join(value.replace("_", " ").lower().split())
    names = {variable.name.replace("_", " ").lower() for variable in variables}
    return plain in names or not any(c.isalnum() for c in plain)


def _is_count(value: object, variable: Variable) -> bool:
    """Whether it is a whole number within the bounds that the question's schema sets."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= int(str(value)) <= (variable.most or 99)
