"""ELAN annotation files (.eaf): a tier for each person and kind of span."""

from __future__ import annotations

from pathlib import Path

from kuleshov.exports.spans import spans
from kuleshov.tools.types import KuleshovError
from kuleshov.types import Inference


def write(inference: Inference, path: Path) -> None:
    """Write the clip's spans; spans of one tier that overlap go to further tiers ("… (2)").

    Raises:
        KuleshovError: pympi-ling is not installed; names the command.
    """
    try:
        from pympi import Elan
    except ImportError:
        raise KuleshovError(
            "ELAN files need pympi-ling: run `pip install 'kuleshov[clips]'`."
        ) from None
    document = Elan.Eaf(author="kuleshov")
    document.remove_tier("default")
    if inference.media.path:
        document.add_linked_file(
            Path(inference.media.path).resolve().as_uri(), mimetype="video/mp4"
        )
    ends: dict[str, int] = {}
    for span in sorted(spans(inference), key=lambda s: s.start_s):
        base = span.tier if span.person is None else f"person {span.person} {span.tier}"
        begin, end = round(1000 * span.start_s), round(1000 * span.end_s)
        tier, copy = base, 1
        while ends.get(tier, -1) > begin:
            copy += 1
            tier = f"{base} ({copy})"
        if tier not in ends:
            document.add_tier(tier)
        ends[tier] = max(end, begin + 1)
        document.add_annotation(tier, begin, ends[tier], span.text)
    path.unlink(missing_ok=True)  # pympi would leave a .bak beside it
    document.to_file(str(path))
