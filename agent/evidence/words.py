"""Whether words that were said speak of something pleasant or unpleasant.

By VADER's lexicon of 7,500 English words and signs, rated by people, with its rules for negation
and degree (Hutto & Gilbert 2014, VADER: A parsimonious rule-based model for sentiment analysis of
social media text, ICWSM). Words of another language, and words that only a situation makes pleasant
or not, tell it nothing: unknown, not neutral.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

NAMED = "VADER's English lexicon (Hutto & Gilbert 2014)"
LEAST = 0.42
"""Compound score, -1 to +1, from which words take a side: that of one word rated 1.8 of 4, such as
"nice". Single words below it ("fine", "like") say too little."""
FORMULAS = re.compile(r"\b(?:please|sure|yes|yeah|okay|ok)\b|\bwell(?=\s*,)", re.IGNORECASE)
"""Rated as pleasant, and said in any mood: they do not count."""
QUOTED = re.compile(r': "(.*)"$', re.DOTALL)


def find_sign(texts: Iterable[str]) -> int | None:
    """+1 pleasant, -1 unpleasant; None: neither is said, or as much of one as of the other.

    Args:
        texts: lines of evidence, `said 1.2-3.4 s: "..."`, or the words alone.
    """
    signs = [sign for text in texts if (sign := _sign_of(text))]
    total = sum(signs)
    return None if not total else 1 if total > 0 else -1


def _sign_of(text: str) -> int:
    quoted = QUOTED.search(text)
    plain = FORMULAS.sub(" ", quoted.group(1) if quoted else text)
    score = _load_analyser().polarity_scores(plain)["compound"]
    return 0 if abs(score) < LEAST else 1 if score > 0 else -1


@cache
def _load_analyser() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
