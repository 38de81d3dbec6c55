"""Answers of a model server: chat completions, whole or as a stream of events, into one form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from kuleshov.tools.mllm import server_words, top_logprobs

# how OpenAI, Anthropic and Google name what other servers number
NAMED = {
    "invalid_api_key": 401, "authentication_error": 401, "unauthenticated": 401,
    "insufficient_quota": 402, "billing_error": 402, "permission_error": 403,
    "permission_denied": 403, "model_not_found": 404, "not_found_error": 404, "not_found": 404,
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "resource_exhausted": 429,
    "overloaded_error": 529, "unavailable": 503,
}  # fmt: skip
MOST_LETTERS = 40  # of an answer for each token that was asked for: it does not end by itself


def read_text(message: dict[str, Any]) -> tuple[str, bool]:
    """The answer without thoughts, and whether there were any."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    text = content if isinstance(content, str) else ""
    apart = any(message.get(name) for name in ("reasoning_content", "reasoning"))
    if server_words.has_thoughts(text):
        return server_words.without_thoughts(text), True
    return text, apart


def is_thinking(answer: dict[str, Any]) -> bool:
    """Whether an answer begins with thoughts."""
    choice = answer["choices"][0]
    listed = first_list(answer)
    likeliest = max(listed, key=lambda item: item[1])[0] if listed else ""
    opens = likeliest.strip() == "<|channel|>" or server_words.has_thoughts(likeliest)
    return opens or read_text(choice["message"])[1]


def first_list(answer: dict[str, Any]) -> list[tuple[str, float]]:
    """The likeliest first tokens and their log-probabilities; none where they are not listed."""
    try:
        listed = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError):
        return []
    return top_logprobs.read_list(listed)


def check_completion(told: Any, body: Any) -> None:
    """Raises ValueError unless it is a chat completion with something in it."""
    wrong = ValueError("what is not a chat completion in JSON")
    try:
        choice = told["choices"][0]
        message = choice["message"]
        if not isinstance(message, dict):
            raise wrong
    except (KeyError, IndexError, TypeError):
        raise wrong from None
    content = message.get("content")
    if isinstance(content, (str, list)) or message.get("refusal") or body.get("logprobs"):
        return
    ended = choice.get("finish_reason") in ("length", "content_filter")
    if not ended and not read_text(message)[1]:
        raise wrong


def status_of(error: Any) -> int:
    """The status that an error in an answer with 200 stands for; 400 where it says none."""
    told = (
        [error.get(name) for name in ("code", "status", "type")] if isinstance(error, dict) else []
    )
    for code in told:
        if isinstance(code, str):
            code = int(code) if code.isascii() and code.isdigit() else NAMED.get(code.lower())
        if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
            return code
    return 400


def join_pieces(pieces: Iterator[bytes]) -> Any:
    """What a whole answer holds. Raises ValueError: it is not JSON."""
    data = b"".join(pieces)
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("what is not a chat completion in JSON") from None


def assemble_stream(
    pieces: Iterator[bytes], on_token: Callable[[str], None] | None, most: int
) -> dict[str, Any]:
    """A chat completion from the events of a stream; `most`: tokens that were asked for.

    Raises:
        ValueError: it ends in the middle, or is no stream of completions.
    """
    message: dict[str, Any] = {"content": None}
    told: dict[str, Any] = {"choices": [{"message": message, "finish_reason": None}]}
    choice, shown, ended = told["choices"][0], "", False
    for line in _stream_lines(pieces):
        if not line.startswith("data:"):
            continue
        data = line[5:].strip()
        if data == "[DONE]":
            ended = True
            break
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            raise ValueError("a stream that cannot be read") from None
        if not isinstance(event, dict):
            raise ValueError("a stream that cannot be read")
        if event.get("error"):
            return {"error": event["error"]}
        if isinstance(event.get("usage"), dict):
            told["usage"] = event["usage"]
        for one in (event.get("choices") or [])[:1]:
            delta = one.get("delta") or {}
            for name in ("content", "refusal", "reasoning_content", "reasoning"):
                if isinstance(delta.get(name), str):
                    message[name] = (message.get(name) or "") + delta[name]
            choice["finish_reason"] = one.get("finish_reason") or choice["finish_reason"]
        text = message["content"] or ""
        if on_token is not None:
            marked = "<" in text[:40] or text[:1] in ("[", "◁") or server_words.has_thoughts(text)
            seen = read_text(message)[0] if marked else text
            fresh = seen[len(shown) :] if seen.startswith(shown) else ""
            shown += fresh
            on_token(fresh)  # also without words: whoever listens may stop here
        if most and len(text) > MOST_LETTERS * most:
            choice["finish_reason"], ended = "length", True
            break
    if not ended and not choice["finish_reason"]:
        raise ValueError("an answer that breaks off")
    return told


def _stream_lines(pieces: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").strip()
    if rest:
        yield rest.decode(errors="replace").strip()
