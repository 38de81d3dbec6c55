"""Calls to copy, below the help of each command."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    f"kuleshov {name}": calls
    for name, calls in {
        "demo": ("kuleshov demo", "kuleshov demo --report first-look.html"),
        "infer": (
            "kuleshov infer photo.jpg --pocket",
            'kuleshov infer photo.jpg --context "They lost the final." --report out.html',
        ),
        "chat": (
            "kuleshov chat photo.jpg --pocket",
            "kuleshov chat --resume 1",
        ),
        "influence": (
            'kuleshov influence photo.jpg --context "at a funeral"',
            "kuleshov influence photos/ --pocket --json",
        ),
        "contrast": (
            "kuleshov contrast --pictures faces/ --contexts contexts.toml --out effect/",
            "kuleshov contrast --pictures faces/ --contexts scenes/ --out effect/ --pocket",
        ),
        "match": (
            "kuleshov match shots/ photos/ --top 20",
            "kuleshov match smile.jpg photos/ --by expression --report nearest.html",
        ),
        "annotate": (
            "kuleshov annotate photos/ --out run/ --pocket",
            "kuleshov annotate manifest.csv --out run/ --retry-failed",
        ),
        "export": ("kuleshov export run/ --to xlsx", "kuleshov export run/ --to clips --out elan/"),
        "corrections": (
            "kuleshov corrections run/",
            "kuleshov corrections run/ labelled.json --json",
        ),
        "code": (
            "kuleshov code photos/ --scheme appraisals --csv coded.csv",
            'kuleshov code photo.jpg --said "We won!" --pocket',
        ),
        "contexts": (
            "kuleshov contexts photo.jpg --candidates situations.toml",
            "kuleshov contexts photos/ --candidates situations.toml --json",
        ),
        "associations": (
            "kuleshov associations run/",
            "kuleshov associations run/ --group video",
        ),
        "agree": (
            "kuleshov agree openface:clip.csv pyfeat:clip-fex.csv",
            "kuleshov agree readings.jsonl --json",
        ),
        "facs": ("kuleshov facs AU12", "kuleshov facs --emotion fear"),
        "labels": ("kuleshov labels", "kuleshov labels show ekman-7"),
        "calibrate": (
            "kuleshov calibrate sample.csv --out calibration.toml",
            "kuleshov calibrate labelled/ --out calibration.toml --pocket",
        ),
        "study": (
            "kuleshov study --pictures faces/ --contexts contexts.toml --out study/",
            "kuleshov study --collect study/",
        ),
        "integrate": (
            "kuleshov integrate ratings.csv --out fitted/",
            "kuleshov integrate ratings.csv --scale 1-9 --json",
        ),
        "serve": ("kuleshov serve --pocket", "kuleshov serve --share --auth users.txt"),
        "models": (
            "kuleshov models suggest",
            "kuleshov models pull llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        ),
        "doctor": ("kuleshov doctor", "kuleshov doctor --json"),
        "forget": ("kuleshov forget", "kuleshov forget --yes"),
        "graph": ("kuleshov graph", "kuleshov graph > graph.mmd"),
        "schema": ("kuleshov schema", "kuleshov schema > inference.schema.json"),
        "completion": (
            'eval "$(kuleshov completion bash)"',
            "kuleshov completion fish | source",
        ),
        "eval": (
            "kuleshov eval --list",
            "kuleshov eval ferplus --data fer/ --limit 200 --pocket",
        ),
        "bench": ("kuleshov bench start", "kuleshov bench faces --json"),
    }.items()
}
