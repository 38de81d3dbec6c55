"""Benchmarks: `kuleshov bench NAME`. Speed is shown as ratios within one run, on the same work;
`context-reading` tells how often a model's reading of a situation is that of people.

Each benchmark is a function that yields figures; with ``--json`` the answer is one object
``{"bench", "figures": {name: number}, "settings", "machine"}``.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from kuleshov._version import __version__
from kuleshov.evals.bench.timing import Result, median_seconds
from kuleshov.tools.errors import KuleshovError
from kuleshov.tools.registry import Registry

TAKES = {
    "context-reading": ("model", "table", "split", "question", "prompts", "labels", "device"),
    "long-life": ("readings", "items"),
}
"""Options of the benchmarks that take some."""


def main(name: str, *, as_json: bool = False, **options: str) -> int:
    """Run one benchmark and print it; `options`: of the benchmarks in `TAKES`.

    Raises:
        KuleshovError: an unknown name, or options that a benchmark does not take.
    """
    work = BENCHES.find(name)
    strange = [option for option in options if option not in TAKES.get(name, ())]
    if strange:
        taken = [other for other, own in TAKES.items() if strange[0] in own]
        raise KuleshovError(f"bench {name} takes no --{strange[0]}; bench {taken[0]} does.")
    result = work(**options)
    if as_json:
        sys.stdout.write(
            json.dumps(
                {
                    "bench": name,
                    "figures": result.figures,
                    "settings": result.settings,
                    "machine": describe_machine(),
                }
            )
            + "\n"
        )
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"kuleshov bench {name}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for key, value in result.figures.items():
        table.add_row(key, f"{value:.4g}", result.meaning[key])
    console = Console()
    console.print(table)
    console.print(
        ", ".join(f"{k}: {v}" for k, v in {**result.settings, **describe_machine()}.items())
    )
    return 0


def describe_machine() -> dict[str, Any]:
    """What the figures were measured on, without naming the machine."""
    return {
        "kuleshov": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 0,
    }


def bench_start() -> Result:
    """How long a user waits for `kuleshov --help` and for `import kuleshov`."""

    def run(*arguments: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    works = {
        "empty_s": run("-c", "pass"),
        "import_s": run("-c", "import kuleshov"),
        "help_s": run("-m", "kuleshov.apps.cli.main", "--help"),
    }
    for work in works.values():
        work()  # once for the file cache
    rounds = 15
    figures = median_seconds(works, rounds)
    figures["import_ratio"] = figures["import_s"] / figures["empty_s"]
    figures["help_ratio"] = figures["help_s"] / figures["empty_s"]
    return Result(
        figures={key: round(value, 4) for key, value in figures.items()},
        meaning={
            "empty_s": "python -c pass, seconds",
            "import_s": "python -c 'import kuleshov', seconds, interpreter included",
            "help_s": "kuleshov --help, seconds, interpreter included",
            "import_ratio": "import over an empty interpreter",
            "help_ratio": "help over an empty interpreter",
        },
        settings={"rounds": rounds},
    )


def bench_agent() -> Result:
    """The agent's own cost: `agent.infer` against the same model calls made bare, in turn."""
    from kuleshov.evals.bench import agent_cost

    return agent_cost.measure_agent_cost()


def bench_annotate() -> Result:
    """Annotation against the plain loop of a model card; faces beside the model; the store."""
    from kuleshov.evals.bench import annotate_cost

    return annotate_cost.measure_annotate_cost()


def bench_context() -> Result:
    """What 40 coded variables cost against describing the scene, packed and one by one."""
    from kuleshov.evals.bench import context_cost

    return context_cost.measure_context_cost()


def bench_reasoning() -> Result:
    """All labels of a set scored at once; face alone, context alone and both in one inference."""
    from kuleshov.evals.bench import influence_cost
    from kuleshov.evals.bench import labels as reasoning

    labels, influence = reasoning.measure_label_cost(), influence_cost.measure_influence_cost()
    return Result(
        figures={**labels.figures, **influence.figures},
        meaning={**labels.meaning, **influence.meaning},
        settings={**labels.settings, **influence.settings},
    )


def bench_faces() -> Result:
    """Faces per second against Py-Feat's own `detect`, tiny weights in both."""
    from kuleshov.evals.bench import face_speed

    return face_speed.measure_face_speed()


def bench_clips() -> Result:
    """Frames per second against Py-Feat's own video path; memory against a clip's length."""
    from kuleshov.evals.bench import clip_speed

    return clip_speed.measure_clip_speed()


def bench_long_life(**options: Any) -> Result:
    """Memory and descriptors over 1,000 readings of a server and 10,000 of an annotation."""
    from kuleshov.evals.bench import long_life

    return long_life.measure_long_life(**{name: int(value) for name, value in options.items()})


def context_reading(**options: Any) -> Result:
    """How well a model reads situations in words, against the label that people would name."""
    from kuleshov.evals.bench import situation_readings

    return situation_readings.measure_readings(**options)


BENCHES: Registry[Callable[..., Result]] = Registry(
    "benchmark",
    {
        "start": bench_start,
        "agent": bench_agent,
        "annotate": bench_annotate,
        "context": bench_context,
        "reasoning": bench_reasoning,
        "faces": bench_faces,
        "clips": bench_clips,
        "context-reading": context_reading,
        "long-life": bench_long_life,
    },
)
