"""Words out of people's answers."""

from __future__ import annotations

import re


def split_words(text: str) -> list[str]:
    """Words of a list as these tables write it, `a, b` or `['a', 'b']`; in lower case.

    Quotes and commas both part words, as in the authors' code.
    """
    inner = text.strip().removeprefix("[").removesuffix("]")
    return [word.strip().lower() for word in re.split("['\",]", inner) if word.strip()]
