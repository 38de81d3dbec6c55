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
