"""Where modules and names stood before: an old address still leads to the thing, with a warning.

Kept for one version. Nothing in the package uses an old address.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

MODULES = {
    "kuleshov.agreement": "kuleshov.studies.agreement",
    "kuleshov.annotate": "kuleshov.runs",
    "kuleshov.annotate.annotate": "kuleshov.runs.annotate",
    "kuleshov.annotate.engine": "kuleshov.runs.local_engine",
    "kuleshov.annotate.items": "kuleshov.inputs.items",
    "kuleshov.annotate.manifest": "kuleshov.inputs.manifest",
    "kuleshov.annotate.people": "kuleshov.studies.corrections",
    "kuleshov.annotate.progress": "kuleshov.runs.progress",
    "kuleshov.annotate.ray_engine": "kuleshov.runs.ray_engine",
    "kuleshov.annotate.shards": "kuleshov.inputs.shards",
    "kuleshov.annotate.store": "kuleshov.runs.store",
    "kuleshov.annotate.summary": "kuleshov.runs.summary",
    "kuleshov.calibrate": "kuleshov.studies.calibrate",
    "kuleshov.calibration": "kuleshov.evidence.temperatures",
    "kuleshov.card": "kuleshov.output.card",
    "kuleshov.chat": "kuleshov.apps.chat",
    "kuleshov.chat.chat": "kuleshov.apps.chat.chat",
    "kuleshov.chat.inline": "kuleshov.apps.chat.inline",
    "kuleshov.chat.memory": "kuleshov.apps.chat.conversations",
    "kuleshov.chat.prompt": "kuleshov.apps.chat.prompt",
    "kuleshov.chat.shown": "kuleshov.apps.chat.printer",
    "kuleshov.cli": "kuleshov.apps.cli.main",
    "kuleshov.clip": "kuleshov.graph.clip_nodes",
    "kuleshov.commands": "kuleshov.apps.cli",
    "kuleshov.commands.agree": "kuleshov.apps.cli.agree",
    "kuleshov.commands.annotate": "kuleshov.apps.cli.annotate",
    "kuleshov.commands.associations": "kuleshov.apps.cli.associations",
    "kuleshov.commands.bench": "kuleshov.apps.cli.bench",
    "kuleshov.commands.calibrate": "kuleshov.apps.cli.calibrate",
    "kuleshov.commands.chat": "kuleshov.apps.cli.chat",
    "kuleshov.commands.code": "kuleshov.apps.cli.code",
    "kuleshov.commands.contexts": "kuleshov.apps.cli.contexts",
    "kuleshov.commands.contrast": "kuleshov.apps.cli.contrast",
    "kuleshov.commands.corrections": "kuleshov.apps.cli.corrections",
    "kuleshov.commands.demo": "kuleshov.apps.cli.demo",
    "kuleshov.commands.doctor": "kuleshov.apps.cli.doctor",
    "kuleshov.commands.eval": "kuleshov.apps.cli.eval",
    "kuleshov.commands.export": "kuleshov.apps.cli.export",
    "kuleshov.commands.facs": "kuleshov.apps.cli.facs",
    "kuleshov.commands.going_on": "kuleshov.apps.cli.resume",
    "kuleshov.commands.graph": "kuleshov.apps.cli.graph",
    "kuleshov.commands.infer": "kuleshov.apps.cli.infer",
    "kuleshov.commands.influence": "kuleshov.apps.cli.influence",
    "kuleshov.commands.integrate": "kuleshov.apps.cli.integrate",
    "kuleshov.commands.labels": "kuleshov.apps.cli.labels",
    "kuleshov.commands.match": "kuleshov.apps.cli.match",
    "kuleshov.commands.models": "kuleshov.apps.cli.models",
    "kuleshov.commands.schema": "kuleshov.apps.cli.schema",
    "kuleshov.commands.serve": "kuleshov.apps.cli.serve",
    "kuleshov.commands.terminal": "kuleshov.apps.cli.options",
    "kuleshov.conditions": "kuleshov.asking.views",
    "kuleshov.context": "kuleshov.asking.coding",
    "kuleshov.context.associations": "kuleshov.studies.associations",
    "kuleshov.context.back": "kuleshov.asking.coding.situations",
    "kuleshov.context.candidates": "kuleshov.asking.coding.candidates",
    "kuleshov.context.coder": "kuleshov.asking.coding.coder",
    "kuleshov.context.nodes": "kuleshov.graph.context_nodes",
    "kuleshov.context.printed": "kuleshov.studies.agreement_tables",
    "kuleshov.context.questions": "kuleshov.asking.coding.questions",
    "kuleshov.context.reliability": "kuleshov.studies.reliability",
    "kuleshov.context.scheme": "kuleshov.asking.coding.scheme",
    "kuleshov.context.shown": "kuleshov.output.coded_view",
    "kuleshov.context.table": "kuleshov.output.coded_table",
    "kuleshov.context.tables": "kuleshov.inputs.toml_tables",
    "kuleshov.contrast": "kuleshov.studies.contrast",
    "kuleshov.contrast.contexts": "kuleshov.studies.contrast.contexts",
    "kuleshov.contrast.experiment": "kuleshov.studies.contrast.experiment",
    "kuleshov.contrast.page": "kuleshov.studies.contrast.page",
    "kuleshov.contrast.types": "kuleshov.studies.contrast.types",
    "kuleshov.crew": "kuleshov.asking.parts",
    "kuleshov.demo": "kuleshov.apps.cli.first_look",
    "kuleshov.evals.agent_cost": "kuleshov.evals.bench.agent_cost",
    "kuleshov.evals.annotate_cost": "kuleshov.evals.bench.annotate_cost",
    "kuleshov.evals.bench": "kuleshov.evals.bench.cli",
    "kuleshov.evals.clip_speed": "kuleshov.evals.bench.clip_speed",
    "kuleshov.evals.command": "kuleshov.evals.cli",
    "kuleshov.evals.context_cost": "kuleshov.evals.bench.context_cost",
    "kuleshov.evals.face_speed": "kuleshov.evals.bench.face_speed",
    "kuleshov.evals.harness.page": "kuleshov.evals.harness.report.page",
    "kuleshov.evals.harness.tables": "kuleshov.evals.harness.report.tables",
    "kuleshov.evals.influence_cost": "kuleshov.evals.bench.influence_cost",
    "kuleshov.evals.inspect_log": "kuleshov.evals.harness.report.inspect_log",
    "kuleshov.evals.metrics.several": "kuleshov.evals.metrics.multilabel",
    "kuleshov.evals.metrics.words": "kuleshov.evals.metrics.emotion_wheels",
    "kuleshov.evals.random_model": "kuleshov.evals.bench.random_model",
    "kuleshov.evals.reasoning": "kuleshov.evals.bench.labels",
    "kuleshov.evals.timing": "kuleshov.evals.bench.timing",
    "kuleshov.evals.tiny_pyfeat": "kuleshov.evals.bench.tiny_pyfeat",
    "kuleshov.evidence": "kuleshov.evidence.collection",
    "kuleshov.examples": "kuleshov.asking.examples",
    "kuleshov.exports": "kuleshov.output.exports",
    "kuleshov.exports.boris": "kuleshov.output.exports.boris",
    "kuleshov.exports.clip": "kuleshov.output.exports.clip",
    "kuleshov.exports.clip_tables": "kuleshov.output.exports.clip_tables",
    "kuleshov.exports.eaf": "kuleshov.output.exports.eaf",
    "kuleshov.exports.fex": "kuleshov.output.exports.fex",
    "kuleshov.exports.hf_dataset": "kuleshov.output.exports.hf_dataset",
    "kuleshov.exports.label_studio": "kuleshov.output.exports.label_studio",
    "kuleshov.exports.page": "kuleshov.output.exports.page",
    "kuleshov.exports.spans": "kuleshov.output.exports.spans",
    "kuleshov.exports.table": "kuleshov.output.exports.table",
    "kuleshov.exports.video": "kuleshov.output.exports.video",
    "kuleshov.exports.webvtt": "kuleshov.output.exports.webvtt",
    "kuleshov.fusion": "kuleshov.evidence.fusion",
    "kuleshov.gate": "kuleshov.asking.gate",
    "kuleshov.generated": "kuleshov.evidence.generated",
    "kuleshov.graph": "kuleshov.graph.builder",
    "kuleshov.grounding": "kuleshov.evidence.grounding",
    "kuleshov.hearing": "kuleshov.graph.speech_node",
    "kuleshov.incongruence": "kuleshov.evidence.incongruence",
    "kuleshov.influence": "kuleshov.evidence.influence",
    "kuleshov.key_frames": "kuleshov.evidence.key_frames",
    "kuleshov.label_card": "kuleshov.output.label_card",
    "kuleshov.likelihood": "kuleshov.asking.scoring",
    "kuleshov.lines": "kuleshov.output.terminal_text",
    "kuleshov.match": "kuleshov.studies.match",
    "kuleshov.moments": "kuleshov.evidence.moments",
    "kuleshov.negation": "kuleshov.evidence.negation",
    "kuleshov.observer": "kuleshov.evidence.observer",
    "kuleshov.orders": "kuleshov.studies.example_orders",
    "kuleshov.over_time": "kuleshov.evidence.timeline",
    "kuleshov.people": "kuleshov.evidence.people",
    "kuleshov.person": "kuleshov.graph.person_nodes",
    "kuleshov.picture": "kuleshov.graph.media_nodes",
    "kuleshov.report": "kuleshov.output.report",
    "kuleshov.session.from_record": "kuleshov.session.template_answer",
    "kuleshov.session.held": "kuleshov.session.open_medium",
    "kuleshov.session.understood": "kuleshov.session.parse",
    "kuleshov.state": "kuleshov.graph.state",
    "kuleshov.strategy": "kuleshov.asking.fusion_choice",
    "kuleshov.tools.faces.choose": "kuleshov.tools.faces.registry",
    "kuleshov.tools.faces.combined": "kuleshov.tools.faces.chain",
    "kuleshov.tools.faces.framing": "kuleshov.tools.faces.crop",
    "kuleshov.tools.faces.pyfeat": "kuleshov.tools.faces.pyfeat.tool",
    "kuleshov.tools.faces.reverse": "kuleshov.tools.faces.rules",
    "kuleshov.tools.faces.side_by_side": "kuleshov.tools.faces.cpu_threads",
    "kuleshov.tools.faces.timelines": "kuleshov.tools.faces.tracking.timelines",
    "kuleshov.tools.faces.tracking": "kuleshov.tools.faces.tracking.tracker",
    "kuleshov.tools.mappings": "kuleshov.tools.labels.mappings",
    "kuleshov.tools.mllm.batching": "kuleshov.tools.mllm.local.batching",
    "kuleshov.tools.mllm.encode": "kuleshov.tools.mllm.local.encode",
    "kuleshov.tools.mllm.grammar": "kuleshov.tools.mllm.local.grammar",
    "kuleshov.tools.mllm.known": "kuleshov.tools.mllm.catalogue",
    "kuleshov.tools.mllm.loading": "kuleshov.tools.mllm.local.loading",
    "kuleshov.tools.mllm.openai_endpoint": "kuleshov.tools.mllm.endpoint",
    "kuleshov.tools.mllm.packing": "kuleshov.tools.mllm.local.packing",
    "kuleshov.tools.mllm.prefix": "kuleshov.tools.mllm.local.prefix_cache",
    "kuleshov.tools.mllm.scoring": "kuleshov.tools.mllm.local.scoring",
    "kuleshov.tools.mllm.segments": "kuleshov.tools.mllm.local.segments",
    "kuleshov.tools.mllm.slots": "kuleshov.tools.mllm.local.batch_cache",
    "kuleshov.tools.mllm.transformers_model": "kuleshov.tools.mllm.local.model",
    "kuleshov.tools.mllm.weights": "kuleshov.tools.mllm.local.weights",
    "kuleshov.tools.names": "kuleshov.tools.media.names",
    "kuleshov.tools.statistics": "kuleshov.studies.statistics",
    "kuleshov.tools.tracks": "kuleshov.tools.faces.tracking.types",
    "kuleshov.tools.transcript": "kuleshov.tools.media.transcript",
    "kuleshov.unit_plots": "kuleshov.output.unit_plots",
    "kuleshov.view": "kuleshov.output.view",
    "kuleshov.web": "kuleshov.apps.web",
    "kuleshov.web.api": "kuleshov.apps.web.api",
    "kuleshov.web.app": "kuleshov.apps.web.app",
    "kuleshov.web.asking": "kuleshov.apps.web.asking",
    "kuleshov.web.folders": "kuleshov.apps.web.uploads",
    "kuleshov.web.gallery": "kuleshov.apps.web.gallery",
    "kuleshov.web.guard": "kuleshov.apps.web.middleware",
    "kuleshov.web.house": "kuleshov.apps.web.state",
    "kuleshov.web.jobs": "kuleshov.apps.web.jobs",
    "kuleshov.web.line": "kuleshov.apps.web.job_queue",
    "kuleshov.web.open": "kuleshov.apps.web.open_readings",
    "kuleshov.web.page": "kuleshov.apps.web.page",
    "kuleshov.web.readings": "kuleshov.apps.web.readings",
    "kuleshov.web.server": "kuleshov.apps.web.server",
    "kuleshov.web.turns": "kuleshov.apps.web.views",
    "kuleshov.web.visitor": "kuleshov.apps.web.visitor",
    "kuleshov.web.visits": "kuleshov.apps.web.browser_sessions",
}
"""Old module to new."""

NAMES = {
    "kuleshov.annotate.people": {
        "Said": "kuleshov.runs.human_labels",
    },
    "kuleshov.card": {
        "print_doctor": "kuleshov.apps.cli.status_tables",
        "print_models": "kuleshov.apps.cli.status_tables",
    },
    "kuleshov.commands.terminal": {
        "FAILED": "kuleshov.output.terminal",
        "OK": "kuleshov.output.terminal",
        "USAGE": "kuleshov.output.terminal",
        "console": "kuleshov.output.terminal",
        "say": "kuleshov.output.terminal",
    },
    "kuleshov.context.questions": {
        "boxed": "kuleshov.asking.images",
    },
    "kuleshov.conversation": {
        "CONTENT_FREE": "kuleshov.asking.writer",
        "SCENE_SCHEMA": "kuleshov.asking.answers",
        "SHEET_PX": "kuleshov.asking.images",
        "Told": "kuleshov.asking.answers",
        "Writer": "kuleshov.asking.writer",
        "_mark": "kuleshov.asking.images",
        "assistant": "kuleshov.asking.writer",
        "blank": "kuleshov.asking.images",
        "content_free": "kuleshov.asking.writer",
        "content_free_answer": "kuleshov.asking.writer",
        "each_answers": "kuleshov.asking.answers",
        "explained": "kuleshov.asking.answers",
        "image": "kuleshov.asking.images",
        "judge_schema": "kuleshov.asking.answers",
        "numbered": "kuleshov.asking.writer",
        "person_crop": "kuleshov.asking.images",
        "sheet": "kuleshov.asking.images",
        "stated_numbers": "kuleshov.asking.answers",
        "stated_schema": "kuleshov.asking.answers",
        "user": "kuleshov.asking.writer",
        "video": "kuleshov.asking.images",
    },
    "kuleshov.crew": {
        "Pace": "kuleshov.asking.progress",
    },
    "kuleshov.crops": {
        "COVER_MARGIN": "kuleshov.asking.images",
        "FACE_MARGIN": "kuleshov.asking.images",
        "GREY": "kuleshov.asking.images",
        "_grown": "kuleshov.asking.images",
        "around": "kuleshov.asking.images",
        "covered": "kuleshov.asking.images",
        "face_alone": "kuleshov.asking.images",
    },
    "kuleshov.demo": {
        "EXAMPLES": "kuleshov.tools.media.demo_files",
        "examples": "kuleshov.tools.media.demo_files",
    },
    "kuleshov.evals.datasets.base": {
        "Answer": "kuleshov.evals.types",
        "Box": "kuleshov.evals.types",
        "Kind": "kuleshov.evals.types",
        "Published": "kuleshov.evals.types",
        "Sample": "kuleshov.evals.types",
        "Target": "kuleshov.evals.types",
    },
    "kuleshov.evals.metrics.words": {
        "split": "kuleshov.evals.text",
    },
    "kuleshov.report": {
        "_unwritable": "kuleshov.output.files",
        "check_path": "kuleshov.output.files",
        "write_page": "kuleshov.output.files",
    },
    "kuleshov.state": {
        "Desk": "kuleshov.asking.desk",
        "Picture": "kuleshov.tools.media.types",
        "Plain": "kuleshov.types",
    },
    "kuleshov.tools.types": {
        "KuleshovError": "kuleshov.tools.errors",
        "Label": "kuleshov.tools.labels",
        "LabelSet": "kuleshov.tools.labels",
        "first_line": "kuleshov.tools.errors",
        "nearest": "kuleshov.tools.errors",
        "shipped_label_sets": "kuleshov.tools.labels",
    },
}
"""Old module to the names that left it for another one."""


def _warn(old: str, new: str) -> None:
    text = f"{old} is an old address and goes with the next version: use {new}"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def find_name(module: str, name: str) -> Any:
    """What `name` of the old `module` is today.

    Raises:
        AttributeError: the module never had it.
    """
    if name.startswith("__"):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    home = NAMES.get(module, {}).get(name) or MODULES.get(module)
    if home is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def old_names(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for a module that stands where another one stood."""

    def look_up(name: str) -> Any:
        found = find_name(module, name)
        _warn(f"{module}.{name}", f"{NAMES.get(module, {}).get(name) or MODULES[module]}.{name}")
        return found

    return look_up


class _OldModule(Loader):
    """An empty module that looks its names up where they are today."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        _warn(old, MODULES.get(old) or ", ".join(sorted(set(NAMES[old].values()))))
        vars(module)["__getattr__"] = lambda name: find_name(old, name)

    def get_code(self, name: str) -> CodeType:
        """For `python -m` with an old address."""
        run = f"import runpy; runpy.run_module({MODULES[name]!r}, run_name='__main__')"
        return compile(run, name, "exec")


class _OldAddresses(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES and fullname not in NAMES:
            return None
        held = any(old.startswith(f"{fullname}.") for old in MODULES)
        return ModuleSpec(fullname, _OldModule(), is_package=held)


def keep_old_addresses() -> None:
    """Let the import system find old addresses, after all that is really there."""
    if not any(isinstance(finder, _OldAddresses) for finder in sys.meta_path):
        sys.meta_path.append(_OldAddresses())
