"""Where modules and names stood before: an old address still leads to the thing, with a warning.

Kept for one version. Nothing in the package uses an old address.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
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
        "each_answers": "kuleshov.asking.answers",
        "image": "kuleshov.asking.images",
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
_RENAMED = """
kuleshov.apps.chat.conversations: Kept=KeptConversation folder=conversation_folder
kuleshov.apps.chat.inline: escape=encode_picture png=draw_png protocol=find_protocol
kuleshov.apps.chat.printer: Shown=ShownReading
kuleshov.apps.chat.prompt: label=prompt_label lines=read_lines
kuleshov.apps.cli.first_look: run=show_demo
kuleshov.apps.cli.main: parser=build_parser
kuleshov.apps.cli.options: expanded=expand_patterns registered=find_command words=given_words
kuleshov.apps.cli.resume: command=resume_command
kuleshov.apps.web.api: docs=get_docs health=get_health infer=post_infer schema=get_schema
kuleshov.apps.web.asking: ask=post_question context=post_context influence=post_influence
    labels=post_labels read=post_reading shown=job_view stop=post_stop undo=post_undo
kuleshov.apps.web.job_queue: Line=JobQueue
kuleshov.apps.web.page: begin=begin_visit clip=get_clip end=end_visit events=get_events
    fragment=get_fragment page=get_page record=get_record remove=remove_reading stop=stop_job
    thumb=get_thumb
kuleshov.apps.web.readings: follow=follow_events read=read_medium renamed=rename_source
    told=name_error
kuleshov.apps.web.server: address=browser_address bind=bind_socket configure=configure_uvicorn
    credentials=parse_credentials names=allowed_names serve=run_server
kuleshov.apps.web.views: turns=view_turns
kuleshov.asking.coding.candidates: load=load_candidates
kuleshov.asking.coding.scheme: parse=parse_scheme
kuleshov.asking.examples: Example=FewShotExample Measured=MeasuredExample read=read_examples
kuleshov.asking.fusion_choice: choose=choose_fusion
kuleshov.asking.gate: features=vision_features generate=generate_text running=reading_run
    score=score_answers sentence=error_sentence stopped=stop_asked
kuleshov.asking.images: _grown=_grow_box _mark=_mark_time around=surroundings_box
    blank=blank_image boxed=draw_boxes covered=cover_faces image=to_image sheet=frame_sheet
    video=frame_video
kuleshov.asking.parts: gap=gap_of_error plain=plain_records
kuleshov.asking.views: Shown=PersonView
kuleshov.asking.writer: assistant=assistant_turn user=user_turn
kuleshov.evals.bench.agent_cost: measure=measure_agent_cost
kuleshov.evals.bench.annotate_cost: measure=measure_annotate_cost
kuleshov.evals.bench.cli: agent=bench_agent annotate=bench_annotate clips=bench_clips
    context=bench_context faces=bench_faces machine=describe_machine reasoning=bench_reasoning
    start=bench_start
kuleshov.evals.bench.clip_speed: measure=measure_clip_speed
kuleshov.evals.bench.context_cost: forty=forty_variables measure=measure_context_cost
kuleshov.evals.bench.face_speed: measure=measure_face_speed
kuleshov.evals.bench.influence_cost: measure=measure_influence_cost
kuleshov.evals.bench.labels: measure=measure_label_cost talk=label_question
kuleshov.evals.bench.random_model: tokenizer=train_tokenizer
kuleshov.evals.bench.tiny_pyfeat: blob=draw_blob build=build_weights picture=draw_picture
    place=cache_path retinaface=retinaface_state
kuleshov.evals.harness.report.inspect_log: check=check_log log=make_log score=log_score
    target=log_target write=write_log
kuleshov.evals.harness.report.page: html=render_page numeric=is_numeric stacked=stack_interval
    thinned=thin_points write=write_page
kuleshov.evals.harness.report.tables: answered=answered_share arrow=better_arrow
    caption=table_caption drawn=draw_facts escaped=escape_latex interval=format_interval
    latex=render_latex markdown=render_markdown number=format_number people=people_line
    reasons=list_reasons show=show_table span=metric_range title=metric_title
kuleshov.evals.metrics.emotion_wheels: overlap=set_overlap
kuleshov.evals.metrics.multilabel: chosen=chosen_row marks=label_marks scored=scored_row
kuleshov.evals.text: split=split_words
kuleshov.evidence.collection: collect=collect_evidence quoted=quote_text told=told_evidence
kuleshov.evidence.fusion: bayes=fuse_bayes normalised=normalise_weights onto=map_scores
kuleshov.evidence.generated: repeats=is_repetitive
kuleshov.evidence.grounding: check=check_cue claims=find_claims feelings=find_feelings
    measured=is_measured mentions=find_mentions
