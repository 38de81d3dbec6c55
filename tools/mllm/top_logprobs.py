"""From the tokens that a server lists for the first place of an answer to scores of labels.

A token counts for a label that it begins, and for no other. A function word ("A", "I", "No") or a
single letter merely happens to begin a label: it is followed up, or it counts for none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from kuleshov.tools.mllm.base import CannotScoreError, ListedScores

Listed = Sequence[tuple[str, float]]

LEAST_MASS = 0.5  # of the probability that has to lie on the labels
MOST_UNTOLD = 0.05  # of it may lie on tokens that begin several labels
LEAST_LOG = -20.0
UNTOLD = -1000.0  # vLLM and others write -9999, or minus infinity, for what they do not tell
DEPTH = 3  # tokens that are looked at to tell two labels apart
WORDS = frozenset(
    """
    a about all also am an and any are as at be but by can could do does for from had has
    have he her here him his how i if in is it its just me more most my no nor not now of on
    one only or other our out she so some such than that the their them then there these
    they this to too under up us was we well were what when which who why will with would
    yes you your
    """.split()  # noqa: SIM905 - a list of strings would fill a page
)


def read_list(listed: object) -> list[tuple[str, float]]:
    """Tokens and log-probabilities of a server's list; none where one of them is no number.

    What a server does not tell is left out. One token alone tells nothing of the others: a server
    that samples greedily may list 0 for what it took, and for the rest a mark.
    """
    found = []
    try:
        for item in listed:  # type: ignore[attr-defined]
            if item["logprob"] is None:  # minus infinity, which JSON cannot say
                continue
            log = float(item["logprob"])
            if math.isnan(log) or log > 0.01:
                return []
            if log > UNTOLD:
                found.append((str(item["token"]), max(min(log, 0.0), LEAST_LOG)))
    except (KeyError, TypeError, ValueError):
        return []
    return found if len(found) > 1 else []


def bare_token(token: str) -> str:
    """A token without what stands around an answer: blanks, quotes, marks of a blank."""
    return token.replace("▁", " ").replace("Ġ", " ").strip().strip("\"'*`").lower()


def first_words(listed: Listed, answers: Sequence[str]) -> list[float | None]:
    """Log-probability that the first token begins each answer; None where none listed does.

    Capitals and a leading blank do not count; a token that begins several answers, none of which
    it spells out, is left out, and so is a word that merely begins one.
    """
    sums, _ = _sorted_out(listed, answers)
    return [math.log(total) if total > 0 else None for total in sums]


def _sorted_out(
    listed: Listed, answers: Sequence[str], before: str = ""
) -> tuple[list[float], dict[str, float]]:
    """What the tokens give to each answer, and those that need another token to be told apart."""
    sums, untold = [0.0] * len(answers), dict[str, float]()
    for token, log in listed:
        own = bare_token(token)
        if not own:
            continue
        # in a word, a blank matters: "s" + " ad" does not spell "sad"
        start = before + token.lower().rstrip() if before else own
        fits = [i for i, answer in enumerate(answers) if answer.lower().startswith(start)]
        exact = [i for i in fits if answers[i].lower() == start]
        merely = not exact and (len(start) == 1 or (not before and start in WORDS))
        if exact or (len(fits) == 1 and not merely):
            sums[(exact or fits)[0]] += math.exp(log)
        elif fits:
            untold[start] = untold.get(start, 0.0) + math.exp(log)
    return sums, untold


def score_listed(
    listed: Listed, answers: Sequence[str], go_on: Callable[[str], Listed], name: str
) -> ListedScores:
    """Log-probability, in nats, that the answer begins as each of `answers` does.

    Args:
        listed: the first tokens with their log-probabilities.
        answers: the labels.
        go_on: lists the tokens that follow a beginning of an answer.
        name: of the model, for messages.

    Raises:
        CannotScoreError: less than half of the probability lies on the answers, or too much of it
            on beginnings that several of them share.
    """
    sums, untold = _sorted_out(listed, answers)
    left = _follow_token(sums, untold, answers, go_on, depth=1)
    mass = min(sum(sums), 1.0)
    if not any(sums):
        raise CannotScoreError(f"{name} lists none of {', '.join(answers)} as the first word.")
    if left > MOST_UNTOLD:
        raise CannotScoreError(
            f"the first tokens that {name} lists do not tell the labels apart "
            f"({left:.0%} of the probability begins several, or may be another word)."
        )
    if mass < LEAST_MASS:
        raise CannotScoreError(
            f"{name} answers with something else: only {mass:.0%} of the probability that it "
            f"lists is on {', '.join(answers)}."
        )
    least = min(min(log for _, log in listed), math.log(min(s for s in sums if s > 0)))
    floored = [answer for answer, total in zip(answers, sums, strict=True) if not total]
    return ListedScores([math.log(s) if s > 0 else least for s in sums], mass, floored)


def _follow_token(
    sums: list[float],
    untold: dict[str, float],
    answers: Sequence[str],
    go_on: Callable[[str], Listed],
    depth: int,
) -> float:
    """Shares out what lies on beginnings by what follows them; what stays untold is returned."""
    if depth >= DEPTH or sum(untold.values()) <= MOST_UNTOLD:
        return sum(untold.values())
    left = 0.0
    for start, weight in untold.items():
        found, deeper = _sorted_out(go_on(start), answers, before=start)
        known = sum(found) + sum(deeper.values())
        if known < LEAST_MASS:  # it was another word, or the server began a new answer
            left += weight
            continue
        for i, share in enumerate(found):
            sums[i] += weight * share
        left += _follow_token(
            sums, {s: weight * share for s, share in deeper.items()}, answers, go_on, depth + 1
        )
    return left
