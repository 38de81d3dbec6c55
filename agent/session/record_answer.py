"""Questions that the record and FACS answer by themselves, so that no model has to be asked.

Each kind of question has a pattern and an answer that cites evidence by number. What no pattern
knows is for the model, or, where it was never taught to answer, for one honest line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kuleshov.evidence.grounding import find_mentions
from kuleshov.output import view
from kuleshov.tools.faces import facs
from kuleshov.tools.labels import LabelSet
from kuleshov.types import Evidence, Inference, Person

CAN = (
    "I can say who is there, how somebody seems to feel and how sure that is, why, what speaks "
    "against it, what a unit is and whether it is shown (AU12, a smile), what evidence 3 is, what "
    "the scene shows, and read anew what if something else were so"
)
UNKNOWN = f"The record does not answer that. {CAN}."


@dataclass(frozen=True)
class AskedQuestion:
    """A question about a reading; `person` is spoken of, None: everybody."""

    text: str
    inference: Inference
    person: Person | None
    labels: LabelSet
    match: re.Match[str]

    @property
    def people(self) -> Sequence[Person]:
        """Those whom the question names by number, else the one spoken of, else everybody."""
        named = re.search(r"\bpersons? (\d[\d, and]*)", self.text, re.I)
        numbers = {int(n) for n in re.findall(r"\d{1,4}", named[1])} if named else set()
        if found := [one for one in self.inference.people if one.id in numbers]:
            return found
        return (self.person,) if self.person is not None else self.inference.people


def answer_from_record(
    question: str, inference: Inference, person: Person | None, labels: LabelSet
) -> str | None:
    """The answer to a question of a known kind; None: it is of another kind."""
    for pattern, answer in KINDS:
        if match := re.search(pattern, question, re.I):
            told = answer(AskedQuestion(question, inference, person, labels, match))
            if told is not None:
                return told
    return None


# ---------------------------------------------------------------------------- the kinds


def _about_identity(asked: AskedQuestion) -> str:
    return (
        "That is not told: Kuleshov does not recognise who somebody is, nor age, gender, origin or "
        "health. It reads what a face and its context seem to express."
    )


def _about_lying(asked: AskedQuestion) -> str:
    return (
        "It cannot tell lying: no face, voice or posture shows it reliably (Barrett et al. 2019). "
        "It tells only what is visible and how people would mostly read it."
    )


def _about_genuine(asked: AskedQuestion) -> str | None:
    told = [
        f"Person {person.id}: {text} [{item.n}]."
        for person in asked.people
        if person.face is not None and (text := facs.smile_text(person.face))
        for item in asked.inference.evidence
        if item.person == person.id and item.unit == 12
    ]
    rest = "Whether a smile is felt cannot be seen: AU6 beside AU12 is neither needed nor enough."
    return " ".join([*told, rest])


def _about_unit_number(asked: AskedQuestion) -> str:
    number = int(asked.match[1])
    if number not in facs.UNITS and number not in facs.FURTHER:
        return f"There is no AU{number} in FACS."
    return " ".join([_unit_meaning(number), *_units_shown(asked, [number])])


def _about_words(asked: AskedQuestion) -> str | None:
    """Is she frowning? Which unit is a smile?"""
    units = [unit for _, _, several in find_mentions(asked.text) for unit in several]
    if not units:
        return None
    units = list(dict.fromkeys(units))
    shown = _units_shown(asked, units)
    if re.search(r"\b(?:which|what)\b.*\b(?:unit|au|number)\b", asked.text, re.I) or not shown:
        return " ".join([*map(_unit_meaning, units), *shown])
    return " ".join(shown)


def _about_evidence(asked: AskedQuestion) -> str:
    number = int(asked.match[1])
    found = next((item for item in asked.inference.evidence if item.n == number), None)
    if found is None:
        last = max((item.n for item in asked.inference.evidence), default=0)
        return f"There is no evidence {number}; it goes to {last}."
    whom = f" about person {found.person}" if found.person else ""
    return f"Evidence [{number}]{whom}, by {found.source}: {_plain(found.text)}."


def _about_number_of_people(asked: AskedQuestion) -> str:
    people = asked.inference.people
    if not people:
        return "Nobody was read in this picture."
    told = [f"{view.count_people(people)[:1].upper()}{view.count_people(people)[1:]}."]
    told += [f"{_headline(person)}." for person in people]
    return " ".join(told)


def _about_person(asked: AskedQuestion) -> str:
    number = int(asked.match[1])
    found = next((person for person in asked.inference.people if person.id == number), None)
    if found is None:
        return f"There is no person {number} in this reading."
    told = [f"{_headline(found)}."]
    if found.explanation is not None:
        told.append(_plain(found.explanation.text) + ".")
    return " ".join(told)


def _about_comparison(asked: AskedQuestion) -> str | None:
    several = asked.people if len(asked.people) > 1 else asked.inference.people
    people = [person for person in several if person.emotions is not None]
    if len(people) < 2:
        return "There is one person only: nobody to compare with."
    label = _label_in(asked)
    if label is None:
        return " ".join(f"{_headline(person)}." for person in people)
    ranked = sorted(people, key=lambda p: -(p.emotions.probabilities.get(label, 0)))  # type: ignore[union-attr]
    if re.search(r"\bleast\b", asked.text, re.I):
        ranked.reverse()
    shares = ", ".join(
        f"person {p.id} {view.format_percent(p.emotions.probabilities.get(label, 0))}"  # type: ignore[union-attr]
        for p in ranked
    )
    return f"For {label}: {shares}."


def _about_certainty(asked: AskedQuestion) -> str | None:
    told = []
    for person in asked.people:
        if person.emotions is None:
            continue
        (first, p), *others = person.emotions.ranked()
        after = f", then {others[0][0]} {view.format_percent(others[0][1])}" if others else ""
        told.append(f"Person {person.id}: {first} {view.format_percent(p)}{after}.")
    if not told:
        return None
    cares = " ".join(f"{_plain(text)}." for text in asked.inference.warnings[:2])
    return " ".join([*told, "These are shares of how people would read it.", cares]).strip()


def _about_scene(asked: AskedQuestion) -> str:
    items = [item for item in asked.inference.evidence if item.kind == "scene"]
    if asked.inference.scene is None:
        return "The scene was not described."
    cited = "".join(f" [{item.n}]" for item in items[:1])
    source = view.scene_source(asked.inference)
    guess = f" ({source})" if source else ""
    return f"{_plain(asked.inference.scene.description)}{cited}{guess}."


def _about_told(asked: AskedQuestion) -> str:
    kinds = ("context", "note", "transcript", "said")
    items = [item for item in asked.inference.evidence if item.kind in kinds]
    if not items:
        return "Nothing was told of the situation. Say it with /context, or ask what if."
    return " ".join(f"{_plain(item.text)} [{item.n}]." for item in items)


def _about_labels(asked: AskedQuestion) -> str:
    names = ", ".join(label.name for label in asked.labels.labels)
    return f"The labels are {names} ({asked.labels.name}). /labels takes another set."


def _about_tools(asked: AskedQuestion) -> str:
    used = view.tools_used(asked.inference.provenance)
    return " ".join(f"{name}: {text}." for name, text in used[:4])


def _about_surroundings(asked: AskedQuestion) -> str:
    return f"{CAN[:1].upper()}{CAN[1:]}."


def _about_feeling(asked: AskedQuestion) -> str | None:
    if _label_in(asked) is not None or not asked.people:
        return None
    told = [f"{_headline(person)}." for person in asked.people]
    rest = "That is how it seems, not what is felt."
    return " ".join([*told, rest])


def _about_label(asked: AskedQuestion) -> str | None:
    """Is she sad?"""
    label = _label_in(asked)
    if label is None:
        return None
    told = []
    for person in asked.people:
        if person.emotions is None:
            continue
        p = person.emotions.probabilities.get(label)
        if p is None:
            continue
        most = "the most probable reading" if person.emotions.top == label else "not the first"
        told.append(f"Person {person.id}: {label} {view.format_percent(p)}, {most}.")
    return " ".join(told) or None


def _words(*several: str) -> str:
    """A pattern for any of these, as whole words."""
    return rf"\b(?:{'|'.join(several)})\b"


_PICTURE = "(?:the|this) (?:picture|photo|image)"
_WHO = "(?:she|he|they|it|the person|this person|person)"
Answerer = Callable[[AskedQuestion], str | None]
KINDS: tuple[tuple[str, Answerer], ...] = (
    (_words("lying", "lies?", "liar", "honest", "truth", r"deceiv\w+", "deception"), _about_lying),
    (
        _words(
            *("how old", "age", "gender", "male or female", "race", r"ethnic\w*", "nationality"),
            *(
                "name",
                "who (?:is|are) (?:she|he|they|this|that|it)",
                r"who(?:'s| is) the (?:man|woman|boy|girl|actor|actress|guy|lady)",
            ),
            *(r"recogni[sz]e", "identify", r"religio\w+", r"diagnos\w+", "gay"),
        ),
        _about_identity,
    ),
    (_words("genuine", "faked?", "real smile", "duchenne", "sincere", "forced"), _about_genuine),
    (r"\bAU\s*-?(\d{1,3})\b", _about_unit_number),
    (r"\baction unit (\d{1,3})\b", _about_unit_number),
    (r"\b(?:evidence|item|line|number)\s*\[?(\d{1,4})\]?", _about_evidence),
    (r"^\s*\[(\d{1,4})\]", _about_evidence),
    (
        _words(
            *("compare", r"\w+(?:er) than", r"(?:happ|sadd?|angr|scar\w*|calm)i?est"),
            *("who (?:is|looks|seems) (?:the )?(?:most|least)", "difference between"),
        ),
        _about_comparison,
    ),
    (
        r"^\s*(?:is|are|does|do|can you see|did|was|has|have|any)\b|\b(?:which|what) (?:unit|au)\b",
        _about_words,
    ),
    (r"^\s*(?:is|are|does|do|could|might|was)\b", _about_label),
    (r"\b(?:about|is|does|how is|how does|describe) person (\d{1,4})\b", _about_person),
    (
        _words(
            *("how many", "who is (?:there|here|in)", "who are (?:there|the people)", "anybody"),
            *("anyone", "who do you see", "everybody", "everyone"),
        ),
        _about_number_of_people,
    ),
    (
        _words("sure", r"certain\w*", r"confiden\w+", "reliable", "trust", r"probab\w+", "likely"),
        _about_certainty,
    ),
    (r"\b(?:which|what) (?:labels|emotions|categories|words)\b", _about_labels),
    (
        _words(
            "(?:which|what) (?:model|tool|toolbox|software|version)",
            "how (?:do|did) you (?:know|work|read|measure)",
            "what did you use",
        ),
        _about_tools,
    ),
    (
        _words(
            *("did i (?:tell|say)", "have i told", "i told you", "do you know about"),
            *("was said", "were you told"),
        ),
        _about_told,
    ),
    (r"^\s*(?:help|what can (?:you|i)\b)", _about_surroundings),
    (
        _words(
            *("scene", "setting", "where (?:is|are|was)", "background", "surroundings"),
            *("what is (?:going on|happening)", rf"what(?:'s| is) (?:in|on) {_PICTURE}"),
            *(rf"describe {_PICTURE}", "what do you see"),
        ),
        _about_scene,
    ),
    (
        _words(
            rf"how (?:is|are|does|do) {_WHO}",
            rf"what (?:is|does) {_WHO} (?:feel|express)\w*",
            "(?:which|what) (?:emotion|feeling|mood)",
            "how .* (?:feel|feeling|look|seem)",
        ),
        _about_feeling,
    ),
)
"""Pattern to answer, tried in this order."""


# ---------------------------------------------------------------------------- parts of answers


def _plain(text: str) -> str:
    return view.clean_line(text).rstrip(".")


def _headline(person: Person) -> str:
    if person.emotions is None:
        return f"Person {person.id} has no reading ({_plain(person.unanswered or 'unanswered')})"
    basis = ", from the context alone" if person.face is None else ""
    return f"Person {person.id} seems {view.brief_scores(person.emotions)}{basis}"


def _label_in(asked: AskedQuestion) -> str | None:
    """The label that the question names, also by an adjective or its comparison."""
    text = re.sub(r"\b(\w+?)i(?:er|est)\b", r"\1y", asked.text)
    found = named_labels(text, asked.labels)
    return found[0] if found else None


def named_labels(question: str, labels: LabelSet) -> list[str]:
    """The labels that a question names, in its order; adjectives count by their first letters."""
    found: dict[str, int] = {}
    for label in labels.labels:
        for word in (label.name, *label.synonyms):
            stem = word.lower() if len(word) < 6 else word.lower()[: max(4, len(word) - 3)]
            match = re.search(rf"\b{re.escape(stem)}\w*", question.lower())
            if match and label.name not in found:
                found[label.name] = match.start()
    return sorted(found, key=lambda name: found[name])


def _unit_meaning(number: int) -> str:
    patterns = [p for p in facs.PATTERNS if number in p.units and p.kind == "prototype"]
    of = ", ".join(dict.fromkeys(pattern.expression for pattern in patterns))
    part = f"; part of the prototype of {of}" if of else "; in no prototype of the basic emotions"
    return f"AU{number} is the {facs.unit_name(number)}{part}."


def _units_shown(asked: AskedQuestion, units: Sequence[int]) -> list[str]:
    told = []
    for person in asked.people:
        own = [item for item in asked.inference.evidence if item.person == person.id]
        for unit in units:
            told.append(f"Person {person.id}: {_unit_state(own, unit)}.")
    return told


def _unit_state(own: Sequence[Evidence], unit: int) -> str:
    for item in own:
        if item.kind == "action_unit" and item.unit == unit:
            return f"{_plain(item.text)} [{item.n}]"
    for item in own:
        if unit in item.units:
            how = "not shown" if item.kind == "absent_units" else "not measured"
            return f"AU{unit} {how} [{item.n}]"
    return f"AU{unit} was not measured"