kuleshov.evidence.incongruence: candidates=find_incongruences malice=malice_pattern
    mixed=mixed_pattern sarcasm=sarcasm_pattern smile=smile_pattern
    suppressed=suppressed_pattern
kuleshov.evidence.influence: divergence=js_divergence influence=measure_influence
    shift=context_shift
kuleshov.evidence.key_frames: Kept=KeptFrame expressiveness=face_expressiveness
kuleshov.evidence.moments: choose=choose_segments segments=cut_segments
kuleshov.evidence.observer: pool=pool_log_linear
kuleshov.evidence.people: apex=apex_face followed=choose_followed targets=choose_people
kuleshov.evidence.temperatures: Figure=CalibrationFigure basis=calibration_basis
    load=load_calibration
kuleshov.evidence.timeline: called=event_name collect=collect_timeline words=collect_words
kuleshov.graph.builder: build=build_graph mermaid=draw_mermaid
kuleshov.graph.clip_nodes: thinned=thin_track
kuleshov.graph.context_nodes: line=variable_line numbered=number_variables
kuleshov.graph.person_nodes: judged=make_judgement unread=unread_judgement
kuleshov.graph.speech_node: facts=speech_facts told=speech_notes
kuleshov.graph.state: merge=merge_seconds
kuleshov.inputs.items: again=repeated_item count=count_items folder=read_folder read=read_items
kuleshov.inputs.manifest: Row=ManifestRow count=count_rows row=parse_row rows=read_rows
kuleshov.inputs.shards: dataset=read_dataset expand=expand_shards tars=read_tars
kuleshov.inputs.toml_tables: Table=TomlTable read=read_toml
kuleshov.output.coded_table: numbers=variable_numbers
kuleshov.output.coded_view: Row=CodedRow belongs=situation_lines groups=group_variables
kuleshov.output.exports.boris: write=write_boris
kuleshov.output.exports.eaf: write=write_eaf
kuleshov.output.exports.label_studio: corrections=read_corrections interface=labelling_interface
kuleshov.output.exports.spans: laned=assign_lanes spans=list_spans
kuleshov.output.exports.table: rows=table_rows survey=survey_columns
kuleshov.output.exports.video: drawn=draw_frame reading=reading_at write=write_video
kuleshov.output.exports.webvtt: write=write_webvtt
kuleshov.output.files: _unwritable=_unwritable_error
kuleshov.output.report: colour=label_colour environment=page_environment flat=flatten_values
    jpeg=jpeg_address reading=view_reading
kuleshov.output.terminal: console=make_console
kuleshov.output.unit_plots: ticks=time_ticks
kuleshov.output.view: Moment=MomentView brief=brief_scores clean=clean_line facts=media_facts
    fusion=fusion_text gaps=list_gaps headline=score_headline influence=influence_text
    judged=judgement_text likelihood=likelihood_text moments=list_moments observer=observer_text
    pain=pain_text percent=format_percent said=said_lines scales=scales_text
    seconds=format_seconds shift=shift_text signed=format_signed split=split_scores
    thinned=thin_items title=media_title together=third_reading top=top_score units=group_units
    weights=weights_text
kuleshov.runs.annotate: annotate=annotate_run
kuleshov.runs.local_engine: Answer=ItemAnswer Reader=AgentReader plan=plan_run
    store=store_answer
kuleshov.runs.progress: Shown=ProgressDisplay duration=format_duration facts=progress_facts
kuleshov.runs.ray_engine: Reader=RayReader
kuleshov.runs.store: damaged=damaged_lines differences=list_differences lines=read_lines
    now=current_time unwritable=unwritable_error
kuleshov.runs.summary: summarise=summarise_run
kuleshov.session.open_medium: Held=OpenMedium
kuleshov.session.parse: supposition=plain_supposition understand=parse_line
kuleshov.session.template_answer: answer=template_answer
kuleshov.studies.agreement: ac1=gwet_ac1 agree=measure_agreement icc=icc_consistency
    measured=record_sightings read=read_sightings records=read_records
kuleshov.studies.agreement_tables: reliability=print_reliability
kuleshov.studies.associations: associate=measure_associations frame=build_frame read=read_run
kuleshov.studies.calibrate: Example=LabelledItem calibrate=fit_calibration fit=fit_temperature
    nll=log_losses readings=model_readings tempered=temper_table
