"""What the page and the HTTP API share: the agent, the line, the folders, the visits."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment

from kuleshov.agent import Agent
from kuleshov.apps.web.browser_sessions import Visits
from kuleshov.apps.web.gallery import Gallery
from kuleshov.apps.web.job_queue import LONGEST_S, JobQueue
from kuleshov.apps.web.jobs import Jobs
from kuleshov.apps.web.open_readings import Open
from kuleshov.apps.web.readings import Agents
from kuleshov.apps.web.uploads import Folders
from kuleshov.output import report

UPLOADS = 32  # times the largest upload: what all uploads together may hold


@dataclass(frozen=True)
class Serving:
    """How the server is run."""

    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"})
    credentials: Mapping[str, str] = field(default_factory=dict)
    max_upload_bytes: int = 64_000_000
    idle_s: float = 3600.0
    shared: bool = False
    max_pixels: int = 25_000_000  # of a picture or a clip's frame
    max_people: int = 20  # read in one request, found or named by boxes
    longest_s: float = LONGEST_S  # of one reading
    proxy: str | None = None  # address of the reverse proxy that everybody comes through


class House:
    """One server's parts."""

    def __init__(self, agent: Agent, gallery: Gallery, serving: Serving) -> None:
        settings = agent.settings
        limits = {
            "max_pixels": min(serving.max_pixels, settings.max_pixels),
            "max_people": min(serving.max_people, settings.max_people),
        }
        if any(getattr(settings, name) != value for name, value in limits.items()):
            agent = agent.with_settings(**limits)
        self.agents = Agents(agent)
        self.gallery, self.serving = gallery, serving
        self.line = JobQueue(serving.longest_s)
        self.folders = Folders(serving.max_upload_bytes, UPLOADS * serving.max_upload_bytes)
        self.open = Open()
        self.visits = Visits(self.folders, self.line, serving.idle_s, self.open.close)
        self.jobs = Jobs(self.agents, self.line, self.folders)
        self.templates: Environment = report.page_environment(
            str(files("kuleshov.apps.web") / "templates")
        )
        self.start = secrets.token_urlsafe(8)  # tells pages that a server was started anew

    @property
    def facts(self) -> dict[str, Any]:
        """What reads: model, face tool, labels, and the limits that they state themselves."""
        agent = self.agents.first
        model, faces = agent.crew.mllm.info, agent.crew.faces.info
        return {
            "model": model.id,
            "faces": f"{faces.name} {faces.version}",
            "labels": agent.crew.labels.name,
            "fusion": agent.crew.fusion,
            "caveats": list(dict.fromkeys(c for c in (model.caveat, faces.caveat) if c)),
            "elsewhere": agent.settings.allow_remote,
        }

    def close(self) -> None:
        self.visits.close()
        self.line.close()
        self.folders.close()
