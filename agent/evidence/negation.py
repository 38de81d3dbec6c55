"""What a sentence denies: which of the things it names it says are not there.

Negation has a scope, after the manner of NegEx (Chapman et al. 2001, A simple algorithm for
identifying negated findings and diseases in discharge summaries, J. Biomedical Informatics 34):
words that look like a denial and are none ("not only", "no doubt") are taken out first; a denial
before a thing reaches to the end of its clause and over an enumeration; one after it ("AU1, AU2
and AU4 are not shown") reaches back over the enumeration.
"""

# ruff: noqa: E501 - a regular expression is read whole

from __future__ import annotations

import re
from collections.abc import Sequence

_NT = r"n['’]?t"
PSEUDO = re.compile(
    r"\bnot (?:only|just|merely|simply|solely|to mention|unlike|without|surpris\w+)\b|"
    r"\b(?:no|without(?: a| any)?|little|beyond(?: a| any)?)(?: shadow of(?: a)?)? (?:doubt|question|mistak\w+)\b|"
    r"\bthere is no (?:mistaking|denying)\b|\bno (?:wonder|matter|less|sooner|fewer)\b|\bnothing but\b|"
    rf"\b(?:ca(?:nnot|n not|{_NT})|could(?: not|{_NT})|unable to|(?:does|do|did)(?: not|{_NT})|never|without)"
    r" (?:stop\w*|help|ceas\w+|hid(?:e|ing)|suppress\w*|resist\w*|keep from|contain)\b(?: but)?|"
    r"\bnot (?:be )?(?:absent|missing|lacking|hidden|gone)\b|"
    rf"(?:is|are|was|were){_NT} (?:absent|missing|lacking|hidden|gone)\b|"
    r"\b(?:cannot|can(?:'|’)t|not to) be (?:missed|overlooked|ignored)\b|\bif not\b|\bwhy not\b",
    re.I,
)
BEFORE = re.compile(
    r"\b(?:no|nobody|not|cannot|without|lack\w*|absence|never|neither|nor|hardly|scarcely|barely|"
    r"free (?:of|from)|devoid of|far from|rather than|instead of|fails? to|unable to|stop(?:s|ped)|"
    rf"(?:is|are|was|were|do|does|did|has|have|had|ca|could|wo|would|should){_NT})\b|"
    r"\b(?:absent|missing|un(?:seen|shown))\s*:",
    re.I,
)
STOP = re.compile(
    r"[.;!?()]|\b(?:but|yet|although|though|while|whereas|however|instead(?! of)|except|because|"
    r"only|rather(?! than)|despite|still)\b|"
    r"\band (?:(?:also|instead|then|clearly) )?(?:a|an|the|with|shows?|has|have|is|are|she|he|they|"
    r"it|her|his|their|there)\b",
    re.I,
)
FILLER = re.compile(
    r"^(?:[\s,:/]|\b(?:and|or|nor|any|a|an|the|of|trace|traces|hint|signs?|shown|seen|visible|"
    r"present|detected|active|found|there|is|are|either|is|even|both|units?|movements?)\b)*$",
    re.I,
)
STATED = re.compile(
    r"^\s*(?:\([^)]*\))?\s*(?:is |are |was |were )?(?:very |clearly )?"
    r"(?:strong|clear|slight|shown|present|visible|active|evident|there)\b",
    re.I,
)
_GONE = (
    r"(?:absent|unseen|gone|nowhere(?: \w+)?|invisible|missing(?=\s*(?:$|[,.;:!?)]|from|in|on|and|here))|"
    r"lacking(?=\s*(?:$|[,.;:!?)]|here|and|in)))"
)
_SEEN = (
    r"(?:shown|seen|visible|present|there|evident|apparent|detect\w+|observ\w+|activ\w+|found|"
    r"noticeable|discernible|recogni[sz]able|used)"
)
AFTER = re.compile(
    rf"^\)?\s*(?:\([^)]*\))?\s*(?:(?:all|both|each|units?|movements?)\s+)*"
    rf"(?:(?:is|are|was|were|be|remains?|stays?|seems?|appears?|looks?)\s+(?:\w+ly\s+|all\s+|both\s+)?{_GONE}|"
    rf"{_GONE}|(?:is|are|was|were|has|have|can|could)(?:\s+been)?(?:\s*{_NT}|\s+not|\s+never|\s+no longer|not|"
    rf"\s+hardly|\s+neither)(?:\s+been|\s+be|\s+\w+ly)*\s+{_SEEN}|not\s+{_SEEN}|"
    rf"(?:is|are|was|were)(?:\s*{_NT}|\s+not)(?=\s*(?:$|[,.;]))|"
    rf"(?:has|have)\s+(?:disappeared|vanished|faded|gone)|(?:does|do|did)(?:\s*{_NT}|\s+not)\s+(?:appear|show|occur))",
    re.I,
)
INSIDE = re.compile(rf"\b(?:not|never|no longer|hardly|barely|scarcely|neither)\b|{_NT}\b", re.I)
UNMEASURED = re.compile(
    rf"^\s*(?:is|are|was|were|has|have|can|could)?(?:\s+been)?\s*(?:not|{_NT})\s+(?:been |be )?(?:measured|told|known)|"
    r"^\s*(?:is |are |was |were )?(?:unmeasured|unknown)",
    re.I,
)
NOT_MEASURED = re.compile(
    r"\b(?:not measured|unmeasured|could not be (?:measured|told))\b\s*:?", re.I
)