kuleshov.studies.contrast.contexts: pictures=list_pictures
kuleshov.studies.contrast.experiment: described=scene_description
kuleshov.studies.contrast.types: effects=decompose_variance
kuleshov.studies.corrections: Agreement=RunAgreement agreement=compare_run
kuleshov.studies.example_orders: spread=measure_spread
kuleshov.studies.reliability: code=answer_code equal=equal_share measured=measure_reliability
    versions=code_versions wordings=list_wordings
kuleshov.studies.statistics: alpha=krippendorff_alpha brier=brier_score ece=calibration_error
    reliability=reliability_bins
kuleshov.tools.errors: nearest=suggest_word shortened=shorten_text
kuleshov.tools.faces.facs: expressions=list_expressions name=unit_name
    patterns=expression_patterns
kuleshov.tools.faces: entry=find_entry formats=file_formats names=tool_names
    observe=observe_faces statuses=tool_statuses
kuleshov.tools.faces.chain: entry=chain_entry
kuleshov.tools.faces.crop: crop=crop_square
kuleshov.tools.faces.pyfeat.tool: load=load_pyfeat status=pyfeat_status
kuleshov.tools.faces.registry: entry=find_entry formats=file_formats names=tool_names
    statuses=tool_statuses
kuleshov.tools.faces.rules: expression=infer_expression load=load_rules status=rules_status
    weights=unit_weights
kuleshov.tools.faces.tracking.timelines: analysed=analyse_track smoothed=smooth_values
    untold=list_untold
kuleshov.tools.faces.tracking.tracker: look=grey_thumbnail middle=box_middle overlap=box_overlap
kuleshov.tools.labels.mappings: between=find_mapping correspondence=map_labels
    published=published_mappings table=require_mapping
kuleshov.tools.media: Sample=FrameSample expand=expand_paths
kuleshov.tools.media.demo_files: examples=find_examples
kuleshov.tools.media.transcript: condensed=condense_cues read=read_transcript within=cues_within
kuleshov.tools.media.types: Picture=Rgb damaged=damaged_error
kuleshov.tools.mllm: check=check_model listing=list_models load=load_model pull=pull_model
kuleshov.tools.mllm.catalogue: Known=KnownModel
kuleshov.tools.mllm.endpoint: check=check_address messages=chat_messages
kuleshov.tools.mllm.local.batch_cache: Rows=CacheRows attend=attend_rows
    attending=patched_attention step=step_rows
kuleshov.tools.mllm.local.batching: Row=BatchRow batched=batch_model
kuleshov.tools.mllm.local.encode: clean=clean_conversation defuse=defuse_controls
    digest=image_digest encode=encode_conversation rgb=to_rgb
kuleshov.tools.mllm.local.loading: quiet=quiet_libraries
kuleshov.tools.mllm.local.model: mean=mean_logprob trials=trial_conversations
kuleshov.tools.mllm.local.packing: rows=pack_rows tails=conversation_tails
kuleshov.tools.mllm.local.prefix_cache: Entry=CacheEntry common=common_length fork=fork_cache
kuleshov.tools.mllm.local.scoring: lengthened=lengthen_inputs
kuleshov.tools.mllm.local.segments: pieces=split_pieces
kuleshov.tools.mllm.local.weights: config=read_config files=weight_files
    fingerprint=weights_fingerprint header=read_header hears=is_whisper licence=read_licence
    size=folder_size tensors=list_tensors
kuleshov.tools.pocket: folder=weights_folder scale=fitted_scale
kuleshov.asking.combining: combine=combine_scores tempered=temper_scores
kuleshov.asking.situation: asks=asks_situation read=read_situation
kuleshov.evals.bench.situation_readings: measure=measure_readings summarise=summarise_readings
kuleshov.evals.datasets.affectnet: read=read_affectnet
kuleshov.evals.datasets.bah: read=read_bah
kuleshov.evals.datasets.base: rescaled=rescale_rating
kuleshov.evals.datasets.caers: read=read_caers
kuleshov.evals.datasets.dfew: read=read_dfew
kuleshov.evals.datasets.emer: read=read_emer
kuleshov.evals.datasets.emotic: read=read_emotic
kuleshov.evals.datasets.ferplus: target=votes_target read=read_ferplus
kuleshov.evals.datasets.layout: elsewhere=find_elsewhere listed=list_names rows=read_rows
    number=parse_number
