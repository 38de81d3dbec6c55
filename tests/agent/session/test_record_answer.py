"""Forty ordinary questions about five people, answered from the record and from FACS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kuleshov import Agent, Session
from kuleshov.session.parse import parse_line

QUESTIONS = {
    "what is AU12?": "AU12 is the lip corner puller; part of the prototype of happiness",
    "what does au 4 mean": "AU4 is the brow lowerer",
    "is AU6 shown?": "AU6 not measured [",
    "what is AU130?": "There is no AU130 in FACS.",
    "which unit is a smile?": "AU12 is the lip corner puller",
    "is she smiling?": "Person 1: AU12 lip corner puller: ",
    "are they frowning?": "AU4 not shown [",
    "does anybody show raised brows?": "AU2",
    "is person 3 smiling?": "Person 3: AU12",
    "who is there?": "5 people.",
    "how many people are there?": "5 people.",
    "is anyone here?": "5 people.",
    "who is she?": "does not recognise who somebody is",
    "how old are they?": "nor age",
    "what is his name?": "does not recognise who somebody is",
    "tell me about person 3": "Person 3 seems ",
    "how is person 2?": "Person 2 seems ",
    "tell me about person 9": "There is no person 9",
    "is person 1 happy?": "Person 1: happiness ",
    "is person 4 sad?": "Person 4: sadness ",
    "compare person 1 and 3": "Person 3 seems ",
    "who is the happiest?": "For happiness: person ",
    "who looks least happy?": "For happiness: person ",
    "how sure are you?": "These are shares of how people would read it.",
    "are you certain?": "then ",
    "what is evidence 5?": "Evidence [5] about person 1",
    "[3]?": "Evidence [3]",
    "what is evidence 99?": "There is no evidence 99",
    "what is happening in the picture?": " [",
    "where is this?": " [",
    "which labels are there?": "anger, disgust, fear",
    "what emotions can you tell?": "(ekman-7)",
    "is she lying?": "It cannot tell lying",
    "is the smile genuine?": "Whether a smile is felt cannot be seen",
    "which model did you use?": "model: pocket",
    "how do you know?": "face tool: pocket",
    "what did I tell you?": "Nothing was told of the situation.",
    "what can you do?": "I can say who is there",
    "how do they feel?": "That is how it seems, not what is felt.",
    "what emotion is it?": "Person 1 seems ",
    "why happy?": "For happiness: AU12",
    "what speaks against happiness?": "For happiness:",
    "what is the capital of France?": "The record does not answer that.",
}
SUPPOSED = {
    "what if this were a funeral?": "this is a funeral",
    "they just lost the final, does it change anything?": "they just lost the final",
    "imagine it is a party": "it is a party",
    "suppose that he won": "he won",
    "would it be different if they had lost?": "they had lost",
    "and at a wedding?": "this is at a wedding",
    "what about in a hospital?": "this is in a hospital",
    "if this was a funeral, would you still say happy?": "this is a funeral",
    "let's say she is ill": "she is ill",
    "she has just been told she got the job. would that change it?": (
        "she has just been told she got the job"
    ),
}


@pytest.fixture(scope="module")
def talk(feat_data: Path) -> Iterator[Session]:
    agent = Agent.load(model="pocket", faces="pocket")
    session = Session(agent, feat_data / "multi_face.jpg")
    for _ in session.read():
        pass
    yield session
    session.close()


@pytest.mark.parametrize(("question", "told"), QUESTIONS.items())
def test_a_question_is_answered(talk: Session, question: str, told: str) -> None:
    assert parse_line(question).kind == "question"
    answer = talk.ask(question)
    assert told in answer.text
    assert answer.by == "record"
    assert not answer.unknown  # every number that it cites is evidence


def test_questions_of_different_kinds_get_different_answers(talk: Session) -> None:
    assert len({talk.ask(question).text for question in QUESTIONS}) >= 28


def test_a_person_named_by_number_is_the_one_spoken_of(talk: Session) -> None:
    answer = talk.ask("is person 3 smiling?").text
    assert "Person 3" in answer
    assert "Person 1" not in answer


@pytest.mark.parametrize(("line", "supposed"), SUPPOSED.items())
def test_a_what_if_is_understood_however_it_is_said(line: str, supposed: str) -> None:
    understood = parse_line(line)
    assert (understood.kind, understood.text) == ("what_if", supposed)


@pytest.mark.parametrize(
    "line", ["is she at a party?", "what changes a reading?", "does it change?"]
)
def test_a_question_is_no_what_if(line: str) -> None:
    assert parse_line(line).kind == "question"
