"""A model behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, SGLang, or a paid one.

`--model http://127.0.0.1:8000/v1#NAME`. Faces leave this process for that server, so an address
off this machine must be allowed by name (`--allow-remote`). Redirects are not followed.
"""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlsplit

from kuleshov.tools import stopping
from kuleshov.tools.mllm import completions, server_words, top_logprobs, usage
from kuleshov.tools.mllm.base import (
    CannotScoreError,
    Conversation,
    EndpointError,
    Generation,
    ListedScores,
    MllmError,
    MllmInfo,
    ServerRefusedError,
)
from kuleshov.tools.mllm.local.encode import to_rgb
from kuleshov.tools.mllm.server_words import BUSY
from kuleshov.tools.mllm.top_logprobs import first_words
from kuleshov.tools.process import fork_generation

__all__ = ["EndpointError", "EndpointMllm", "Limits", "check_address", "first_words", "is_here"]

JPEG_QUALITY = 95
SMALLER = 4  # a picture that was refused for its size is sent once more with so much fewer pixels
TOP = 20  # most alternatives that OpenAI's interface lists
SECRETS = ("KULESHOV_API_KEY", "OPENAI_API_KEY")
TIMEOUTS = 3  # tries of a request that is not answered in time; the same work is done each time
WHOLE = 10  # times the time limit that an answer may take which keeps coming
BYTES_A_TOKEN = 3  # of text: English has about four, and Chinese three bytes in a letter
PICTURE_TOKENS = 1500  # of a picture of a megapixel: Qwen-VL makes one token of 28×28 pixels
TURN_TOKENS = 8
MOST_BYTES = 8 << 20  # of an answer
ROOM = (0, 2048, 8192)  # tokens for thoughts, beside those of the answer
FORMS = ("json_schema", "json_object", "words")
OPTIONAL = ("seed", "temperature", "stream_options", "stream", "chat_template_kwargs")
NO_THOUGHTS = {"enable_thinking": False}


