"""The graph: which step follows which. What the steps do is in `picture` and `person`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.graph import END, START, StateGraph

from kuleshov.asking.coding.candidates import Situation
from kuleshov.asking.parts import Crew
from kuleshov.graph.context_nodes import ContextNodes
from kuleshov.graph.media_nodes import PictureNodes
from kuleshov.graph.person_nodes import PersonNodes
from kuleshov.graph.speech_node import HearingNodes
from kuleshov.graph.state import PersonResult, PersonState, State


def person_graph(crew: Crew) -> Any:
    """One person: judge, ground, repair once if need be, weigh."""
    nodes = PersonNodes(crew)
    graph = StateGraph(PersonState, output_schema=PersonResult)
    graph.add_node("judge", nodes.judge)
    graph.add_node("ground", nodes.ground)
    graph.add_node("repair", nodes.repair)
    graph.add_node("weigh", nodes.weigh)
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "ground")
    graph.add_conditional_edges("ground", nodes.after_ground, ["repair", "weigh"])
    graph.add_edge("repair", "ground")
    graph.add_edge("weigh", END)
    return graph.compile()


def build_graph(crew: Crew, checkpointer: Any = None) -> Any:
    """The compiled graph: faces and scene side by side, then each person, then the record.

    Of a clip, faces are followed first: they and the cuts say which frames show the scene. Beside
    them its words are recognised, if that was asked for. Its moments are read beside its people.
    """
    nodes = PictureNodes(crew)
    graph = StateGraph(State)
    graph.add_node("open_media", nodes.open_media)
    graph.add_node("observe_faces", nodes.observe_faces)
    graph.add_node("describe_scene", nodes.describe_scene)
    graph.add_node("follow_faces", nodes.clips.follow_faces)
    graph.add_edge(START, "open_media")
    graph.add_node("hear_words", HearingNodes(crew).hear_words)
    graph.add_conditional_edges(
        "open_media",
        nodes.after_open,
        ["observe_faces", "describe_scene", "follow_faces", "hear_words"],
    )
    graph.add_edge("follow_faces", "describe_scene")
    graph.add_edge("hear_words", "gather")
    graph.add_edge("observe_faces", "gather")
    graph.add_edge("describe_scene", "gather")
    _then_people(graph, crew, nodes)
    return graph.compile(checkpointer=checkpointer)


def again_graph(crew: Crew) -> Any:
    """People are judged again, by other words or labels, from the faces and scene there are."""
    graph = StateGraph(State)
    graph.add_edge(START, "gather")
    _then_people(graph, crew, PictureNodes(crew))
    return graph.compile()


def _then_people(graph: Any, crew: Crew, nodes: PictureNodes) -> None:
    """From the numbered evidence to the record."""
    # deferred: after a still's two branches as well as after a clip's one
    graph.add_node("gather", nodes.gather, defer=True)
    graph.add_node("code_context", ContextNodes(crew).code_context)
    graph.add_node("cover_faces", nodes.cover_faces)
    graph.add_node("person", person_graph(crew))
    graph.add_node("read_moment", nodes.clips.read_moment)
    graph.add_node("finish", nodes.finish)
    graph.add_edge("gather", "code_context")
    graph.add_edge("code_context", "cover_faces")
    graph.add_conditional_edges("cover_faces", nodes.to_people, ["person", "read_moment", "finish"])
    graph.add_edge("person", "finish")
    graph.add_edge("read_moment", "finish")
    graph.add_edge("finish", END)


def coding_graph(crew: Crew) -> Any:
    """Faces are found and the context is coded; nobody is judged."""
    context = ContextNodes(crew)
    return _faces_then(crew, {"code_context": context.code_context, "people": context.name_people})


def back_graph(crew: Crew, situations: Sequence[Situation]) -> Any:
    """Faces are found and each is weighed against the situations; nobody is judged."""
    context = ContextNodes(crew, situations)
    return _faces_then(crew, {"go_back": context.go_back})


def _faces_then(crew: Crew, steps: Mapping[str, Any]) -> Any:
    """Open, find or follow the faces (and hear), gather, then one step after another, finish."""
    nodes = PictureNodes(crew)
    graph = StateGraph(State)
    graph.add_node("open_media", nodes.open_media)
    graph.add_node("observe_faces", nodes.observe_faces)
    graph.add_node("follow_faces", nodes.clips.follow_faces)
    graph.add_edge(START, "open_media")
    graph.add_conditional_edges(
        "open_media",
        lambda state: [step for step in nodes.after_open(state) if step != "describe_scene"],
        ["observe_faces", "follow_faces", "hear_words"],
    )
    last = "gather"
    graph.add_node(last, nodes.gather, defer=True)
    graph.add_node("hear_words", HearingNodes(crew).hear_words)
    graph.add_edge("hear_words", last)
    graph.add_edge("observe_faces", last)
    graph.add_edge("follow_faces", last)
    for name, step in {**steps, "finish": nodes.finish}.items():
        graph.add_node(name, step)
        graph.add_edge(last, name)
        last = name
    graph.add_edge(last, END)
    return graph.compile()


def draw_mermaid() -> str:
    """Mermaid text of the compiled graph; needs no model."""
    graph = build_graph(crew=None).get_graph(xray=True)  # type: ignore[arg-type]
    text: str = graph.draw_mermaid()
    return text
