"""A real HTTP server that speaks OpenAI's chat completions, and fails when it is told to."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

SCENE = {
    "description": "Friends on a beach.",
    "setting": "beach",
    "activity": "posing",
    "people": "two friends",
    "people_present": True,
    "objects": ["ball"],
    "mood_words": ["calm"],
}


class ModelServer:
    """Serves on a free port while in use as a context manager.

    script(number of the chat request, its body) says what goes wrong: None: nothing; an int: that
    status; (status, headers, text); "cut": the connection ends in mid-answer; "slow": it takes
    half a second longer than a client of 0.3 s waits; "html": a page in place of JSON; "empty": no
    text in the answer. logprobs: whether they are listed, or "refused"; top: the tokens listed for
    a request; probe: as script, for the question at the beginning; props: what /props says.
    """

    def __init__(
        self,
        script: Callable[[int, dict], Any] | None = None,
        *,
        logprobs: bool | str = True,
        models: tuple[str, ...] = ("tiny-vl",),
        top: Callable[[dict], list[tuple[str, float]]] | None = None,
        probe: Callable[[dict], Any] | None = None,
        props: dict | None = None,
    ) -> None:
        self.top, self.probe, self.props = top, probe, props
        self.script, self.logprobs, self.models = script, logprobs, models
        self.bodies: list[dict] = []
        self.headers: list[dict] = []
        self.times: list[float] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    def __enter__(self) -> ModelServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                if self.path == "/props" and outer.props is not None:
                    return self.reply(200, json.dumps(outer.props))
                if self.path == "/props":
                    return self.reply(404, "")
                return self.reply(
                    200, json.dumps({"data": [{"id": name} for name in outer.models]})
                )

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if body["messages"][0]["content"] == "Say yes.":  # asked once, at the beginning
                    outer.answer(self, -1, body)
                    return
                with outer.lock:
                    number = len(outer.bodies)
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                    outer.times.append(time.monotonic())
                    outer.busy += 1
                    outer.most_busy = max(outer.most_busy, outer.busy)
                try:
                    outer.answer(self, number, body)
                finally:
                    with outer.lock:
                        outer.busy -= 1

            def reply(self, status: int, text: str, headers: dict | None = None) -> None:
                data = text.encode()
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        return self

    def seen_keys(self) -> set[str]:
        """Whatever came as authorization with requests to chat."""
        found = [{name.lower(): value for name, value in one.items()} for one in self.headers]
        return {one["authorization"] for one in found if "authorization" in one}

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def answer(self, handler: Any, number: int, body: dict) -> None:
        if body.get("logprobs") and self.logprobs == "refused":
            said = {"error": {"message": "logprobs is not supported"}}
            return handler.reply(400, json.dumps(said))
        wrong = self.script(number, body) if self.script and number >= 0 else None
        if number < 0 and self.probe is not None:
            wrong = self.probe(body)
        if isinstance(wrong, int):
            wrong = (wrong, {}, json.dumps({"error": {"message": f"told to say {wrong}"}}))
        if isinstance(wrong, tuple):
            status, headers, text = wrong
            return handler.reply(status, text, headers)
        if wrong == "cut":
            handler.send_response(200)
            handler.send_header("content-length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return None
        if wrong == "slow":
            time.sleep(0.8)
        if wrong == "html":
            return handler.reply(200, "<html>busy</html>")
        content = None if wrong == "empty" else self.text(body)
        choice: dict[str, Any] = {"message": {"content": content}, "finish_reason": "stop"}
        if body.get("logprobs") and self.logprobs:
            top = [("Happ", -0.4), ("sad", -1.5), (" neutral", -2.5), ("s", -3.0), ("!", -5.0)]
            top = self.top(body) if self.top is not None else top
            listed = [{"token": token, "logprob": log} for token, log in top]
            choice["logprobs"] = {"content": [{"top_logprobs": listed}]}
        usage = {"prompt_tokens": 100, "completion_tokens": 10}
        return handler.reply(200, json.dumps({"choices": [choice], "usage": usage}))

    def text(self, body: dict) -> str:
        """An answer to what is asked, after looking at the pictures."""
        asked = body["messages"][-1]["content"]
        for part in asked if isinstance(asked, list) else []:
            if part["type"] == "image_url":
                data = part["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
                Image.open(io.BytesIO(base64.b64decode(data))).load()
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        wanted = list(schema.get("properties", {}))
        if "description" in wanted:
            return json.dumps(SCENE)
        if "cues" in wanted:
            cue = {"evidence": 1, "text": "a smile"}
            told = dict.fromkeys(wanted, "Said in few words.")
            return json.dumps({**told, "cues": [cue]})
        if wanted:
            return json.dumps({name: 60 if name == "fear" else 10 for name in wanted})
        return "happiness"