@dataclass(frozen=True)
class Limits:
    """How a server is asked.

    attempts: requests made for one answer, at most; wait_s: the longest pause between two;
    timeout_s: the longest silence; an answer that keeps coming may take ten times as long;
    proxy: reach another machine through the proxy of the environment;
    picture_pixels: most pixels of a picture that is sent;
    price_in, price_out: for a million tokens, in any currency; None: no cost is told.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    attempts: int = 6
    timeout_s: float = 300.0
    wait_s: float = 60.0
    proxy: bool = False
    picture_pixels: int = 1_048_576
    price_in: float | None = None
    price_out: float | None = None


def is_address(name: str | None) -> bool:
    return name is not None and name.startswith(("http://", "https://"))


def check_address(address: str, *, allow_remote: bool) -> None:
    """Refuse what is no address, and one off this machine that was not allowed.

    Raises:
        MllmError: says what to do.
    """
    parts = urlsplit(address)
    if not parts.hostname:
        shown = address.split("?")[0]
        raise MllmError(f"{shown} is not an address such as http://127.0.0.1:8000/v1#NAME.")
    if parts.username or parts.password or _has_key(parts.query):
        raise MllmError(f"give the key in {SECRETS[0]}, not in the address: it would be recorded.")
    if not allow_remote and not is_here(parts.hostname):
        raise MllmError(
            f"{parts.hostname} is not this machine: faces would leave it; if that is allowed, "
            "say so with --allow-remote."
        )


def _has_key(query: str) -> bool:
    named = re.compile(r"key|token|secret|passw|auth|sig|credential|bearer", re.I)
    return any(
        named.search(name) or value.startswith("sk-")
        for name, value in parse_qsl(query, keep_blank_values=True)
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
        sleep: Callable[[float], None] = stopping.pause,
    ) -> None:
        """Connect, and ask the server which models it has.

        Args:
            address: its base, usually ending in /v1, with the model's name after a #; without
                one, the only model that it offers.
            allow_remote: it may be another machine.
            limits: see `Limits`.
            sleep: how pauses are made; a stop ends them.

        Raises:
            EndpointError: no answer, no such model, or several and none named.
        """
        import httpx

        check_address(address, allow_remote=allow_remote)
        base, name = urldefrag(address)
        base, _, self._query = base.partition("?")
        self.base, self.limits, self.sleep = base.rstrip("/"), limits or Limits(), sleep
        host = urlsplit(base).hostname or ""
        self._key = next((os.environ[k] for k in SECRETS if os.environ.get(k)), None)
        self._connect = partial(
            httpx.Client,
            timeout=httpx.Timeout(self.limits.timeout_s, connect=10.0),
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            # a proxy of the environment would see faces: only where that is asked for
            trust_env=self.limits.proxy and not is_here(host),
            limits=httpx.Limits(max_connections=self.limits.concurrency),
        )
        self.http, self._born = self._connect(), fork_generation()
        slots, self._context = self._slots()
        self.batch = min(self.limits.concurrency, slots or self.limits.concurrency)
        self._gate = threading.BoundedSemaphore(self.batch)
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._json_way = self._room = self._shrunk = 0
        self._top, self._most_word = TOP, "max_tokens"
        self._without: set[str] = set()
        self._thinks, self._switched_off = False, False
        self.name = name or self._only_model()
        self._context = self._context or self._model_length()
        scores = self._try_out()
        caveat = f"read by a model server at {host}: what it runs cannot be checked here"
        if self._switched_off:
            caveat += "; it is asked not to think (enable_thinking = false)"
        elif self._thinks:
            caveat += "; it thinks before it answers, and its thoughts are left out"
        self.info = MllmInfo(
            id=self.name,
            kind="endpoint",
            revision=None,
            device=self.base,
            dtype="as the server has it",
            prompts="full",
            many_images=True,
            scores_labels=scores,
            scores_by="top log-probabilities",
            context_tokens=self._context,
            caveat=caveat,
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
        object, then for plain text, with the schema in words. Thoughts are left out; a model that
        spends all tokens on them is asked again with more.

        Raises:
            EndpointError: the server failed, in one sentence.
        """
        begun = time.perf_counter()
        while True:
            room = self._room
            body = {
                "temperature": temperature,
                "seed": seed,
                "max_tokens": max_new_tokens + ROOM[room],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            answer = self._ask(conversation, body, schema, on_token)
            choice = answer["choices"][0]
            text, thoughts = completions.read_text(choice["message"])
            cut = choice.get("finish_reason") == "length"
            if text.strip() or not (thoughts or cut):
                break
            if room + 1 >= len(ROOM):
                raise EndpointError(
                    f"{self.name} spent {max_new_tokens + ROOM[room]} tokens on thoughts and gave "
                    "no answer."
                )
            self._room = max(self._room, room + 1)  # kept: the next answer needs it too
        if thoughts:
            _note_usage(thoughts="left out")
        if schema is not None:  # some servers take a schema and do not keep to it
            text = server_words.only_json(text, cut)
        return Generation(
            text=text,
            tokens=_whole_number((answer.get("usage") or {}).get("completion_tokens")),
            mean_logprob=None,
            finished=not cut,
            seconds=time.perf_counter() - begun,
        )

    def score(self, conversation: Conversation, answers: Sequence[str]) -> ListedScores:
        """Log-probability, in nats, that the answer begins as each of `answers` does.

        An answer that the server does not list is given the smallest probability that it lists:
        it is at most that. A beginning that fits several answers is followed up by another
        request that goes on from it, where the server can do that.

        Raises:
            CannotScoreError: the server lists no log-probabilities, less than half of the
                probability is on the answers, or beginnings do not tell them apart.
            EndpointError: the server failed.
        """
        if not self.info.scores_labels:
            raise CannotScoreError(f"{self.name} does not list log-probabilities.")
        found = self._listed(conversation)
        if not found:
            raise CannotScoreError(f"{self.name} lists no log-probabilities that can be read.")

        def go_on(start: str) -> list[tuple[str, float]]:
            try:
                return self._listed(conversation, start)
            except ServerRefusedError:
                raise
            except EndpointError as error:
                if error.passing:
                    raise
                return []

        scores = top_logprobs.score_listed(found, answers, go_on, self.name)
        if (meter := usage.current_usage()) is not None:
            meter.note_listed(scores.mass, scores.floored)
        return scores

    def _try_out(self) -> bool:
        """Whether labels can be scored; asked with a tiny picture, which tells if it has eyes.

        Raises:
            ServerRefusedError: it takes no pictures, or refuses everything.
        """
        from PIL import Image

        tiny = Image.new("RGB", (64, 64), (127, 127, 127))
        asked: Conversation = [
            {"role": "user", "content": "Say yes."},
            {"role": "assistant", "content": "yes"},
            {
                "role": "user",
                "content": [{"type": "image", "image": tiny}, {"type": "text", "text": "Again."}],
            },
        ]
        try:
            answer = self._ask_first(asked)
            if answer is not None and completions.is_thinking(answer):
                self._thinks = self._switched_off = True  # the switch is tried
                answer = self._ask_first(asked)
                self._switched_off = answer is not None and not completions.is_thinking(answer)
                if not self._switched_off or "chat_template_kwargs" in self._without:
                    self._switched_off, self._room = False, 1
                    return False
        except EndpointError as error:
            if server_words.is_blind(error.said):
                raise ServerRefusedError(
                    f"the server {self.base} takes no pictures: {error.said}.",
                    status=error.status,
                    said=error.said,
                ) from None
            raise
        return bool(answer is not None and completions.first_list(answer))

    def _listed(self, asked: Conversation, start: str = "") -> list[tuple[str, float]]:
        """The likeliest first tokens and their log-probabilities; none if they are not listed.

        start: the tokens after this beginning of the answer.
        """
        answer = self._ask_first(asked, start)
        return (
            []
            if answer is None or completions.is_thinking(answer)
            else completions.first_list(answer)
        )

    def _ask_first(self, asked: Conversation, start: str = "") -> dict[str, Any] | None:
        """The answer's first token; None where the server refuses to list what is likely."""
        body: dict[str, Any] = {
            "temperature": 0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": TOP,
        }
        if start:
            asked = [*asked, {"role": "assistant", "content": start}]
            # vLLM and SGLang; llama.cpp goes on from an answer by itself
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        try:
            return self._ask(asked, body, None)
        except EndpointError as error:
            if error.passing or "logprob" not in error.said.lower():
                raise
            return None

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

    def count_tokens(self, conversation: Conversation) -> int:
        """An upper estimate: the server's tokenizer is not known. See `Mllm`."""
        total = 0
        for turn in conversation:
            content = turn["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                text = part["type"] == "text"
                size = -(-len(part["text"].encode()) // BYTES_A_TOKEN) if text else PICTURE_TOKENS
                total += size + TURN_TOKENS
        return total

    def _model_length(self) -> int | None:
        """Tokens that the model reads, as vLLM and SGLang tell; None where nothing is told."""
        import httpx

        try:
            told = self.http.get(f"{self.base}/models", timeout=min(5.0, self.limits.timeout_s))
            models = [model for model in told.json()["data"] if model["id"] == self.name]
            length = models[0]["max_model_len"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError):
            return None
        return length if isinstance(length, int) and length >= 1 else None

    def _slots(self) -> tuple[int | None, int | None]:
        """How many requests llama.cpp answers at once, and how many tokens it reads in each.

        None where the server does not tell.
        """
        import httpx

        root = self.base.removesuffix("/v1")
        try:
            told = self.http.get(f"{root}/props", timeout=min(5.0, self.limits.timeout_s)).json()
            slots = told["total_slots"]
            length = told.get("default_generation_settings", {}).get("n_ctx")
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return None, None
        slots, length = (n if isinstance(n, int) and n >= 1 else None for n in (slots, length))
        return slots, length

    def _ask(
        self,
        conversation: Conversation,
        body: dict[str, Any],
        schema: dict[str, Any] | None,
        on_token: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """One answer; what the server does not know of a request is left out of the next.

        Raises:
            EndpointError: also where the server refuses or filters the answer.
        """
        while True:
            way, shrunk = self._json_way if schema is not None else 0, self._shrunk
            sent = self._request_body(conversation, body, schema, way, shrunk)
            try:
                answer, retries = self._request("POST", "/chat/completions", sent, on_token)
            except EndpointError as error:
                if not self._adapt(error, sent, way, shrunk):
                    raise
                continue
            self._count(answer, retries)
            if schema is not None:
                _note_usage(answer_form=FORMS[way])
            if self._without:
                _note_usage(left_out=sorted(self._without))
            self._check_refusal(answer["choices"][0])
            return answer

    def _connected(self) -> Any:
        """The client; in a forked process a new one, or answers would come to the wrong process."""
        if self._born != fork_generation():
            self.http, self._born = self._connect(), fork_generation()
        return self.http

    def _request_body(
        self,
        conversation: Conversation,
        body: dict[str, Any],
        schema: dict[str, Any] | None,
        way: int,
        shrunk: int,
    ) -> dict[str, Any]:
        pixels = self.limits.picture_pixels // (SMALLER if shrunk else 1)
        asked = chat_messages(conversation, pixels)
        sent: dict[str, Any] = {"model": self.name, "messages": asked, **body}
        if self._switched_off:
            sent["chat_template_kwargs"] = NO_THOUGHTS
        if schema is not None and way == 0:
            named = {"name": "answer", "schema": schema, "strict": True}
            sent["response_format"] = {"type": "json_schema", "json_schema": named}
        elif schema is not None:
            if way == 1:
                sent["response_format"] = {"type": "json_object"}
            told = f"Answer with one JSON object only, by this JSON schema: {json.dumps(schema)}"
            before = asked[-1]["content"]
            if isinstance(before, str):
                before = [{"type": "text", "text": before}]
            asked[-1]["content"] = [*before, {"type": "text", "text": told}]
        if "top_logprobs" in sent:
            sent["top_logprobs"] = min(TOP, self._top)
        for word in self._without:
            sent.pop(word, None)
        if "stream" not in sent:
            sent.pop("stream_options", None)
        if self._most_word != "max_tokens":
            sent[self._most_word] = sent.pop("max_tokens")
        return sent

    def _adapt(self, error: EndpointError, sent: dict[str, Any], way: int, shrunk: int) -> bool:
        """Whether the request may be sent again in another form; that is kept for all others."""
        said = error.said.lower()
        if error.passing or error.status in (401, 402, 429):
            return False
        if error.status == 413:
            if shrunk or not any(_sent_pictures(sent)):
                return False
            self._shrunk = 1
            _note_usage(pictures_smaller=f"the server answered 413: {error.said}")
            return True
        if "max_tokens" in sent and "max_completion_tokens" in said:
            self._most_word = "max_completion_tokens"
            self._room = max(self._room, 1)  # such models think, and that counts
            return True
        if "top_logprobs" in sent and "logprob" in said:
            asked = sent["top_logprobs"]
            fewer = [int(n) for n in re.findall(r"\b\d+\b", said) if 1 < int(n) < asked]
            if fewer:
                self._top = min(self._top, max(fewer))
            return bool(fewer)
        for word in OPTIONAL:
            if word in sent and re.search(rf"\b{word}(?![a-z])", said):
                self._without.add(word)
                return True
        spoken = r"response_format|grammar|json|schema|required for format|structured|guided"
        if "response_format" in sent and re.search(spoken, said):
            self._json_way = max(self._json_way, way + 1)
            return True
        return False

    def _check_refusal(self, choice: dict[str, Any]) -> None:
        """Raises EndpointError where the server refused or filtered this answer, in its words."""
        refusal = choice["message"].get("refusal")
        if isinstance(refusal, str) and refusal.strip():
            said = server_words.find_sentence(refusal)
            raise EndpointError(f"{self.name} refuses to answer: {said}.", said=said)
        if choice.get("finish_reason") == "content_filter":
            raise EndpointError(
                f"the server {self.base} filtered the answer (content_filter).",
                said="content_filter",
            )

    def _request(
        self,
        verb: str,
        path: str,
        body: Any,
        on_token: Callable[[str], None] | None = None,
    ) -> tuple[dict[str, Any], int]:
        """A JSON answer and how many tries it took beyond the first."""
        import httpx

        why, tries, vain = "", 0, 0
        while tries < self.limits.attempts:
            pause: float | None = None
            tries += 1
            with self._gate:
                self._await_turn()
                try:
                    status, told, headers = stopping.run_apart(
                        partial(self._exchange, verb, path, body, on_token)
                    )
                    if status == 200:
                        return told, tries - 1
                    why = self._refusal(status, told)
                    pause = _retry_after(headers)
                except httpx.TimeoutException:
                    why = f"did not answer within {self.limits.timeout_s:g} s"
                    vain += 1
                except httpx.DecodingError:
                    why = "answered with what cannot be unpacked"
                    vain += 1  # a server that packs wrongly does so again
                except httpx.TransportError as error:
                    why = f"cannot be reached: {_first_sentence(error)}"
                except ValueError as error:
                    why = f"answered with {error}"
            if vain >= TIMEOUTS:
                break
            if tries < self.limits.attempts:
                self._back_off(tries - 1, pause)
        raise EndpointError(f"the server {self.base} {why} ({tries} tries).", passing=True)

    def _exchange(
        self, verb: str, path: str, body: Any, on_token: Callable[[str], None] | None
    ) -> tuple[int, Any, Any]:
        """Status, what was said, headers. Of a 200 the answer; else the server's sentence.

        Raises:
            ValueError: what came is not an answer; says what it is.
            httpx.RequestError: nothing came, or not in time.
        """
        url = self.base + path + (f"?{self._query}" if self._query else "")
        with self._connected().stream(verb, url, json=body) as answer:
            pieces = self._pieces(answer)
            if answer.status_code != 200:
                text = b"".join(pieces).decode(errors="replace")
                return (
                    answer.status_code,
                    self._masked(server_words.find_sentence(text)),
                    (answer.headers),
                )
            streamed = "event-stream" in answer.headers.get("content-type", "")
            if streamed:
                most = body.get("max_tokens") or body.get("max_completion_tokens") or 0
                told = completions.assemble_stream(pieces, on_token, most)
            else:
                told = completions.join_pieces(pieces)
        if path != "/chat/completions":
            return 200, told, answer.headers
        if isinstance(told, dict) and told.get("error") and not told.get("choices"):
            return (
                completions.status_of(told["error"]),
                self._masked(server_words.find_sentence(json.dumps(told))),
                answer.headers,
            )
        completions.check_completion(told, body)
        if on_token is not None and not streamed:
            on_token(completions.read_text(told["choices"][0]["message"])[0])
        return 200, told, answer.headers

    def _pieces(self, answer: Any) -> Iterator[bytes]:
        """The bytes of an answer as they come; bounded in size and time."""
        import httpx

        end, size = time.monotonic() + WHOLE * self.limits.timeout_s, 0
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES >> 20} MB, which is no answer")
            if time.monotonic() > end:
                raise httpx.ReadTimeout("the answer does not end")
            yield piece

    def _masked(self, said: str) -> str:
        """The server's words without the key, which some repeat."""
        if self._key:
            said = said.replace(self._key, "***")
        return re.sub(r"\bsk-[\w*-]{6,}", "sk-***", said)

    def _refusal(self, code: int, said: str) -> str:
        """Why a server that is busy failed. Raises EndpointError where trying again is no use."""
        facts: dict[str, Any] = {"status": code, "said": said}
        words = f"{said and ': '}{said}"
        cannot = r"grammar|response_format|required for format|schema|not support|mmproj"
        final = code not in BUSY or (code >= 500 and re.search(cannot, said, re.I))
        whole = server_words.concerns_server(code, said)
        if not final and not whole:
            return f"answered {code}{words}"
        if code == 401:
            raise ServerRefusedError(
                f"the server {self.base} refuses the key ({code}{words}): set {SECRETS[0]}.",
                **facts,
            )
        if 300 <= code < 400:
            raise ServerRefusedError(
                f"the server {self.base} points to another address ({code}), which is not "
                "followed; give that address.",
                **facts,
            )
        kind = ServerRefusedError if whole else EndpointError
        raise kind(f"the server {self.base} answered {code}{words}.", **facts)

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
        meter = usage.current_usage()
        if meter is None:
            return
        told = answer.get("usage") or {}
        read, wrote = (
            _whole_number(told.get(name)) for name in ("prompt_tokens", "completion_tokens")
        )
        prices = (self.limits.price_in, self.limits.price_out)
        cost = None
        if prices[0] is not None and prices[1] is not None:
            cost = (read * prices[0] + wrote * prices[1]) / 1e6
        meter.add(retries=retries, tokens_in=read, tokens_out=wrote, cost=cost)


# ---------------------------------------------------------------------------------- forms


def chat_messages(conversation: Conversation, pixels: int) -> list[dict[str, Any]]:
    """A conversation in OpenAI's form; pictures as JPEG data of at most so many pixels."""
    made = []
    for turn in conversation:
        content = turn["content"]
        if isinstance(content, str):
            made.append({"role": turn["role"], "content": content})
            continue
        parts = [
            {"type": "text", "text": part["text"]}
            if part["type"] == "text"
            else {"type": "image_url", "image_url": {"url": _image_data(part["image"], pixels)}}
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


def _image_data(picture: Any, pixels: int) -> str:
    image = to_rgb(picture)
    had = image.size
    if had[0] * had[1] > pixels:
        scale = (pixels / (had[0] * had[1])) ** 0.5
        image = image.resize((max(1, int(had[0] * scale)), max(1, int(had[1] * scale))))
    if (meter := usage.current_usage()) is not None:
        meter.note_picture(image.size, had)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _sent_pictures(sent: dict[str, Any]) -> Iterator[Any]:
    for turn in sent["messages"]:
        if isinstance(turn["content"], list):
            yield from (part for part in turn["content"] if part["type"] == "image_url")


def _note_usage(**facts: Any) -> None:
    if (meter := usage.current_usage()) is not None:
        meter.note(**facts)


def _whole_number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait, from a number or a date."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
