"""How a model's chat template writes a turn: thoughts switched off, answers, what ends them.

A score is that of an answer which stands right behind the prompt. Templates of models that think
open a thought there (``<think>``): an answer put behind it would be scored, and JSON be written,
as a part of the thought. So thinking is switched off where the template has a switch, a thought
that stays open is closed as the template closes it in an answer of its own, and what is neither is
refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kuleshov.tools.errors import first_line
from kuleshov.tools.mllm.base import Conversation, MllmError

Thinking = Literal["none", "off", "closed"]

ASKED: Conversation = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
"""Any question: an answer's tokens depend on how the template asks for it, not on what is asked."""

PROBE = "Zqanswer"
"""Any answer that no template writes by itself."""

SWITCHES = ("enable_thinking", "thinking")
"""What templates call it: the former Qwen, GLM, Gemma 4, SmolLM3, the latter Granite, DeepSeek."""

_WORD = r"(?:think(?:ing)?|thought|reason(?:ing)?)"
_OPENS = re.compile(
    rf"[<\[◁]\|?(?:\w+:|start_)?{_WORD}\|?[>\]▷]|<\|channel\|?>(?:thought|analysis)", re.IGNORECASE
)
_CLOSES = re.compile(
    rf"[<\[◁]\|?(?:/(?:\w+:)?|end_){_WORD}\|?[>\]▷]|<channel\|>|<\|end\|>", re.IGNORECASE
)


def with_answer(answer: str) -> Conversation:
    """The question with its answer as the last turn."""
    return [*ASKED, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]


@dataclass(frozen=True)
class TurnForm:
    """What a template writes around an answer.

    opening: the prompt's own words for the model to begin, behind the user's turn.
    lead: between what the prompt and the written turn share and the answer.
    tail: behind the answer, if the conversation ends there.
    onward: behind the answer, if the user asks on; None where the template does not allow it.
    """

    opening: str
    lead: str
    tail: str
    onward: str | None

    @classmethod
    def of(cls, processor: Any) -> TurnForm:
        """Read it off the template.

        Raises:
            MllmError: the template cannot write a plain question and answer.
        """
        try:
            asked = _write_template(processor, ASKED)
            prompt = _write_template(processor, ASKED, prompt=True)
            whole = _write_template(processor, with_answer(PROBE))
        except Exception as error:  # whatever a template raises
            raise MllmError(
                f"the model's chat template cannot write a question: {first_line(error)}"
            ) from error
        if PROBE not in whole:
            raise MllmError("the model's chat template leaves out what the assistant said.")
        shared = _shared_length(prompt, whole)
        at = whole.index(PROBE)
        try:
            longer = _write_template(processor, [*with_answer(PROBE), *ASKED])
        except Exception:  # a template of one question
            longer = ""
        return cls(
            opening=prompt[_shared_length(asked, prompt) :],
            lead=whole[shared:at],
            tail=whole[at + len(PROBE) :],
            onward=longer.partition(PROBE)[2] if PROBE in longer else None,
        )

    @property
    def thinks(self) -> bool:
        """Whether the prompt leaves a thought open."""
        opened = [found.start() for found in _OPENS.finditer(self.opening)]
        closed = [found.start() for found in _CLOSES.finditer(self.opening)]
        return bool(opened) and (not closed or closed[-1] < opened[-1])

    def check(self) -> None:
        """That an answer is scored where it would be written.

        Raises:
            MllmError: a thought is open, or something other than white space comes before it.
        """
        if self.thinks:
            raise MllmError(
                "the model's chat template opens a thought and does not show how to close it, so "
                "no answer can be scored; use a checkpoint that answers without thinking "
                "(often named Instruct)."
            )
        if self.lead.strip():
            raise MllmError(
                f"the model's chat template writes {self.lead.strip()!r} between the prompt and "
                "an answer, so no answer can be scored."
            )


def settle_thinking(processor: Any, name: str) -> Thinking:
    """Make the processor's template ask for answers without a thought; what was done.

    "off": by the template's own switch; "closed": the prompt goes on with what the template writes
    before an answer (an empty thought); "none": there was nothing to do.

    Args:
        processor: the model's; its chat template is changed.
        name: how messages call the model.

    Raises:
        MllmError: a thought stays open.
    """
    mode: Thinking = "none"
    own = _chat_template(processor)
    if any(switch in own for switch in SWITCHES):
        prompts = []
        for value in ("true", "false"):
            _change_template(processor, _set_switch(value) + own)
            prompts.append(_answer_opening(processor))
        if prompts[0] != prompts[1]:
            mode = "off"
        else:
            _change_template(processor, own)
    try:
        form = TurnForm.of(processor)
        if form.lead.strip():
            going_on = f"{{{{ {json.dumps(form.lead)} if add_generation_prompt else '' }}}}"
            _change_template(processor, _chat_template(processor).removesuffix("\n") + going_on)
            mode, form = "closed", TurnForm.of(processor)
        form.check()
    except MllmError as error:
        raise MllmError(f"{name} cannot be used: {error}") from error
    return mode


def turn_ends(processor: Any, ends: Sequence[int]) -> list[int]:
    """The tokens one of which ends an answer: what the template writes there, if it tells.

    That is the token behind the answer, or where the template writes none the one that begins the
    user's next turn, if generation stops at it (GLM-4V: ``<|user|>``). Where neither tells, all of
    `ends`.
    """
    form = TurnForm.of(processor)
    written = written_end(processor, form)
    if written is not None:
        return [written]
    for text in (form.tail, form.onward or ""):
        follows = _first_token(processor.tokenizer, text)
        if follows is not None and follows in ends:
            return [follows]
    return list(ends)


def written_end(processor: Any, form: TurnForm | None = None) -> int | None:
    """The special token that the template writes behind an answer; None: it writes none."""
    tokenizer = processor.tokenizer
    token = _first_token(tokenizer, (form or TurnForm.of(processor)).tail)
    if token is None:
        return None
    added = tokenizer.added_tokens_decoder.get(token)
    special = token in tokenizer.all_special_ids or (added is not None and added.special)
    return token if special else None


def _first_token(tokenizer: Any, text: str) -> int | None:
    """The first that is not white space."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return next((token for token in ids if tokenizer.decode([token]).strip()), None)


def _write_template(processor: Any, conversation: Conversation, *, prompt: bool = False) -> str:
    return str(
        processor.apply_chat_template(conversation, add_generation_prompt=prompt, tokenize=False)
    )


def _shared_length(one: str, other: str) -> int:
    """How many characters they begin with alike."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _answer_opening(processor: Any) -> str | None:
    try:
        return _write_template(processor, ASKED, prompt=True)
    except Exception:  # told where the template is used
        return None


def _set_switch(value: str) -> str:
    # an expression at the end, so that the template's first white space stays as it is
    return "".join(f"{{% set {switch} = {value} %}}" for switch in SWITCHES) + "{{ '' }}"


def _chat_template(processor: Any) -> str:
    given = processor.chat_template
    return str(given.get("default", "")) if isinstance(given, dict) else str(given)


def _change_template(processor: Any, template: str) -> None:
    given = processor.chat_template
    processor.chat_template = (
        {**given, "default": template} if isinstance(given, dict) else template
    )
