"""What a model server says: its own sentence, whom a refusal concerns, thoughts and answers."""

from __future__ import annotations

import html
import json
import re
from typing import Any

BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST = 300  # characters of a server's sentence that are shown

_ITEM = re.compile(
    r"flagged|moderation|content.?(policy|filter|management)|safety|inappropriate|\bcontext\b|"
    r"too (long|large|many)|logprob",
    re.I,
)
_ACCOUNT = re.compile(
    r"insufficient.{0,3}(quota|credit|balance|funds)|credit balance|exceeded your current quota|"
    r"billing|payment required|(api.?key|token) .{0,40}(invalid|expired|incorrect|not valid)|"
    r"(invalid|incorrect|expired|missing).{0,20}(api.?key|credential|token provided)|"
    r"model\b.{0,80}(not found|does not exist|not exist|unloaded|not loaded|not supported|"
    r"no longer|deprecated|decommissioned)|no models? (is |are )?loaded|load a model|"
    r"unknown model|account .{0,30}(deactivated|disabled|suspended|not active)",
    re.I,
)
_BLIND = re.compile(
    r"(image|vision|multimodal|mmproj|image_url).{0,80}(not support|unsupported|not available|"
    r"cannot|can't|invalid|not (a|enabled)|must be (a )?string|not allowed|no endpoints)|"
    r"(not support|unsupported|no endpoints|not a (multimodal|vision)).{0,60}"
    r"(image|vision|multimodal)",
    re.I,
)
# how models mark their thoughts: DeepSeek and most, Seed, Magistral, Kimi, OpenThinker; gpt-oss has
# channels, of which the last one is the answer
_OPEN = (
    r"<(?:think|thinking|reasoning|seed:think)>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|"
    r"<\|channel\|>(?:analysis|commentary)"
)
_CLOSE = (
    r"</(?:think|thinking|reasoning|seed:think)>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|"
    r"<\|channel\|>final<\|message\|>"
)
_THOUGHT = re.compile(rf"(?:{_OPEN}).*?(?:{_CLOSE}|\Z)", re.S | re.I)
_MARK = re.compile(rf"{_OPEN}|{_CLOSE}", re.I)
_REST = re.compile(r"<\|(?:(?:begin|end)_of_solution|end|return|start)\|>(?:assistant\Z)?")


def concerns_server(status: int, said: str) -> bool:
    """Whether a refusal holds for every item: key, credit, model, address, a model without eyes."""
    if _ACCOUNT.search(said.replace("_", " ")):  # model_not_supported
        return True
    if is_blind(said):
        return True
    return status in (401, 402, 403, 404, 405, 407, 410, 451) and not _ITEM.search(said)


def is_blind(said: str) -> bool:
    """Whether the server says that it takes no pictures."""
    return bool(_BLIND.search(said))


def find_sentence(text: str) -> str:
    """The server's own sentence in the text of a refusal: JSON of several forms, HTML, or text."""
    try:
        said = _in_json(json.loads(text))
    except (ValueError, RecursionError):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.S | re.I)
        said = title.group(1) if title else re.sub(r"<[^>]*>", " ", text)
        said = html.unescape(said)
    lines = [line.strip() for line in str(said).strip().splitlines() if line.strip()]
    line = "".join(c for c in lines[0] if c.isprintable()) if lines else ""
    return line[:LONGEST].rstrip(". ")


def _in_json(told: Any) -> str:
    """OpenAI, llama.cpp, vLLM: error.message; Ollama: error; FastAPI: detail; others: message."""
    if isinstance(told, str):
        return told
    if isinstance(told, list):
        return "; ".join(filter(None, map(_in_json, told[:3])))
    if not isinstance(told, dict):
        return ""
    if isinstance(told.get("msg"), str):  # one fault in FastAPI's list
        place = ".".join(map(str, told.get("loc") or ()))
        return f"{place}: {told['msg']}" if place else told["msg"]
    raw = told.get("metadata", {}).get("raw") if isinstance(told.get("metadata"), dict) else None
    for key in ("error", "detail", "message", "errors", "title"):
        if told.get(key):
            said = _in_json(told[key])
            if said:
                return f"{said}: {raw}" if isinstance(raw, str) and raw else said
    return ""


def without_thoughts(text: str) -> str:
    """An answer without the thoughts that a server leaves in it; none left: an empty text."""
    rest = _THOUGHT.sub("", text)
    # templates that open the thoughts themselves leave only their end
    return _REST.sub("", re.split(_CLOSE, rest, flags=re.I)[-1]).strip()


def has_thoughts(text: str) -> bool:
    return bool(_MARK.search(text))


def only_json(text: str, cut: bool = False) -> str:
    """The JSON object of an answer in words: without a code fence and what stands around it.

    cut: the answer was cut off; the object goes on to its end.
    """
    begin, end = text.find("{"), text.rfind("}") + 1
    if cut:
        end = len(text)
    return text[begin:end] if 0 <= begin < end else text
