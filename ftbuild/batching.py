"""A teacher who is asked through the provider's Batch API: at a discount, within a day, with the same replies kept.

In: exchanges.  Out: each exchange with all its replies, in their order, as `Teacher` gives them.  All first requests go into
batches, then whatever is to be asked next.  What a batch leaves over (lines that expired or failed, and what is asked for
better or missing answers) goes into another one, or, where it is no more than `provider.batch.rest` requests, to the
teacher who is asked live.

A batch is written down before it is waited for: Ctrl-C leaves it to the provider, and whoever wants one of its replies comes
back to it, be it another build.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic

from ftbuild.batches import FINAL, Line, crowded, failure
from ftbuild.errors import BudgetError, ConfigError, FtbuildError, Interrupted, Reserved, SourceError
from ftbuild.exchange import UNTOLD, E, Meter, Reply, Request
from ftbuild.wire import answer_in

if TYPE_CHECKING:
    from openai.types import Batch

    from ftbuild.batches import Batches, Submitted
    from ftbuild.recipe import Provider
    from ftbuild.teacher import Teacher

_FIRST_PAUSE, _GROWTH = 0.25, 1.4  # seconds between the first two looks at a batch, and how the pauses grow
_TRIES = 3  # batches that a request may go into before it counts as lost
_PASSING = frozenset({0, 408, 409, 425, 429, 500, 502, 503, 504})  # what may go better another time; 0: it expired
_FOR_ALL = frozenset({401, 402, 403, 404})  # what no other request would fare better with


@dataclass
class _Place(Generic[E]):
    """An exchange: its replies so far, what is to be asked next, and how often that was tried."""

    exchange: E
    said: list[Reply] = field(default_factory=list)
    next: Request | None = None
    anew: bool = False
    tries: int = 0
    problem: str = ""

    def end(self, said: Sequence[Reply]) -> None:
        """Take all replies there will be."""
        self.said, self.next = list(said), None

    def take(self, reply: Reply) -> None:
        """Take a reply, and find out what to ask next."""
        self.said.append(reply)
        self.next = None if reply.lost else self.exchange.follow(self.said)
        self.anew, self.tries = False, 0


class BatchTeacher:
    """Somebody to ask many things, by the batch.  All exchanges are held at once, as a batch needs them together.

    With `cancel`, batches that are under way end with what they have answered, and all else is asked live.
    """

    def __init__(
        self, batches: Callable[[], Batches], live: Teacher, provider: Provider, meter: Meter, *, cancel: bool = False
    ) -> None:
        self._cancel = cancel
        self._open, self._live, self._limits, self._meter = batches, live, provider.batch, meter
        self._replies, self._patience, self._kind = live.replies, live.patience, provider.kind

    def ask(
        self,
        exchanges: Iterable[E],
        take: Callable[[E, Sequence[Reply]], None],
        *,
        told: Callable[[int, int], None] = lambda _done, _all: None,
        total: int = 0,
    ) -> None:
        """Hand exchanges with their replies to `take`, in order.  `told` hears how many of `total` are done.

        Raises what `Teacher.ask` does, FtbuildError for a batch that is not valid, and Interrupted on Ctrl-C: the batches
        go on without us.
        """
        places = [self._place(exchange) for exchange in exchanges]
        waiting = [p for p in places if p.next is not None]
        if waiting:
            self._batches = self._open()
            self._told: Callable[[int], None] = lambda answered: told(
                sum(p.next is None for p in places) + answered, total or len(places)
            )
            self._told(0)
            try:
                self._rounds(waiting)
            except KeyboardInterrupt:
                where = "the next build starts the server that goes on with it" if self._kind == "local" else "it goes on there"
                raise Interrupted(
                    "stopped waiting for a batch", hint=f"{where}; the same command takes its replies when it is done"
                ) from None
        told(len(places), total or len(places))
        for place in places:
            take(place.exchange, place.said)

    def _place(self, exchange: E) -> _Place[E]:
        known = self._live.known(exchange)
        return _Place(exchange, list(known.said), known.next, known.anew)

    def _rounds(self, places: Sequence[_Place[E]]) -> None:
        first = True
        while left := [p for p in places if p.next is not None]:
            ids = {p.next.id for p in left if p.next}
            tried = all(p.tries or p.said for p in left)
            few = self._cancel or (not first and tried and len(left) <= self._limits.rest)
            if few and not self._under_way(ids):
                self._ask_live(left)
                return
            self._round(left)
            first = False

    def _ask_live(self, places: Sequence[_Place[E]]) -> None:
        waiting = iter(places)  # the live teacher hands them over in this order
        self._live.ask([p.exchange for p in places], lambda _, said: next(waiting).end(said))

    def _under_way(self, ids: set[str]) -> bool:
        return any(not ids.isdisjoint(one.requests) for one in self._batches.recorded())

    # ---- one round: into batches, wait, out of them ----

    def _round(self, places: Sequence[_Place[E]]) -> None:
        by_id: dict[str, list[_Place[E]]] = {}
        for place in places:
            if place.next is not None:
                by_id.setdefault(place.next.id, []).append(place)
        batches = self._submitted({id_: own[0] for id_, own in by_id.items()})
        answered = {id_: line for one in self._ended(batches) for id_, line in one.items()}
        for id_, own in by_id.items():
            for place in own:
                self._settle(place, answered.get(id_))

    def _submitted(self, wanted: dict[str, _Place[E]]) -> list[Submitted]:
        """Return the batches that hold the wanted requests: those there are already, and new ones for the others.

        BudgetError if nothing fits; what fits goes first, and the rest when that is settled.
        """
        with self._live.replies.submitting(self._batches.who, patience=self._patience):
            found = self._batches.attached(wanted)
            if self._cancel:
                for one in found:
                    self._batches.cancel(one)
                return found
            taken = {id_ for one in found for id_ in one.requests}
            missing = list[Request]()
            for id_, place in wanted.items():
                if id_ in taken or place.next is None:
                    continue
                if not place.anew and self._live.kept(place.next):
                    continue  # another process has got it meanwhile
                try:
                    self._meter.before(place.next)
                except BudgetError as error:
                    if isinstance(error, Reserved) or found or missing:
                        break
                    raise
                missing.append(place.next)
            portions = list(self._batches.split(missing))
            for n, portion in enumerate(portions):
                try:
                    found.append(self._batches.submit(portion))
                except BaseException:
                    for request in (r for p in portions[n:] for r in p):
                        self._meter.after(request, {})
                    raise
        if not found and not all(self._live.kept(p.next) for p in wanted.values() if p.next):
            time.sleep(1)  # somebody else has the rest of the allowance in hand
        return found

    def _ended(self, batches: Sequence[Submitted]) -> Iterator[dict[str, Line]]:
        """Wait for batches; yield what became of the lines of each as soon as it has ended."""
        open_ = list(batches)
        counts: dict[str, int] = {}
        pause = min(_FIRST_PAUSE, self._limits.poll_seconds)
        crowd = 0
        while open_:
            for one in list(open_):
                batch = self._batches.look(one)
                if batch is not None and batch.request_counts:
                    counts[one.note] = batch.request_counts.completed + batch.request_counts.failed
                if batch is None or batch.status in FINAL:
                    open_.remove(one)
                    crowd += batch is not None and crowded(batch)
                    if batch is not None and crowded(batch) and crowd == len(batches):
                        self._batches.clean_up(one, batch)
                        what = f"batch {one.batch} does not fit into the provider's queue: {failure(batch)}"
                        hint = "provider.batch.requests=… makes smaller ones; or wait until others of this account have ended"
                        raise SourceError(what, hint=hint)
                    yield self._collected(one, batch)
            self._told(sum(counts.values()))
            if open_:
                time.sleep(pause)
                pause = min(pause * _GROWTH, self._limits.poll_seconds)

    def _collected(self, one: Submitted, batch: Batch | None) -> dict[str, Line]:
        """Keep the replies of a batch that has ended, and return what became of its lines."""
        found: dict[str, Line] = {}
        with self._live.replies.submitting(f"{one.who} {one.note}", patience=self._patience):
            if not self._batches.known(one):
                return {}  # another process has taken its results, and kept them
            if batch is not None:
                self._replies.put_many(self._kept(one, batch, found))
            came, answered = len(found), sum(not line.error for line in found.values())
            status = batch.status if batch is not None else "not known to the provider any more"
            for id_ in set(one.requests) - found.keys():
                self._meter.after(_named(id_, one), {})
                if status != "failed":
                    found[id_] = Line(id_, error=f"the batch is {status}, and this request was not answered")
            self._batches.clean_up(one, batch)
        if batch is not None and status == "failed" and not came and not crowded(batch):
            raise FtbuildError(
                f"batch {one.batch} was not valid: {failure(batch)}", hint="teacher.mode=live asks without the Batch API"
            )
        if status == "cancelled" and not self._cancel:
            raise FtbuildError(
                f"batch {one.batch} was cancelled; {answered:,} of {len(one.requests):,} requests were answered, and are kept",
                hint="the same command asks the others in another batch",
            )
        if status != "completed":
            self._batches.note(f"batch {one.batch} is {status}: {answered:,} of {len(one.requests):,} answers are kept")
        return found

    def _kept(self, one: Submitted, batch: Batch, found: dict[str, Line]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the replies of a batch as they are kept, counting what they cost; `found` takes what became of the lines."""
        for line in self._batches.results(batch):
            answer = answer_in(one.endpoint, json.dumps(line.body).encode()) if line.body else None
            bad = bool(line.body) and answer is None
            found[line.id] = Line(line.id, error="what came back is no answer of a model") if bad else replace(line, body={})
            self._meter.after(_named(line.id, one), (answer[2] or UNTOLD) if answer else {})
            if answer:
                text, finish, usage, refusal = answer
                record: dict[str, Any] = {"text": text, "finish": finish, "usage": usage}
                yield line.id, {**record, "refusal": refusal} if refusal else record

    def _settle(self, place: _Place[E], line: Line | None) -> None:
        """Give an exchange its reply, or note why there is none yet."""
        request = place.next
        assert request is not None
        if line is not None and line.status in _FOR_ALL:
            hint = "what was answered so far is kept" if line.status == 402 else "is this the right model and key?"  # noqa: PLR2004
            raise (SourceError if line.status == 402 else ConfigError)(f"{line.error}", hint=hint)  # noqa: PLR2004
        fresh = line is not None and not line.error
        kept = self._live.kept(request) if fresh or not place.anew else None
        if kept is not None:
            place.take(Reply(kept.text, kept.finish, kept.usage, kept.problem, cached=not fresh))
            return
        place.problem = line.error if line else place.problem
        place.tries += line is not None
        if line is not None and (line.status not in _PASSING or place.tries >= _TRIES):
            place.take(Reply("", problem=line.error, lost=True))


def _named(id_: str, one: Submitted) -> Request:
    """Return a request of which only the hash and the model are known, as a meter needs it."""
    request = Request(one.endpoint, {"model": one.model})
    request.__dict__["id"] = id_
    return request
