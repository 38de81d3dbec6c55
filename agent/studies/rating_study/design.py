"""A rating study as a folder: one page that runs in any browser, and a sheet to preregister it."""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import string
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kuleshov._version import __version__
from kuleshov.studies.contrast.contexts import list_pictures, read_contexts
from kuleshov.tools import media
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.types import Record

DESIGN, PAGE, SHEET, DATA = "study.json", "index.html", "preregistration.md", "data"
MOST_SIDE = 800
"""Pixels of a picture's longer side in the page; it carries no place, time or camera."""
MOST_PAGE_MB = 200
QUESTIONS = {
    "face": "How does this person seem to feel?",
    "context": "How does the person in this situation seem to feel?",
    "both": "How does this person seem to feel in this situation?",
}
CONSENT = """[Fill in before use: who runs this study and where, what it is for, that taking part is
voluntary and can be ended at any time by closing the page, what is stored (the ratings, how long
they took, and the id in the address), for how long, who sees it, and whom to ask.]"""
INSTRUCTIONS = """You will see faces, descriptions of situations, and faces together with a
situation. Each time, say how the person seems to feel. There are no right or wrong answers: your
first impression counts."""


class StudyFace(Record):
    """A face that is judged; `picture` is a data address."""

    name: str = Field(min_length=1)
    picture: str


class StudyContext(Record):
    """A situation in words, or a picture of it as a data address."""

    name: str = Field(min_length=1)
    text: str | None = None
    picture: str | None = None


class StudyDesign(Record):
    """All that the page needs to run.

    pairs: pairs of face and context that one participant judges; checks: attention checks among
    the trials; lowest, highest: ends of the scale, or 0 and 1 where one label is chosen.
    """

    id: str
    version: str = __version__
    title: str
    labels: tuple[str, ...]
    answer: Literal["sliders", "choice"] = "sliders"
    lowest: int = 1
    highest: int = 9
    order: Literal["blocks", "mixed"] = "blocks"
    pairs: int = Field(ge=1)
    checks: int = Field(ge=0)
    questions: dict[str, str]
    consent: str
    instructions: str
    completion: str | None = Field(None, description="address that is linked at the end")
    faces: tuple[StudyFace, ...]
    contexts: tuple[StudyContext, ...]

    @property
    def trials(self) -> int:
        """Trials of one participant, without practice and checks."""
        return len(self.faces) + len(self.contexts) + self.pairs


def design_study(
    faces: str,
    contexts: str,
    labels: Sequence[str],
    *,
    title: str = "How do people seem to feel?",
    answer: Literal["sliders", "choice"] = "sliders",
    order: Literal["blocks", "mixed"] = "blocks",
    scale: tuple[int, int] = (1, 9),
    pairs: int | None = None,
    checks: int | None = None,
    consent: str | None = None,
    instructions: str | None = None,
    completion: str | None = None,
) -> StudyDesign:
    """The design of a study.

    Args:
        faces: a folder of pictures, a face each; their names are those of the files.
        contexts: a TOML file of `[[contexts]]` or a folder of pictures, as for `kuleshov contrast`.
        labels: what is rated.
        scale: whole numbers, lowest and highest.
        pairs: of all pairs, how many one participant judges, drawn anew for each; None: all.
        checks: attention checks; None: one for every 20 trials.

    Raises:
        KuleshovError: a picture that cannot be read, one face or context only, two of one name,
            fewer than two labels; one sentence.
    """
    shown = [
        StudyFace(name=Path(path).stem, picture=_data_address(path))
        for path in list_pictures(faces)
    ]
    told = [
        StudyContext(
            name=context.name,
            text=context.text,
            picture=_data_address(context.picture) if context.picture else None,
        )
        for context in read_contexts(contexts)
    ]
    for what, found in (("faces", [f.name for f in shown]), ("contexts", [c.name for c in told])):
        if twice := next((name for name in found if found.count(name) > 1), None):
            raise KuleshovError(f"there are two {what} named {twice!r}.")
        if len(found) < 2:
            raise KuleshovError(
                f"a study needs at least two {what}: how face and context combine cannot be told "
                "from one."
            )
    names = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if len(names) < 2:
        raise KuleshovError("a study needs at least two labels to rate: --labels.")
    if not scale[0] < scale[1]:
        raise KuleshovError("the scale needs a lowest and a higher highest rating, e.g. 1-9.")
    of_all = len(shown) * len(told)
    if pairs is not None and not 1 <= pairs <= of_all:
        raise KuleshovError(f"--pairs must be between 1 and {of_all}, the number of all pairs.")
    count = pairs or of_all
    trials = len(shown) + len(told) + count
    return StudyDesign(
        id=secrets.token_hex(6),
        title=title,
        labels=tuple(names),
        answer=answer,
        lowest=scale[0] if answer == "sliders" else 0,
        highest=scale[1] if answer == "sliders" else 1,
        order=order,
        pairs=count,
        checks=max(1, round(trials / 20)) if checks is None else checks,
        questions=QUESTIONS,
        consent=_text(consent, CONSENT),
        instructions=_text(instructions, INSTRUCTIONS),
        completion=completion,
        faces=tuple(shown),
        contexts=tuple(told),
    )


def _text(given: str | None, otherwise: str) -> str:
    return (given or otherwise).strip()


