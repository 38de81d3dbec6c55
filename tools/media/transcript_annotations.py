"""Transcripts of annotation programs: Praat's TextGrid, ELAN's EAF, CHAT of TalkBank; and times of
TTML that count frames or ticks, as iTunes Timed Text (.itt) has them.

In CHAT, codes about what is said are no speech: retracings, errors, replacements, dependent tiers.
What is done (`&=laughs`, `[=! whispers]`) is kept in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.media.transcript_text import Passage
from kuleshov.tools.scratch import scratch_folder

NEEDS_PYMPI = "transcripts of Praat and ELAN need pympi-ling: run `pip install 'kuleshov[clips]'`."
NOT_SPOKEN = re.compile(r"^(?:phones?|phonemes?|segments?|syllables?|sylls?|mau|kan|notes?)$", re.I)
"""Tiers that forced aligners and people add beside the words."""
WORDS_TIER = re.compile(r"^(?:(.*?)[ _-]+)?(?:words?|ort-?mau|ort)$", re.I)
EAF_SCHEMA = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd"'
)
BULLET = re.compile(r"\x15_?(\d+)_(\d+)\x15")
Tier = tuple[str, str, list[tuple[Any, ...]]]
"""Name, type and marks of a TextGrid's tier."""
CODES = re.compile(r"\[[^\]]*\]")


# ------------------------------------------------------------------------- Praat and ELAN


def read_textgrid(text: str) -> list[Passage]:
    """The labelled intervals and points of a TextGrid, a tier is who speaks.

    Raises:
        KuleshovError: pympi-ling is not installed.
        ValueError, IndexError, AttributeError, TypeError: it is no TextGrid.
    """
    try:
        from pympi.Praat import TextGrid
    except ImportError:
        raise KuleshovError(NEEDS_PYMPI) from None
    with _as_file(text, ".TextGrid") as path:
        tiers = [
            (tier.name, tier.tier_type, list(tier.get_all_intervals()))
            for tier in TextGrid(str(path)).get_tiers()
        ]
    tiers = _spoken_tiers(tiers)
    found = []
    for name, kind, marks in tiers:
        speaker = _tier_speaker(name, alone=len(tiers) == 1)
        for mark in marks:
            start, end, label = mark if kind == "IntervalTier" else (mark[0], mark[0], mark[1])
            if str(label).strip():
                found.append(Passage(float(start), float(end), [str(label)], speaker))
    return sorted(found, key=lambda one: one.start_s or 0.0)


def _spoken_tiers(tiers: list[Tier]) -> list[Tier]:
    """Without tiers of sounds; single words only where no tier holds what the words make up."""
    kept = [one for one in tiers if not NOT_SPOKEN.match(one[0].strip().split(" - ")[-1])]
    kept = kept or tiers
    words = [one for one in kept if WORDS_TIER.match(one[0].strip().replace(" - ", " "))]
    whole = [one for one in kept if one not in words]
    return whole if any(any(str(m[-1]).strip() for m in one[2]) for one in whole) else kept


def _tier_speaker(name: str, alone: bool) -> str | None:
    """Who a tier belongs to; a single tier, or one named after what it holds, names nobody."""
    name = name.strip()
    if match := WORDS_TIER.match(name.replace(" - ", " ")):
        name = (match[1] or "").strip()
    plain = re.fullmatch(
        r"(?i)(?:default|transcript(?:ion)?|utterances?|speech|text|sentences?|tier[ _-]?\d*|"
        r"events?|default-lt)?",
        name,
    )
    return None if plain or (alone and name.islower()) else name


def read_eaf(text: str) -> list[Passage]:
    """The annotations of ELAN's tiers that are aligned in time; participant or tier is who speaks.

    Raises: as `read_textgrid`.
    """
    try:
        from pympi.Elan import Eaf
    except ImportError:
        raise KuleshovError(NEEDS_PYMPI) from None
    found = []
    if "noNamespaceSchemaLocation" not in text:  # without which pympi reads nothing
        text = text.replace("<ANNOTATION_DOCUMENT", f"<ANNOTATION_DOCUMENT {EAF_SCHEMA}", 1)
    with _as_file(text, ".eaf") as path:
        eaf = Eaf(str(path))
    names = [name for name in eaf.get_tier_names() if eaf.tiers[name][0]]
    spoken = [name for name in names if not eaf.tiers[name][2].get("PARENT_REF")]
    for name in spoken:
        who = eaf.tiers[name][2].get("PARTICIPANT") or _tier_speaker(name, len(spoken) == 1)
        for mark in eaf.get_annotation_data_for_tier(name):
            if str(mark[2] or "").strip():
                # a time slot without a value is not aligned yet
                start, end = (None if ms is None else ms / 1000 for ms in mark[:2])
                found.append(Passage(start, end, [str(mark[2])], who))
    return sorted(found, key=lambda one: one.start_s or 0.0)