kuleshov.evals.datasets.manifest: fitted=fit_task read=read_manifest
kuleshov.evals.datasets.mer2023: read=read_mer2023 transcripts=read_transcripts
kuleshov.evals.datasets.oasis: read=read_oasis
kuleshov.evals.datasets.ong2015: sentence=outcome_sentence read=read_ong2015
kuleshov.evals.datasets.ovmer: read=read_ovmer
kuleshov.evals.datasets.raer: read=read_raer
kuleshov.evals.datasets.rafdb: read=read_rafdb
kuleshov.evals.datasets.registry: find=find_task
kuleshov.evals.datasets.veatic: read=read_veatic
kuleshov.evals.harness.api: run=evaluate_agent finish=finish_evaluation
kuleshov.evals.harness.baselines: majority=majority_answer guess=random_answer blind=run_blind
    clip=run_clip
kuleshov.evals.harness.compare: Comparison=SystemComparison compare=compare_systems
    mcnemar=mcnemar_test
kuleshov.evals.harness.evaluate: begin=begin_evaluation opened=open_evaluation again=reset_agent
    watching=watch_system
kuleshov.evals.harness.judging: run=judge_texts judge=judge_with
kuleshov.evals.harness.samples: Known=KnownSample drawn=draw_samples told=sample_facts
    digest=samples_digest known=known_samples
kuleshov.evals.harness.scores: score=score_evaluation about=task_facts tables=class_tables
    keep=write_scores kept=read_scores
kuleshov.evals.harness.systems: named=parse_systems shared=shared_runs outcomes=read_outcomes
    answered=system_answer judged=judged_person reading=system_reading anchored=anchor_rating
kuleshov.evals.metrics.affect: ccc=concordance_ccc pcc=pearson_pcc rmse=error_rmse
    sagr=sign_agreement
kuleshov.evals.metrics.base: figure=measure_figure finite=finite_value bootstrap=bootstrap_interval
    difference=measure_difference
kuleshov.evals.metrics.classes: place=label_place pair=label_pair missed=missed_pair
    confusion=confusion_matrix reliability=answer_reliability
kuleshov.evals.metrics.judge: verdict=ask_verdict
kuleshov.evals.metrics.registry: find=find_metric
kuleshov.evals.metrics.votes: both=both_distributions
kuleshov.evals.protocols.base: Table=ResultTable slim=slim_record apart=compare_outcomes
    cells=format_cells
kuleshov.evals.protocols.fairness: run=run_fairness widest=widest_gap
kuleshov.evals.protocols.hallucination: things=parse_things named=named_things chair=chair_counts
    run=run_hallucination variable=variable_name probes=probe_answers
kuleshov.evals.protocols.influence: run=run_influence
kuleshov.evals.protocols.registry: find=find_protocol
kuleshov.evals.protocols.repeatability: run=run_repeatability
kuleshov.evals.protocols.sensitivity: run=run_sensitivity ordered=order_labels
kuleshov.evals.protocols.shift: tables=shift_tables correlation=score_correlation
    divergence=kl_divergence
kuleshov.evals.protocols.shots: run=run_shots drawn=draw_examples
kuleshov.evals.protocols.units: key=picture_key changed=swap_measures swaps=draw_donors
    followed=followed_claims run=run_units
kuleshov.evals.protocols.votes: run=run_votes uncertainty=entropy_correlation spread=label_spread
kuleshov.output.exports.clip: export=write_export
kuleshov.output.exports.fex: export=write_export
kuleshov.output.exports.hf_dataset: export=write_export
kuleshov.output.exports.label_studio: export=write_export
kuleshov.output.exports.page: export=write_export
kuleshov.output.exports.table: export=write_export
kuleshov.prompts: render=render_prompt digests=template_digests
kuleshov.runs.fingerprints: take=take_fingerprint digest=file_digest compare=compare_fingerprints
kuleshov.session.answer: Answer=CitedAnswer checked=check_answer
kuleshov.session.compare: Comparison=ReadingComparison compare=compare_readings
kuleshov.studies.integrate: divergences=kl_divergences integrate=fit_integration
    usual=mean_judgement