def _data_address(path: str) -> str:
    """The picture, smaller and without what its file tells beside it, as a data address."""
    from PIL import Image

    opened = media.open_media(path)
    picture = Image.fromarray(opened.images[0])
    picture.thumbnail((MOST_SIDE, MOST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def write_study(design: StudyDesign, folder: Path) -> list[Path]:
    """Write page, design and preregistration sheet; returns what was written.

    Raises:
        KuleshovError: a study with data lies there, or the folder cannot be written.
    """
    if any((folder / DATA).glob("*")):
        raise KuleshovError(
            f"{folder} holds the data of a study: choose another folder, or move them away."
        )
    texts = {PAGE: page(design), DESIGN: _without_pictures(design), SHEET: sheet(design)}
    if (size := len(texts[PAGE]) / 1e6) > MOST_PAGE_MB:
        raise KuleshovError(
            f"the page would have {size:.0f} MB, with all its pictures; at most {MOST_PAGE_MB}: "
            "take fewer faces."
        )
    try:
        (folder / DATA).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise KuleshovError(f"cannot write to the folder {folder}: {error.strerror}.") from None
    return [folder / name for name in texts]


def _without_pictures(design: StudyDesign) -> str:
    told = design.model_dump(mode="json")
    for kind in ("faces", "contexts"):
        for one in told[kind]:
            one.pop("picture", None)
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def page(design: StudyDesign) -> str:
    """The page: words, pictures, style and script in one file that loads nothing."""
    source = files("kuleshov.studies.rating_study")
    # in a script no "</script>" may stand, and two characters end a line there but not in JSON
    config = json.dumps(design.model_dump(mode="json"), ensure_ascii=False)
    for sign, code in (("<", "\\u003c"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        config = config.replace(sign, code)
    return string.Template((source / "page.html").read_text("utf-8")).substitute(
        style=(source / "page.css").read_text("utf-8"),
        script=(source / "page.js").read_text("utf-8"),
        config=config,
    )


def read_design(folder: Path) -> dict[str, Any]:
    """The design in a study's folder, without its pictures.

    Raises:
        KuleshovError: there is none.
    """
    try:
        found = json.loads((folder / DESIGN).read_text("utf-8"))
    except OSError as error:
        raise KuleshovError(
            f"{folder} is no study ({DESIGN}: {error.strerror}); make one with kuleshov study "
            "--pictures --contexts --out."
        ) from None
    except ValueError:
        raise KuleshovError(f"{folder / DESIGN} cannot be read as a study.") from None
    wanted = {"id", "labels", "answer", "lowest", "highest", "faces", "contexts"}
    if not isinstance(found, dict) or not wanted <= set(found):
        raise KuleshovError(f"{folder / DESIGN} cannot be read as a study.")
    return found


def sheet(design: StudyDesign) -> str:
    """What to preregister; what only the researcher knows stays open."""
    per = "all pairs" if design.pairs == len(design.faces) * len(design.contexts) else "drawn anew"
    scale = (
        f"a slider for each label, {design.lowest} to {design.highest}, none preset"
        if design.answer == "sliders"
        else "one label is chosen"
    )
    order = (
        "in blocks (faces, contexts, both), the order of blocks drawn for each participant"
        if design.order == "blocks"
        else "all conditions mixed"
    )
    pairs = len(design.faces) * len(design.contexts)
    each = design.pairs / pairs
    return f"""# Preregistration: {design.title}

Made by kuleshov {design.version} for study {design.id}. Brackets are for you to fill in.

## Question
How do people combine a face and its context when they say how somebody seems to feel?
[Hypotheses, with direction.]

## Design
- Within participants: {len(design.faces)} faces alone, {len(design.contexts)} contexts alone, and \
{design.pairs} of {pairs} pairs ({per}): {design.trials} trials, one practice trial, \
{design.checks} attention checks.
- Order: {order}; within it, drawn from the participant's id.
- Answer: {scale}. Labels: {", ".join(design.labels)}.
- Questions: {" / ".join(design.questions.values())}
- Faces: {", ".join(face.name for face in design.faces)}
- Contexts: {", ".join(f"{c.name} ({c.text or 'a picture'})" for c in design.contexts)}

## Participants
- Number: [n]. With n participants each face and each context alone is judged n times, each pair \
{each:.2f} n times. (Ong, Zaki & Goodman 2015, experiment 3: 2 to 57 judgements a pair.)
- Who, from where, paid how: [ ].
- Left out: [e.g. who fails more than one attention check], decided before looking.

## Analysis
1. `kuleshov study --collect STUDY/` joins the answers into STUDY/ratings.csv.
2. `kuleshov integrate STUDY/ratings.csv --out RESULT/` compares face alone, context alone, mean,
   linear pool, product, product over the prior, log-linear pool and dominance of the surer cue by
   Kullback-Leibler divergence to people's mean judgement of both, cross-validated over faces and
   over contexts, beside the noise ceiling from halves of the judges.
3. Primary outcome: [e.g. the weights of face and context of the log-linear pool, with the 95 %
   interval over faces].
"""


def participant_name(given: str) -> str:
    """An id as it may stand in a file's name and a table; empty where nothing is left of it."""
    return re.sub(r"[^A-Za-z0-9_-]", "", given)[:64].lstrip("-")
