"""The node that codes the context, and what a run of coding alone needs besides."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kuleshov.asking import gate, reading_room
from kuleshov.asking.coding.candidates import Situation
from kuleshov.asking.coding.coder import Coder, Known
from kuleshov.asking.coding.questions import Questions, Subject
from kuleshov.asking.coding.scheme import Scheme, by_scope
from kuleshov.asking.coding.situations import WayBack
from kuleshov.asking.parts import Crew, plain_records
from kuleshov.evidence.collection import quote_text
from kuleshov.graph.state import State
from kuleshov.tools.types import Face
from kuleshov.types import CodedVariable, Evidence, FaceContexts, Gap, Person, Plain, no_face


class ContextNodes:
    """Bound to a crew, and for the way back to candidate situations."""

    def __init__(self, crew: Crew, situations: Sequence[Situation] = ()) -> None:
        self.crew = crew
        self.way = WayBack(crew, situations) if situations else None

    def code_context(self, state: State) -> State:
        """Answer the scheme's questions; each answer becomes a numbered line of evidence."""
        crew = self.crew
        if crew.scheme is None:
            return {}
        begun = time.perf_counter()
        said = [*state.get("said", []), *(cue["text"] for cue in state.get("words", []))]
        said, untold = self._that_fit(crew.scheme, state, said)
        asked = asked_from(crew, crew.scheme, state, said)
        done = Coder(crew, crew.scheme).code(
            crew.whole(state["key"]),
            crew.desk.pictures(state["key"]),
            state["targets"],
            said,
            state.get("wordings"),
            still_known(crew.scheme, state, asked),
        )
        failed = {gap["reason"] for gap in done.gaps}
        coded, lines = number_variables(done.variables, len(state["evidence"]) + 1)
        return {
            "coded": plain_records(coded),
            "coded_from": {**asked, "failed": sorted(failed)},
            "evidence": [*state["evidence"], *plain_records(lines)],
            "gaps": done.gaps,
            "warnings": [*done.warnings, *untold],  # added to those there are
            "seconds": {"code_context": time.perf_counter() - begun},
        }

    def _that_fit(
        self, scheme: Scheme, state: State, said: list[str]
    ) -> tuple[list[str], list[str]]:
        """As many lines of what was said as the model reads beside a question, and what is said."""
        crew = self.crew
        hearing = [variable for variable in scheme.variables if variable.hears]
        if not said or not hearing or crew.mllm.info.taught_probes is not None:
            return said, []
        subject = Subject((), [crew.whole(state["key"])])
        talk = Questions(crew.writer, probes=False).listed(hearing, subject, [], {})
        chosen = reading_room.choose_lines(crew, talk, [quote_text(line) for line in said])
        if len(chosen) == len(said):
            return said, []
        named = reading_room.name_lines(chosen, [(k + 1, k + 1) for k in range(len(said))])
        what = f"lines {named} were shown" if chosen else "none was shown"
        return [said[k] for k in chosen], [
            f"{crew.mllm.info.id} reads at most {crew.mllm.info.context_tokens:,} tokens: of the "
            f"{len(said)} lines that were said, {what} with the scheme's questions"
        ]

    def name_people(self, state: State) -> State:
        """Whoever was found, not judged."""
        return {"people": plain_records([self._person(target) for target in state["targets"]])}

    def go_back(self, state: State) -> State:
        """Weigh each face that was found against the candidate situations."""
        begun = time.perf_counter()
        assert self.way is not None
        people = []
        for target in state["targets"]:
            person = self._person(target)
            own = [
                Evidence.model_validate(item)
                for item in state["evidence"]
                if item["person"] == person.id and item["source"].startswith("faces:")
            ]
            why = no_face(map(Gap.model_validate, state["gaps"]))
            found = FaceContexts(unanswered=why, untold=why)
            if person.face is not None:
                picture = self.crew.desk.pictures(state["key"])[target["picture"]]
                found = self.way.of(picture, person.face, own)
            people.append(person.model_copy(update={"contexts": found}))
        stopped = [Gap(step="go_back", reason=gate.STOPPED)] if gate.stop_asked() else []
        return {
            "people": plain_records(people),
            "gaps": plain_records(stopped),
            "seconds": {"go_back": time.perf_counter() - begun},
        }

    def _person(self, target: Plain) -> Person:
        face = Face.model_validate(target["face"]) if target["face"] else None
        return Person(
            id=target["id"],
            box_xyxy=face.xyxy if face else target.get("box"),
            face=face,
            basis="face" if face else "context",
            unanswered="not judged: not requested",
        )


