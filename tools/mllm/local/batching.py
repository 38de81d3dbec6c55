"""One queue in front of a model: the requests of many graphs leave it as batches.

Answers are written together, each in a slot of its own that the next request takes when it is
done; images that conversations share are read once. In float32 the answers are those of the model
without a queue, and label scores are equal to the bit: each is computed by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kuleshov.tools import stopping
from kuleshov.tools.errors import first_line
from kuleshov.tools.mllm import hardware
from kuleshov.tools.mllm.base import Conversation, Generation, Mllm, MllmError, MllmInfo
from kuleshov.tools.mllm.local import loading, scoring
from kuleshov.tools.mllm.local.batch_cache import Layers, SlotCache, even_rows, step_rows
from kuleshov.tools.mllm.local.encode import Encoded
from kuleshov.tools.mllm.local.model import FAILURES, LONG_TAIL, TransformersMllm, mean_logprob
from kuleshov.tools.mllm.local.packing import Question
from kuleshov.tools.mllm.local.segments import Piece, PieceStore, cache_of, split_pieces
from kuleshov.tools.process import at_work, check_own, fork_generation

log = logging.getLogger("kuleshov")
BATCH = 16  # answers; on a CPU the weights cost as much to read for one row as for so many
ROOM = 512  # tokens of an answer that room is kept for at once; the buffer grows when need be
SHARE_OF_MEMORY = 0.2  # of what is free, for what conversations share

T = TypeVar("T")


@dataclass(eq=False)
class Request:
    """What a graph waits for. `answers`: token ids to score; none: an answer is to be written."""

    encoded: Encoded
    start: list[Piece]
    answers: list[list[int]] | None = None
    schema: dict[str, Any] | None = None
    most: int = 0
    last_try: bool = False  # memory was short with a batch of one
    stop: threading.Event | None = field(default_factory=stopping.current_stop)
    begun: float = field(default_factory=time.perf_counter)
    future: Future[Any] = field(default_factory=Future)

    @property
    def dropped(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.stop is not None and self.stop.is_set()

    @property
    def held(self) -> int:
        """Tokens that the pieces cover."""
        return self.start[-1].end


@dataclass(eq=False)
class BatchRow:
    """An answer in the making."""

    request: Request
    next: int
    grammar: Any
    written: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)


class BatchedMllm:
    """A `TransformersMllm` behind a queue; call it from as many threads as you like.

    Requests that cannot share a batch (sampled or streamed ones, models outside the LLaVA
    family) are passed on one by one.
    """

    def __init__(self, inner: TransformersMllm, batch: int | None = None) -> None:
        """Start the queue's thread.

        Args:
            inner: the loaded model, which nobody else may call while the queue is open.
            batch: most answers written at once; None: 16.
        """
        self.inner = inner
        self.batch = batch or BATCH
        self.exact = inner.info.dtype == "float32" and inner.info.quantization == "none"
        self.info: MllmInfo = inner.info.model_copy(
            update={} if self.exact else {"batch": self.batch}
        )
        self.able = inner.tree and inner.prefixes is not None
        self.halved = 0
        self.largest = 0
        budget = int(SHARE_OF_MEMORY * (hardware.free_bytes(inner.info.device) or 4 << 30))
        self.store = PieceStore(inner.text_config, budget)
        # the same for every batch up to the usual one, so that a smaller one gives the same bits
        most = max(BATCH, self.batch)
        self._even = even_rows(inner.model, most) if self.exact and self.able else 1
        self._starting = threading.Lock()
        self._born = fork_generation()
        self._open = True
        self._begin()

    @property
    def forks(self) -> bool:
        return self.inner.forks

    def _begin(self) -> None:
        """An empty queue and its thread."""
        self._drop_rows()
        self._waiting: list[Request] = []
        self._calls: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="kuleshov-model", daemon=True)
        self._thread.start()

    def _check_thread(self) -> None:
        """In a forked process the thread is begun anew: the parent's is not there."""
        check_own(self._born, self.info.id, forks=self.forks)
        if self._born != fork_generation():
            with self._starting:
                if self._born != fork_generation():
                    self._begin()
                    self._born = fork_generation()

    # ------------------------------------------------------------------ callers' threads

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
        """See `TransformersMllm.generate`; `seconds` include the wait in the queue."""
        encoded = self.inner._encode(conversation)
        if not self._takes(encoded) or temperature > 0 or on_token is not None:
            return self._alone(
                lambda: self.inner.generate(
                    conversation,
                    schema=schema,
                    max_new_tokens=max_new_tokens,
                    temperature=temperature,
                    seed=seed,
                    on_token=on_token,
                )
            )
        most = min(max_new_tokens, self.inner._room(encoded))
        request = Request(encoded, split_pieces(encoded), schema=schema, most=most)
        written: Generation = self._ask(request)
        return written

    def count_tokens(self, conversation: Conversation) -> int:
        """See `TransformersMllm.count_tokens`."""
        return self.inner.count_tokens(conversation)

    def features(self, images: Sequence[Any]) -> Any:
        """What the model's own vision makes of pictures; see `TransformersMllm.features`."""
        return self._alone(lambda: self.inner.features(images))

    def score(self, conversation: Conversation, answers: Sequence[str]) -> list[float]:
        """See `TransformersMllm.score`."""
        if not answers:
            return []
        inner = self.inner
        encoded = inner._encode(conversation)
        if not self._takes(encoded):
            return self._alone(lambda: inner.score(conversation, answers))
        ids = inner.answer_ids(answers)
        inner._room(encoded, at_least=max(map(len, ids)))
        scores: list[float] = self._ask(Request(encoded, split_pieces(encoded), answers=ids))
        return scores

    def score_many(self, questions: Sequence[Question]) -> list[list[float]]:
        """See `TransformersMllm.score_many`; its rows are full, so it has the model to itself."""
        return self._alone(lambda: self.inner.score_many(questions))

    def close(self) -> None:
        """End the queue; requests that wait are answered with an MllmError."""
        if self._born != fork_generation():  # of a process that this one was forked from
            self._open = False
            return
        with self._wake:
            self._open = False
            self._wake.notify_all()
        self._thread.join()

    def _takes(self, encoded: Encoded) -> bool:
        return self.able and bool(encoded.images)

    def _ask(self, request: Request) -> Any:
        self._check_thread()
        with self._wake:
            self._check_open()
            self._waiting.append(request)
            self._wake.notify_all()
        with at_work():
            return _result(request.future)

    def _alone(self, call: Callable[[], T]) -> T:
        self._check_thread()
        future: Future[T] = Future()
        with self._wake:
            self._check_open()
            self._calls.append((stopping.carried(call), future))
            self._wake.notify_all()
        with at_work():
            return _result(future)

    def _check_open(self) -> None:
        if not self._open:
            raise MllmError(f"the queue of {self.info.id} is closed.")

    # ------------------------------------------------------------------ the model's thread

    def _serve(self) -> None:
        import torch

        with torch.inference_mode(), loading.quiet_libraries():
            while True:
                with self._wake:
                    while self._open and not (self._waiting or self._calls or self._rows):
                        self._wake.wait()
                    if not self._open:
                        self._refuse_all()
                        return
                    call = self._calls.pop(0) if self._calls else None
                    request = None if call else self._choose()
                if call is not None:
                    _fulfil(call[1], call[0])
                elif request is None:
                    self._step()
                elif request.answers is not None:
                    self._score(request)
                else:
                    self._admit(request)

    def _choose(self) -> Request | None:
        """The next to read: what shares most with what has been read, scores before answers."""
        self._waiting = [request for request in self._waiting if not request.dropped]
        full = len(self._rows) >= self.batch
        able = [r for r in self._waiting if r.answers is not None or not full]
        if not able:
            return None
        chosen = max(able, key=lambda r: (r.answers is not None, self.store.known(r.start)))
        self._waiting.remove(chosen)
        return chosen

    def _score(self, request: Request) -> None:
        def work() -> list[float]:
            cache = cache_of(self._start(request), self.inner.text_config)
            tail = request.encoded.ids[request.held :]
            if len(tail) > LONG_TAIL:
                self._read(request, cache)
                tail = tail[-1:]
            inner = self.inner
            answers = request.answers or []
            return scoring.tree_scores(inner.model, tail, answers, cache, inner.turn_ends)

        self._with_memory(request, work, request.future.set_result)

    def _admit(self, request: Request) -> None:
        def work() -> BatchRow:
            grammar = None
            if request.schema is not None:
                grammar = self.inner._grammar_maker().for_schema(request.schema)
            cache = cache_of(self._start(request), self.inner.text_config)
            self._read(request, cache)
            room = len(request.encoded.ids) + min(request.most, ROOM)
            self._cache.join([(layer.keys, layer.values) for layer in cache.layers], room)
            return BatchRow(request, request.encoded.ids[-1], grammar)

        self._with_memory(request, work, self._rows.append)
        self.largest = max(self.largest, len(self._rows))

    def _start(self, request: Request) -> Layers:
        return self.store.layers(request.start, request.encoded, self.inner._read)

    def _read(self, request: Request, cache: Any) -> None:
        """Read what follows the last image, but for the last token."""
        ids = request.encoded.inputs["input_ids"][:, request.held : -1]
        if ids.shape[1]:
            self.inner._read({}, ids, cache)

    def _with_memory(
        self, request: Request, work: Callable[[], Any], use: Callable[[Any], Any]
    ) -> None:
        """Do the work; short of memory, make room and put the request back, or fail it."""
        try:
            with stopping.heeding(request.stop):
                done = work()
        except BaseException as error:
            if hardware.is_out_of_memory(error) and self._make_room(request):
                with self._wake:
                    self._waiting.insert(0, request)
                return
            request.future.set_exception(self._told(error))
            return
        use(done)

    def _step(self) -> None:
        """One token for every row."""
        import torch

        for place in reversed(range(len(self._rows))):
            if self._rows[place].request.dropped:
                self._leave(place)
        if not self._rows:
            return
        try:
            tokens = [row.next for row in self._rows]
            logits = step_rows(self.inner.model, self.inner.text_config, self._cache, tokens)
            logs = logits.log_softmax(-1)
        except BaseException as error:
            if hardware.is_out_of_memory(error) and self._make_room(self._rows[0].request):
                return
            for row in self._rows:
                row.request.future.set_exception(self._told(error))
            self._drop_rows()
            return
        for place in reversed(range(len(self._rows))):
            row, scores = self._rows[place], logits[place : place + 1]
            if row.grammar is not None:
                so_far = torch.tensor([[*row.request.encoded.ids, *row.written]])
                scores = row.grammar(so_far, scores)
            token = int(scores.argmax(-1))
            row.written.append(token)
            row.logs.append(float(logs[place, token]))
            row.next = token
            if token in self.inner.ends or len(row.written) >= row.request.most:
                self._leave(place)
                row.request.future.set_result(self._generation(row))

    def _leave(self, place: int) -> None:
        """The row's answer is at its end; the last row takes its place."""
        self._cache.leave(place)
        self._rows[place] = self._rows[-1]
        self._rows.pop()

    def _generation(self, row: BatchRow) -> Generation:
        import torch

        inner, ids = self.inner, row.written
        ended = bool(ids) and ids[-1] in inner.ends
        whole = row.grammar is not None and row.grammar.complete(
            torch.tensor([*row.request.encoded.ids, *ids])
        )
        logs = row.logs[:-1] if ended else row.logs
        text = inner.processor.tokenizer.decode(
            [token for token in ids if token not in inner.ends],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return Generation(
            text=str(text),
            tokens=len(ids),
            mean_logprob=mean_logprob(logs),
            finished=ended or whole,
            seconds=time.perf_counter() - row.request.begun,
        )

    # ------------------------------------------------------------------ short of memory

    def _make_room(self, request: Request) -> bool:
        """Forget what can be read again, halve the batch; False if `request` had all there is."""
        others = any(row.request is not request for row in self._rows)
        if request.last_try and not others:
            return False
        self.store.clear()
        if self.batch > 1:
            self.batch = max(1, min(self.batch, max(len(self._rows), 1)) // 2)
            self.halved += 1
            log.warning("out of memory: the batch is %d from now on", self.batch)
        request.last_try = self.batch == 1
        with self._wake:
            # begun anew from their first token: greedy answers come out the same
            self._waiting[:0] = [row.request for row in self._rows]
        self._drop_rows()
        hardware._release_memory(self.info.device)
        return True

    def _drop_rows(self) -> None:
        self._rows: list[BatchRow] = []
        self._cache = SlotCache(exact=self.exact, rows=self._even)

    def _told(self, error: BaseException) -> BaseException:
        info = self.info
        if not hardware.is_out_of_memory(error):
            if not isinstance(error, FAILURES):
                return error
            told = MllmError(f"{info.id} failed to compute: {first_line(error)}")
            told.__cause__ = error
            return told
        told = MllmError(
            f"{info.id} ran out of memory on {info.device}; "
            f"{hardware.memory_advice(info.id, info.device, info.quantization)}."
        )
        told.__cause__ = error
        return told

    def _refuse_all(self) -> None:
        closed = MllmError(f"the queue of {self.info.id} is closed.")
        for request in [*self._waiting, *(row.request for row in self._rows)]:
            request.future.set_exception(closed)
        for _, future in self._calls:
            future.set_exception(closed)
        self._waiting.clear()
        self._calls.clear()
        self._drop_rows()


def _result(future: Future[T]) -> T:
    """What the model's thread found. Raises StoppedError as soon as the user asks to stop."""
    if stopping.current_stop() is not None:
        stopping.wait_for(lambda seconds: bool(wait([future], seconds).done))
    return future.result()


def _fulfil(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


def batch_model(mllm: Mllm, batch: int | None = None) -> Mllm:
    """The model behind a queue, or as it is if it cannot be or is already."""
    return BatchedMllm(mllm, batch) if isinstance(mllm, TransformersMllm) else mllm
