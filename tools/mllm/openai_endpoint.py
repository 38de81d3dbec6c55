"""A model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, SGLang, or a paid one.

`--model http://127.0.0.1:8000/v1#NAME`. Faces leave this process for that server, so an address
off this machine must be allowed by name (`--allow-remote`). Redirects are not followed.
"""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urldefrag, urlsplit

from kuleshov.tools.mllm import usage
from kuleshov.tools.mllm.base import (
    CannotScoreError,
    Conversation,
    Generation,
    MllmError,
    MllmInfo,
)
from kuleshov.tools.mllm.encode import rgb
from kuleshov.tools.process import generation

JPEG_QUALITY = 95
TOP = 20  # most alternatives that OpenAI's interface lists
BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
SECRETS = ("KULESHOV_API_KEY", "OPENAI_API_KEY")


class EndpointError(MllmError):
    """A server that does not answer, or refuses. `passing`: it may answer another time."""

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True)
class Limits:
    """How a server is asked.

    attempts: requests made for one answer, at most; wait_s: the longest pause between two;
    price_in, price_out: for a million tokens, in any currency; None: no cost is told.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    attempts: int = 6
    timeout_s: float = 120.0
    wait_s: float = 60.0
    price_in: float | None = None
    price_out: float | None = None


def is_address(name: str | None) -> bool:
    return name is not None and name.startswith(("http://", "https://"))


def check(address: str, *, allow_remote: bool) -> None:
    """Refuse what is no address, and one off this machine that was not allowed.

    Raises:
        MllmError: says what to do.
    """
    parts = urlsplit(address)
    if not parts.hostname:
        raise MllmError(f"{address} is not an address such as http://127.0.0.1:8000/v1#NAME.")
    if parts.username or parts.password:
        raise MllmError(f"give the key in {SECRETS[0]}, not in the address: it would be recorded.")
    if not allow_remote and not is_here(parts.hostname):
        raise MllmError(
            f"{parts.hostname} is not this machine: faces would leave it; if that is allowed, "
            "say so with --allow-remote."
        )


def is_here(host: str) -> bool:
    """Whether a host name is this machine for certain; names are not looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class EndpointMllm:
    """A model behind a server; call it from as many threads as you like.

    Labels are scored by the log-probabilities that the server lists for the first word of an
    answer, if it lists them: it is asked once, without a picture. If not, `info.scores_labels` is
    False, and the caller asks for stated numbers instead.
    """

    def __init__(
        self,
        address: str,
        *,
        allow_remote: bool = False,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect, and ask the server which models it has.

        Args:
            address: its base, usually ending in /v1, with the model's name after a #; without
                one, the only model that it offers.
            allow_remote: it may be another machine.
            limits: see `Limits`.
            sleep: how pauses are made.

        Raises:
            EndpointError: no answer, no such model, or several and none named.
        """
        import httpx

        check(address, allow_remote=allow_remote)
        base, name = urldefrag(address)
        self.base, self.limits, self.sleep = base.rstrip("/"), limits or Limits(), sleep
        host = urlsplit(base).hostname or ""
        key = next((os.environ[k] for k in SECRETS if os.environ.get(k)), None)
        self._connect = partial(
            httpx.Client,
            timeout=httpx.Timeout(self.limits.timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # a proxy of the environment would carry faces off this machine
            trust_env=not is_here(host),
            limits=httpx.Limits(max_connections=self.limits.concurrency),
        )
        self.http, self._born = self._connect(), generation()
        self.batch = self.limits.concurrency
        self._gate = threading.BoundedSemaphore(self.limits.concurrency)
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._json_way = 0
        self._most_word = "max_tokens"
        self.name = name or self._only_model()
        self.info = MllmInfo(
            id=self.name,
            kind="endpoint",
            revision=None,
            device=self.base,
            dtype="as the server has it",
            prompts="full",
            many_images=True,
            scores_labels=self._lists_logprobs(),
            scores_by="top log-probabilities",
            caveat=f"read by a model server at {host}: what it runs cannot be checked here",
        )

    # ------------------------------------------------------------------------ what the agent asks

    def generate(
        self,
        conversation: Conversation,
        *,
        schema: dict[str, Any] | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int = 0,
        on_token: Callable[[str], None] | None = None,
    ) -> Generation:
        """Answer the last user turn; see `Mllm.generate`.

        A schema is asked for as such; a server that does not know that is asked for any JSON
        object, then for plain text. The pieces given to `on_token` are one.

        Raises:
            EndpointError: the server failed, in one sentence.
        """
        begun = time.perf_counter()
        body = {
            "messages": messages(conversation),
            "temperature": temperature,
            "seed": seed,
            "max_tokens": max_new_tokens,
        }
        answer = self._ask(body, schema)
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        if on_token is not None:
            on_token(text)
        return Generation(
            text=text,
            tokens=int((answer.get("usage") or {}).get("completion_tokens") or 0),
            mean_logprob=None,
            finished=choice.get("finish_reason") != "length",
            seconds=time.perf_counter() - begun,
        )

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        """Log-probability, in nats, that the answer begins as each of `answers` does.

        An answer that the server does not list is given the smallest probability that it lists:
        it is at most that. A beginning that fits several answers counts for none of them.

        Raises:
            CannotScoreError: the server lists no log-probabilities, or none of the answers.
            EndpointError: the server failed.
        """
        if not self.info.scores_labels:
            raise CannotScoreError(f"{self.name} does not list log-probabilities.")
        found = self._listed(messages(conversation))
        logs = first_words(found, answers)
        if all(log is None for log in logs):
            raise CannotScoreError(
                f"{self.name} lists none of {', '.join(answers)} as the first word."
            )
        least = min(log for _, log in found)
        return [least if log is None else log for log in logs]

    def _lists_logprobs(self) -> bool:
        question = [{"role": "user", "content": "Say yes."}]
        return bool(self._listed(question))

    def _listed(self, asked: list[dict[str, Any]]) -> list[tuple[str, float]]:
        """The likeliest first tokens and their log-probabilities; none if they are not listed."""
        body = {
            "messages": asked,
            "temperature": 0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": TOP,
        }
        try:
            answer = self._ask(body, None)
            listed = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            return [(str(item["token"]), float(item["logprob"])) for item in listed]
        except EndpointError as error:
            if error.passing or "logprob" not in str(error).lower():
                raise
        except (KeyError, IndexError, TypeError, ValueError):
            pass
        return []

    # ------------------------------------------------------------------------ requests

    def _only_model(self) -> str:
        told = self._request("GET", "/models", None)[0]
        try:
            names = [str(model["id"]) for model in told["data"]]
        except (KeyError, TypeError):
            raise EndpointError(
                f"{self.base} does not say which models it has; name one after a #."
            ) from None
        if len(names) != 1:
            raise EndpointError(
                f"{self.base} has {len(names)} models; name one after a #"
                f"{': ' + ', '.join(names[:8]) if names else ''}."
            )
        return names[0]

    def _ask(self, body: dict[str, Any], schema: dict[str, Any] | None) -> dict[str, Any]:
        """One answer; what the server does not know of a request is left out of the next."""
        while True:
            sent: dict[str, Any] = {"model": self.name, **body}
            if self._most_word != "max_tokens":
                sent[self._most_word] = sent.pop("max_tokens")
            way = self._json_way
            if schema is not None and way < 2:
                named = {"name": "answer", "schema": schema, "strict": True}
                sent["response_format"] = (
                    {"type": "json_schema", "json_schema": named}
                    if way == 0
                    else {"type": "json_object"}
                )
            try:
                answer, retries = self._request("POST", "/chat/completions", sent)
            except EndpointError as error:
                said = str(error)
                if not error.passing and "response_format" in sent and "response_format" in said:
                    self._json_way = way + 1
                elif (
                    not error.passing
                    and self._most_word == "max_tokens"
                    and "max_completion_tokens" in said
                ):
                    self._most_word = "max_completion_tokens"
                else:
                    raise
                continue
            self._count(answer, retries)
            return answer

    def _connected(self) -> Any:
        """The client; in a forked process a new one, or answers would come to the wrong process."""
        if self._born != generation():
            self.http, self._born = self._connect(), generation()
        return self.http

    def _request(self, verb: str, path: str, body: Any) -> tuple[dict[str, Any], int]:
        """A JSON answer and how many tries it took beyond the first."""
        import httpx

        why = ""
        for attempt in range(self.limits.attempts):
            pause: float | None = None
            with self._gate:
                self._await_turn()
                try:
                    answer = self._connected().request(verb, self.base + path, json=body)
                    if answer.status_code == 200:
                        told = answer.json()
                        if path == "/chat/completions":
                            _checked(told)
                        return told, attempt
                    why = self._refusal(answer)
                    pause = _retry_after(answer)
                except httpx.TimeoutException:
                    why = f"did not answer within {self.limits.timeout_s:g} s"
                except httpx.TransportError as error:
                    why = f"cannot be reached: {_first(error)}"
                except ValueError:
                    why = "answered with what is not a chat completion in JSON"
            if attempt + 1 < self.limits.attempts:
                self._back_off(attempt, pause)
        raise EndpointError(
            f"the server {self.base} {why} ({self.limits.attempts} tries).", passing=True
        )

    def _refusal(self, answer: Any) -> str:
        """Why a server that is busy failed. Raises EndpointError where trying again is no use."""
        code, said = answer.status_code, _message(answer)
        if code in BUSY:
            return f"answered {code}{said and ': '}{said}"
        if code in (401, 403):
            raise EndpointError(
                f"the server {self.base} refuses the key ({code}): set {SECRETS[0]}."
            )
        if 300 <= code < 400:
            raise EndpointError(
                f"the server {self.base} points to another address ({code}), which is not "
                "followed; give that address."
            )
        raise EndpointError(f"the server {self.base} answered {code}{said and ': '}{said}.")

    def _back_off(self, attempt: int, pause: float | None) -> None:
        longest = self.limits.wait_s
        if pause is not None:  # the server says when: that holds for all requests
            pause = min(pause, longest)
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + pause)
        else:
            # exponential with full jitter
            pause = random.uniform(0.05, min(longest, 0.5 * 2**attempt))
        self.sleep(pause)

    def _await_turn(self) -> None:
        """Wait for the pause that the server asked for, and for the rate that was set."""
        rate = self.limits.requests_per_minute
        with self._lock:
            now = time.monotonic()
            at = max(now, self._not_before)
            if rate:
                self._not_before = at + 60 / rate
        if at > now:
            self.sleep(at - now)

    def _count(self, answer: dict[str, Any], retries: int) -> None:
        meter = usage.current()
        if meter is None:
            return
        told = answer.get("usage") or {}
        read, wrote = (int(told.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
        prices = (self.limits.price_in, self.limits.price_out)
        cost = None
        if prices[0] is not None and prices[1] is not None:
            cost = (read * prices[0] + wrote * prices[1]) / 1e6
        meter.add(retries=retries, tokens_in=read, tokens_out=wrote, cost=cost)


# ---------------------------------------------------------------------------------- forms


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """A conversation in OpenAI's form; pictures as JPEG data."""
    made = []
    for turn in conversation:
        content = turn["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        parts = [
            {"type": "text", "text": part["text"]}
            if part["type"] == "text"
            else {"type": "image_url", "image_url": {"url": _data(part["image"])}}
            for part in content
        ]
        alone = turn["role"] != "user" and all(part["type"] == "text" for part in parts)
        made.append(
            {
                "role": turn["role"],
                "content": "\n".join(str(part["text"]) for part in parts) if alone else parts,
            }
        )
    return made


def _data(picture: Any) -> str:
    file = io.BytesIO()
    rgb(picture).save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def first_words(listed: Sequence[tuple[str, float]], answers: Sequence[str]) -> list[float | None]:
    """Log-probability that the first token begins each answer; None where none listed does.

    Capitals and a leading blank do not count; a token that begins several answers, none of which
    it spells out, is left out.
    """
    sums: list[float] = [0.0] * len(answers)
    for token, log in listed:
        start = token.strip().strip('"').lower()
        if not start:
            continue
        fits = [i for i, answer in enumerate(answers) if answer.lower().startswith(start)]
        exact = [i for i in fits if answers[i].lower() == start]
        fits = exact or fits
        if len(fits) == 1:
            sums[fits[0]] += math.exp(log)
    return [math.log(total) if total > 0 else None for total in sums]


def _checked(told: Any) -> None:
    """Raises ValueError unless it is a chat completion with text."""
    try:
        choice = told["choices"][0]
        if not isinstance(choice["message"]["content"], str):
            raise TypeError
    except (KeyError, IndexError, TypeError):
        raise ValueError("not a chat completion") from None


def _message(answer: Any) -> str:
    try:
        told = answer.json()
        error = told.get("error", told) if isinstance(told, dict) else told
        said = error.get("message", "") if isinstance(error, dict) else error
    except (ValueError, json.JSONDecodeError):
        said = ""
    lines = str(said).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else ""


def _retry_after(answer: Any) -> float | None:
    """Seconds that the server asks to wait, from a number or a date."""
    value = answer.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