kuleshov.studies.ratings: cells=mean_cells
kuleshov.tools.collector: paused=pause_collector
kuleshov.tools.doctor: report=doctor_rows
kuleshov.tools.faces.base: observe=observe_faces Entry=ToolEntry
kuleshov.tools.faces.directions: lines=direction_lines
kuleshov.tools.faces.facs: Source=FacsSource smiles=find_smiles pain=measure_pain pspi=pspi_score
kuleshov.tools.faces.files: load=load_file guess=guess_format
kuleshov.tools.faces.files.imotions: affdex=read_affdex facet=read_facet
kuleshov.tools.faces.files.libreface: libreface=read_libreface pyafar=read_pyafar
kuleshov.tools.faces.files.openface: openface=read_openface openface3=read_openface3
kuleshov.tools.faces.files.pyfeat: pyfeat=read_pyfeat
kuleshov.tools.faces.files.results: overlap=box_overlap matched=match_faces
kuleshov.tools.faces.files.table: read=read_result_table
kuleshov.tools.faces.hsemotion: load=load_hsemotion status=hsemotion_status
kuleshov.tools.faces.mediapipe: halves=unit_blendshapes load=load_mediapipe status=mediapipe_status
kuleshov.tools.faces.model_file: sha256=hash_file
kuleshov.tools.faces.pocket: load=load_pocket_faces status=pocket_status
kuleshov.tools.faces.programs: run=run_program load=load_program status=program_status
kuleshov.tools.faces.yunet: load=load_yunet status=yunet_status
kuleshov.tools.media.opener: expand=expand_paths
kuleshov.tools.media.sniff: sniff=sniff_format
kuleshov.tools.media.stream: Sample=FrameSample
kuleshov.tools.mllm.hardware: advice=memory_advice gigabytes=format_bytes
kuleshov.tools.mllm.hub: Source=ModelSource find=find_model check=check_source fetch=fetch_model
    pull=pull_model listing=list_models snapshot=find_snapshot offline=is_offline
    unreachable=why_unreachable download=download_model
kuleshov.tools.mllm.loader: check=check_model load=load_model
kuleshov.tools.mllm.local.turns: answered=with_answer
kuleshov.tools.mllm.top_logprobs: bare=bare_token
kuleshov.tools.mllm.usage: metered=meter_usage current=current_usage
kuleshov.tools.pocket.detector: block=conv_block decode=decode_boxes load=load_detector
    padded=pad_picture propose=propose_boxes look=look_again logit=to_logits search=search_levels
    detect=detect_faces
kuleshov.tools.pocket.face_net: standardise=standardise_faces load=load_face_net crop=crop_faces
    read=read_faces heatmap=draw_heatmap
kuleshov.tools.pocket.weights: sha256=hash_file check=check_weights
kuleshov.tools.process: generation=fork_generation
kuleshov.tools.speech.loader: check=check_recogniser load=load_recogniser
kuleshov.tools.speech.windows: Line=SpokenLine lines=window_lines
kuleshov.tools.tables: Line=TableLine
"""
"""Module of today: old name=name of today, for what has another name since 0.1.0."""


def _names_of_today() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for entry in re.split(r"\n(?! )", _RENAMED.strip()):
        module, pairs = entry.split(":", 1)
        told = {old: new for old, _, new in (p.partition("=") for p in pairs.split())}
        found.setdefault(module, {}).update(told)
    return found


RENAMED = _names_of_today()


def today(home: str, name: str) -> str:
    """The name that `name` of the module `home` has today."""
    return RENAMED.get(home, {}).get(name, name)


def _address_of(module: str, name: str) -> tuple[str, str] | None:
    """Module and name of today; None: the old module never had it, or is not known."""
    home = NAMES.get(module, {}).get(name) or MODULES.get(module)
    if home is None and name in RENAMED.get(module, {}):
        home = module
    return (home, today(home, name)) if home else None


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
    address = _address_of(module, name)
    if address is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return getattr(importlib.import_module(address[0]), address[1])


def old_names(module: str) -> Callable[[str], Any]:
    """A `__getattr__` for a module that stands where another one stood."""

    def look_up(name: str) -> Any:
        found = find_name(module, name)
        _warn(f"{module}.{name}", ".".join(_address_of(module, name) or ()))
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


class _WithOldNames(SourceFileLoader):
    """A module of today that knows its old names, too."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        own: Any = vars(module).get("__getattr__")
        old = old_names(module.__name__)

        def look_up(name: str) -> Any:
            return old(name) if name in RENAMED[module.__name__] else own(name)

        vars(module)["__getattr__"] = look_up if own and own.__module__ != __name__ else old


class _RenamedNames(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in RENAMED:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _WithOldNames(fullname, spec.loader.path)
        return spec


def keep_old_addresses() -> None:
    """Let the import system find old addresses, after all that is really there, and old names."""
    if not any(isinstance(finder, _OldAddresses) for finder in sys.meta_path):
        sys.meta_path.append(_OldAddresses())
        sys.meta_path.insert(0, _RenamedNames())