def asked_from(crew: Crew, scheme: Scheme, state: State, said: Sequence[str]) -> Plain:
    """All that the answers to a scheme rest on; what was told of the situation is not among it."""
    settings = crew.settings
    return {
        "scheme": scheme.facts,
        "model": [crew.mllm.info.id, crew.mllm.info.revision, crew.writer.family.name],
        "settings": [settings.temperature, settings.seed],
        "wordings": {name: list(wording) for name, wording in state.get("wordings", {}).items()},
        "people": [
            [
                target["id"],
                target["picture"],
                *((target["face"] or {}).get("xyxy") or target.get("box") or ()),
            ]
            for target in state["targets"]
        ],
        "said": list(said),
    }


def still_known(scheme: Scheme, state: State, asked: Plain) -> Known:
    """The answers of the reading before that still hold; none where it was the first.

    Those about people hold as long as the people are the same, those that hear words as long as
    the words are. What could not be asked is asked again.
    """
    before = state.get("coded_from")
    if before is None or any(
        before[name] != asked[name] for name in ("scheme", "model", "settings", "wordings")
    ):
        return {}
    same_people, same_words = (before[name] == asked[name] for name in ("people", "said"))
    hearing = hearing_variables(scheme)
    found = {}
    for told in state.get("coded", []):
        variable = CodedVariable.model_validate(told)
        if (
            (variable.scope == "scene" or same_people)
            and (variable.name not in hearing or same_words)
            and variable.unanswered not in before["failed"]
        ):
            found[variable.name, variable.people] = variable
    return found


def hearing_variables(scheme: Scheme) -> set[str]:
    """Names of the variables that are asked together with words that were said."""
    found = {variable.name for variable in scheme.variables if variable.hears}
    for variables in by_scope(scheme.variables).values():
        listed = [variable for variable in variables if not variable.answers]
        if any(variable.hears for variable in listed):  # all in one question
            found |= {variable.name for variable in listed}
    return found


def number_variables(
    coded: Sequence[CodedVariable], first: int
) -> tuple[list[CodedVariable], list[Evidence]]:
    """The variables with the numbers of their lines, and the lines; the unanswered have none.

    A line about one person belongs to that person; one about a pair, as the scene's, to all.
    """
    found: list[CodedVariable] = []
    lines: list[Evidence] = []
    for variable in coded:
        if variable.value is None:
            found.append(variable)
            continue
        number = first + len(lines)
        share = (variable.probabilities or {}).get(str(variable.value))
        lines.append(
            Evidence(
                n=number,
                source="mllm",
                kind="coded",
                person=variable.people[0] if variable.scope == "person" else None,
                text=variable_line(variable),
                probability=share,
            )
        )
        found.append(variable.model_copy(update={"evidence": number}))
    return found, lines


def variable_line(variable: CodedVariable) -> str:
    """`coded: light 3.4 of 5`, `coded: place home 62%`, `coded: mutual gaze of 1 and 2 yes 80%`."""
    about = variable.name.replace("_", " ")
    if variable.scope == "pair":
        about += f" of {variable.people[0]} and {variable.people[1]}"
    if variable.type == "ordinal":
        return f"coded: {about} {variable.value:.1f} of {len(variable.probabilities or {})}"
    if variable.type == "text":
        return f"coded: {about} {quote_text(str(variable.value))}"
    share = (variable.probabilities or {}).get(str(variable.value))
    return f"coded: {about} {variable.value}" + ("" if share is None else f" {round(100 * share)}%")
