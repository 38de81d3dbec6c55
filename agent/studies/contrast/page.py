"""The heat-map report of a contrast: one file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from kuleshov.output import files as output_files
from kuleshov.output import report, view
from kuleshov.studies.contrast.types import Contrast, Pair
from kuleshov.tools.media.types import Rgb

THUMB_PX = 120


def contrast_html(found: Contrast, faces: Mapping[str, Rgb]) -> str:
    """One self-contained page.

    Args:
        found: the experiment.
        faces: by name, the faces cut out, (H, W, 3) RGB uint8; a face without one is shown by name.
    """
    from PIL import Image

    labels = [effect.label for effect in found.effects]
    by_pair = {(pair.face, pair.context): pair for pair in found.pairs}
    return (
        report.page_environment()
        .get_template("contrast.html.jinja")
        .render(
            found=found,
            labels=labels,
            colours={
                label: report.label_colour(label, place) for place, label in enumerate(labels)
            },
            thumbs={
                name: report.jpeg_address(Image.fromarray(picture), THUMB_PX)
                for name, picture in faces.items()
            },
            cells={
                face.name: [
                    _view_cell(by_pair[face.name, context.name], labels)
                    for context in found.contexts
                ]
                for face in found.faces
            },
            alone={face.name: _view_alone(face.emotions.probabilities) for face in found.faces},
            contexts=[
                {"context": context, **_view_alone(context.emotions.probabilities)}
                for context in found.contexts
            ],
            margins=list(found.margins()),
            shifts={
                face.name: [
                    by_pair[face.name, context.name].influence.shift for context in found.contexts
                ]
                for face in found.faces
            },
            most=max((abs(p.influence.shift or 0.0) for p in found.pairs), default=0.0) or 1.0,
            signed=view.format_signed,
            rule=_rule_name(found),
            model=(found.provenance.get("mllm") or {}).get("id", "unnamed"),
            tool=(found.provenance.get("faces") or {}).get("name", "unnamed"),
            caveats=[
                caveat
                for part in ("mllm", "faces")
                if (caveat := (found.provenance.get(part) or {}).get("caveat"))
            ],
            percent=view.format_percent,
            style=Markup(
                (files("kuleshov.output") / "templates" / "report.css").read_text("utf-8")
            ),
        )
    )


def write_contrast(path: str | os.PathLike[str], found: Contrast, faces: Mapping[str, Rgb]) -> None:
    """Write `contrast_html` to `path`. Raises KuleshovError if it cannot be written."""
    output_files.write_page(path, contrast_html(found, faces))


def _view_alone(probabilities: Mapping[str, float]) -> dict[str, Any]:
    top = max(probabilities, key=lambda label: probabilities[label])
    return {"top": top, "p": probabilities[top]}


def _view_cell(pair: Pair, labels: list[str]) -> dict[str, Any]:
    both, face, computed = pair.influence.both, pair.influence.face, pair.influence.computed
    assert both is not None
    assert face is not None
    changes = {label: both.probabilities[label] - face.probabilities[label] for label in labels}
    risen = max(changes, key=lambda label: changes[label])
    return {
        **_view_alone(both.probabilities),
        "index": pair.influence.index,
        "moved": view.shift_text(pair.influence) or pair.influence.unanswered,
        "risen": risen,
        "rise": changes[risen],
        "before": _view_alone(face.probabilities),
        "computed": _view_alone(computed.probabilities) if computed else None,
        "values": {
            label: {
                "p": both.probabilities[label],
                "shift": changes[label],
            }
            for label in labels
        },
    }


def _rule_name(found: Contrast) -> str:
    """Which rule computed the combination that stands beside the readings."""
    computed = next((p.influence.computed for p in found.pairs if p.influence.computed), None)
    return view.fusion_text(computed) if computed else "nothing"
