"""Text that a model wrote, before it becomes evidence: loops, refusals, a last sentence cut off."""

from __future__ import annotations

import re
import zlib

LOOPED = 2.4
"""Bytes of text for one byte of zlib from which a text repeats itself: Whisper's threshold (Radford
et al. 2022, section 4.5)."""
LEAST = 80  # characters: shorter text says nothing by its compression
REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]?m|i am|we are)(?: \w+)? sorry\b|sorry,|(?:as|being) an? (?:ai|artificial|"
    r"(?:large )?language model)\b|i (?:cannot|can['’]?t|can not|am unable to|am not able to|"
    r"won['’]?t|don['’]?t have enough)\b)",
    re.I,
)
NEAR = 2  # characters: a grammar masks longer tokens near its limit, so a text may end just before
END = re.compile(r"[.!?…](?:[\"'”’)\]]+)?(?=\s|$)|[。！？]|\n")


def why_unanswered(text: str) -> str | None:
    """Why what was written is no answer; None: it is one."""
    if REFUSAL.match(text):
        return "the model declined: unanswered"
    return "the model repeated itself: unanswered" if is_repetitive(text) else None


def is_repetitive(text: str) -> bool:
    """Whether a text says the same over and over."""
    data = text.strip().encode("utf-8", "replace")
    return len(data) >= LEAST and len(data) / len(zlib.compress(data)) > LOOPED


def to_last_sentence(text: str) -> str:
    """A text that the limit cut, back to the end of its last whole sentence; else as it is."""
    ends = [match.end() for match in END.finditer(text)]
    return text[: ends[-1]].rstrip() if ends else text


def cut_back(text: str) -> str:
    """A text that a limit cut: to its last whole sentence, else without its last word.

    The last word may be half of one, or what a grammar's mask left to choose from.
    """
    text = text.strip()
    if END.search(text):
        return to_last_sentence(text)
    whole, blank, _ = text.rpartition(" ")
    return whole.rstrip(" ,;:-–") if blank else text  # Chinese has no blanks


def tidy_field(text: str, most: int | None = None, *, cut: bool = False) -> str:
    """A field of an answer as words that stand by themselves; "" where it holds none.

    Args:
        most: characters that the grammar allowed: a field that reached them is cut back.
        cut: the answer ended in this field.
    """
    # a sentence that did not fit into the field before goes on in this one
    words = text.strip().lstrip(",;:. ")
    if cut or (most is not None and len(text) >= most - NEAR):
        ended = bool(END.search(words)) and to_last_sentence(words) == words
        words = words if ended and not cut else cut_back(words)
    return words if any(sign.isalpha() for sign in words) else ""


def to_first_repeat(text: str) -> str:
    """A text up to the first sentence that it has said before; "" where it still repeats itself."""
    kept: list[str] = []
    said: set[str] = set()
    begin = 0
    for end in [*(match.end() for match in END.finditer(text)), len(text)]:
        sentence = text[begin:end].strip()
        begin = end
        if not sentence:
            continue
        if sentence.casefold() in said:
            break
        said.add(sentence.casefold())
        kept.append(sentence)
    found = " ".join(kept)
    return "" if is_repetitive(found) else found