Spans = Sequence[tuple[int, int]]


def without_pseudo(text: str) -> str:
    """The text, as long as before, without what looks like a denial and is none."""
    return PSEUDO.sub(lambda match: " " * len(match[0]), text)


def is_denied(text: str, span: tuple[int, int], things: Spans = ()) -> bool:
    """Whether `text` says that what stands at `span` is not there.

    Args:
        text: one or more sentences.
        span: begin and end of the thing.
        things: spans of all things of its kind; enumerations are made of them.
    """
    plain = without_pseudo(text)
    start, end = span
    if INSIDE.search(plain[start:end]) or (
        re.match(r"un|non-?", plain[start:end], re.I)
        and (plain[start:end].lower().startswith(("unsmil", "unfrown", "unfurrow", "unraised")))
    ):
        return True
    if AFTER.match(_text_after(plain, end, things)):
        return True
    return any(
        _denial_reaches(plain, match.end(), match[0], span, things)
        for match in BEFORE.finditer(plain, 0, start)
    )


def is_unmeasured(text: str, span: tuple[int, int], things: Spans = ()) -> bool:
    """Whether the text says of the thing that nobody could tell."""
    if UNMEASURED.match(_text_after(text, span[1], things)):
        return True
    return any(
        not re.search(r"[.;!?]", text[match.end() : span[0]])
        and FILLER.match(_blank_things(text, match.end(), span[0], things))
        for match in NOT_MEASURED.finditer(text, 0, span[0])
    )


def _text_after(text: str, end: int, things: Spans) -> str:
    """What follows the thing, and the members of its enumeration after it."""
    at = end
    while True:
        joint = re.compile(
            r"\s*(?:\([^)]*\)\s*)?(?:,\s*(?:and|or|nor)?|and|or|nor|/)\s*(?:the |a |an |any )?"
        ).match(text, at)
        after = next((b for a, b in things if joint and joint.end() == a), None)
        if after is None:
            return text[at:]
        at = after


def _denial_reaches(text: str, begin: int, word: str, span: tuple[int, int], things: Spans) -> bool:
    """Whether a denial that ends at `begin` still holds at the thing."""
    between = text[begin : span[0]]
    enumerated = bool(FILLER.match(_blank_things(text, begin, span[0], things)))
    if STOP.search(between) and not (
        enumerated and not re.search(r"[.;!?]|\band (?:a|an)\b|\bbut\b", between)
    ):
        return False
    if "," not in between:
        return True
    if not enumerated:
        return False
    stop = re.compile(r"[.;!?]|\bbut\b").search(text, span[1])
    clause = text[begin : stop.start() if stop else len(text)]
    if re.search(r"\b(?:or|nor)\b", clause) or word.lower() in ("neither", "nor"):
        return True
    if STATED.match(text[span[1] :]):
        return False
    named = [text[a:b] for a, b in things if begin <= a <= span[0]]
    return (
        ":" in between
        or word.rstrip().endswith(":")
        or all(re.match(r"AU", one, re.I) for one in named)
    )


def _blank_things(text: str, begin: int, end: int, things: Spans) -> str:
    """The text between without the things that it names."""
    told = list(text)
    for a, b in things:
        told[a:b] = " " * (b - a)
    return "".join(told[begin:end])
