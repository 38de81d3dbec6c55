"""What a model wrote that is no evidence."""

import pytest

from kuleshov.evidence import generated


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The face is wearing a face with a face. " * 15, "the model repeated itself: unanswered"),
        ("I'm sorry, but I cannot describe it.", "the model declined: unanswered"),
        ("As an AI language model, I do not see.", "the model declined: unanswered"),
        ("A woman says she is sorry. I cannot tell more.", None),
        ("Two people dance in a kitchen while a dog looks on from under the table.", None),
    ],
)
def test_loops_and_refusals_are_no_answers(text, why):
    assert generated.why_unanswered(text) == why


def test_a_cut_text_ends_with_its_last_whole_sentence():
    assert generated.to_last_sentence("A room. They play the role of a virt") == "A room."
    assert generated.to_last_sentence("no end") == "no end"


@pytest.mark.parametrize(
    ("text", "most", "cut", "words"),
    [
        ("He wears a hat. She has a colorful衫", 36, False, "He wears a hat."),
        ("a large hat and a colorful衫", 28, False, "a large hat and a"),
        ("A kitchen.", 10, False, "A kitchen."),  # it ended where it had to
        ("A kitchen", 120, False, "A kitchen"),
        (", a large face", 120, False, "a large face"),
        (",", 120, False, ""),
        ("1.1.1.1.", 160, False, ""),
        ("in funr", 160, True, "in"),
        ("She smiles. He la", None, True, "She smiles."),
    ],
)
def test_a_field_is_words_that_stand_by_themselves(text, most, cut, words):
    assert generated.tidy_field(text, most, cut=cut) == words


def test_a_loop_is_cut_at_its_first_repeat():
    assert generated.to_first_repeat("She smiles. She is happy. She smiles. She") == (
        "She smiles. She is happy."
    )
    assert generated.to_first_repeat("word " * 500) == ""