@contextmanager
def _as_file(text: str, ending: str) -> Iterator[Path]:
    """A file in UTF-8, for readers that take a path only."""
    with scratch_folder("transcript") as folder:
        path = folder / f"transcript{ending}"
        path.write_text(text, "utf-8")
        yield path


# ------------------------------------------------------------------------------------ CHAT


def read_chat(text: str) -> list[Passage]:
    """The utterances of a CHAT file (MacWhinney 2000, The CHILDES Project): main lines only."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line[:1] in ("\t", " ") and lines:
            lines[-1] += " " + line.strip()
        elif line.strip():
            lines.append(line)
    names: dict[str, str] = {}
    found = []
    for line in lines:
        if line.startswith("@Participants:"):
            for part in line.partition(":")[2].split(","):
                words = part.split()
                if len(words) >= 2:
                    # code, name, role; without a name: code, role
                    names[words[0]] = words[1].replace("_", " ")
        elif match := re.match(r"\*([^:\s]+):\s*(.*)$", line):
            times = BULLET.findall(match[2])
            said = _chat_words(BULLET.sub(" ", match[2]))
            if said:
                start, end = (
                    (int(times[0][0]) / 1000, int(times[-1][1]) / 1000) if times else (None, None)
                )
                found.append(Passage(start, end, [said], names.get(match[1], match[1])))
    return found


def _chat_words(text: str) -> str:
    """What of a main line is said or done."""
    text = re.sub(r"^\s*\[[-+] [^\]]*\]", " ", text)
    text = re.sub(r"\[=!\s*([^\]]*)\]", lambda m: f"⟦{m[1].strip()}⟧", text)
    text = re.sub(r"&=(\S+)", lambda m: f"⟦{m[1].replace('_', ' ').replace(':', ' ')}⟧", text)
    text = CODES.sub(" ", text)
    text = re.sub(r"&\*\w+:\S+", " ", text)  # somebody else's word in between
    text = re.sub(r"&[-+~]?(?=\w)", "", text)  # fillers and fragments are said
    text = re.sub(r"\((?:\.+|\d+(?:[.:]\d*)*)\)", " ", text)  # pauses
    text = re.sub(r"\+(?:/\.|//\.|/\?|\.\.\.|\.\.\?|!\?|\"/\.|\"\.|\.|//\?)", " ", text)
    text = re.sub(r"(?:^|(?<=\s))\+(?:[\"^<,]|\+)(?=\s|\w)", " ", text)
    text = re.sub(r"(?<=\w)@\S+", "", text)  # form markers
    text = re.sub(r"(?:^|(?<=\s))(?:0\w*|yyy|www)(?=\s|$)", " ", text)
    text = re.sub(r"(?:^|(?<=\s))xxx(?=\s|$)", "⟦unintelligible⟧", text)
    text = re.sub(r"[<>()‹›↫≠^:]|(?<=\w)/(?=\w)", "", text).replace("_", " ")
    text = re.sub(r"[„‡]", ",", text).replace("⟦", "[").replace("⟧", "]")
    text = re.sub(r"\s+([.,?!])", r"\1", " ".join(text.split()))
    return text if re.search(r"\w", text) else ""


# ------------------------------------------------------------------------------------ TTML

TTML_TIME = re.compile(
    r"\b(begin|end|dur)\s*=\s*([\"'])(?:(\d+):(\d\d):(\d\d)[:;](\d+)(?:\.\d+)?|(\d+(?:\.\d+)?)([ft]))\2"
)


def without_frames(text: str) -> str:
    """TTML whose times count frames or ticks, with times in seconds instead.

    W3C, Timed Text Markup Language 2, 12.3 and appendix F: with `media` time base only the last
    part counts frames, with `smpte` the whole clock does.
    """
    if not TTML_TIME.search(text):
        return text

    def parameter(name: str, default: str) -> str:
        match = re.search(rf"\b\w+:{name}\s*=\s*[\"']([^\"']*)[\"']", text)
        return match[1].strip() if match else default

    top, _, bottom = parameter("frameRateMultiplier", "1 1").replace(":", " ").partition(" ")
    nominal = int(parameter("frameRate", "30"))
    rate = nominal * Fraction(int(top), int(bottom or 1))
    ticks = int(parameter("tickRate", "1"))
    base, drop = parameter("timeBase", "media"), parameter("dropMode", "nonDrop")

    def seconds(match: re.Match[str]) -> str:
        if match[7]:
            told = Fraction(match[7]) / (rate if match[8] == "f" else ticks)
        else:
            hours, minutes, secs, frames = (int(match[place]) for place in (3, 4, 5, 6))
            whole = 3600 * hours + 60 * minutes + secs
            if base == "smpte":
                count = whole * nominal + frames
                if drop == "dropNTSC":
                    count -= 2 * (whole // 60 - whole // 600)
                told = count / rate
            else:
                told = whole + frames / rate
        return f"{match[1]}={match[2]}{float(told):.3f}s{match[2]}"

    return TTML_TIME.sub(seconds, text)
