"""What a teacher is asked about one unit of text, and what follows a reply that is bad or not all that was wanted.

In: a template, a unit, the replies so far.  Out: the next request, which tells the model what was wrong or which questions
exist already; and in the end what all replies hold together.  The same replies give the same requests, so that those are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ftbuild.parsers import Found, Parsed, Unused
from ftbuild.registries import PARSERS
from ftbuild.teacher import Reply, Request

if TYPE_CHECKING:
    from ftbuild.recipe import Recipe, Template
    from ftbuild.units import Unit

OK, REPAIRED, REJECTED, FAILED = ENDS = ("ok", "repaired", "rejected", "failed")
"""How a unit ends: usable at once; usable after another request; refused by the model or its provider; nothing."""

_SEEDS_APART = 1_000_003  # so that the seeds of another attempt are not those of another sample
_SHOWN = 200  # letters of a bad reply that are shown to the model

_AGAIN = (
    "\n\nThis was asked before, and your reply could not be used: {what}\nReply again, in exactly the form that is asked for."
)
_MORE = (
    "\n\nThese have been written already:\n{questions}\n\n"
    "Write {count} more, different from all of these, in the same form as above, and nothing else."
)
_WHAT = {
    "empty": "it was empty.",
    "refused": "it was a refusal. All that is wanted is what the text itself says.",
    "cut": "it was cut off before anything was complete. Write less.",
    "bad": "{reason}. It began: {start}",
}


@dataclass(frozen=True)
class Said:
    """What one reply holds: the pairs that are new, whatever was not used, and why it is of no use if it is none."""

    request: Request
    reply: Reply
    found: list[Found]
    unused: list[Unused]
    problem: str = ""


@dataclass
class Asked:
    """One unit of text and one template: an exchange with the teacher."""

    name: str
    template: Template
    unit: Unit
    request: Request
    attempts: int = 3
    more: int = 2
    _read: list[Said] = field(default_factory=list, repr=False)

    @property
    def wanted(self) -> int:
        """How many pairs this is to give."""
        return self.template.pairs if PARSERS.trait(self.template.parse, "many") else 1

    def follow(self, said: Sequence[Reply]) -> Request | None:
        """Return the request for a better reply, or for the pairs that are missing, or None."""
        read = self.read(said)
        good = [one for one in read if one.found]
        if not good:
            return self._repair(read[-1], len(read)) if len(read) < self.attempts else None
        missing = self.wanted - sum(len(one.found) for one in read)
        asked_more = len(read) - read.index(good[0]) - 1
        if missing <= 0 or asked_more >= self.more or (asked_more and not read[-1].found):
            return None
        return self._top_up(read, missing)

    def satisfied(self, said: Sequence[Reply]) -> bool:
        """Say whether there is anything of use in the replies."""
        return any(one.found for one in self.read(said))

    def read(self, said: Sequence[Reply]) -> list[Said]:
        """Return what the replies hold.  What was read once is not read again."""
        kept = 0
        while kept < min(len(self._read), len(said)) and self._read[kept].reply is said[kept]:
            kept += 1
        del self._read[kept:]
        for reply in said[kept:]:
            request = self.request if not self._read else self._next
            self._read.append(self._one(request, reply))
        return self._read

    def _one(self, request: Request, reply: Reply) -> Said:
        parsed: Parsed = PARSERS[self.template.parse](reply.text) if reply.text and not reply.lost else Parsed()
        before = {_same(f) for one in self._read for f in one.found}
        found = [f for f in parsed.found if _same(f) not in before]
        known = [Unused(f.line, f.prompt, "was written before") for f in parsed.found if _same(f) in before]
        problem = ""
        if not found:
            problem = reply.problem or ("an empty reply" if not reply.text.strip() else "nothing usable in the reply")
        return Said(request, reply, found, sorted([*parsed.unused, *known], key=lambda u: u.line), problem)

    def _repair(self, last: Said, attempt: int) -> Request:
        if last.reply.problem:
            what = _WHAT["refused"]
        elif not last.reply.text.strip():
            what = _WHAT["empty"]
        elif last.reply.finish == "length":
            what = _WHAT["cut"]
        else:
            reason = last.unused[0].reason if last.unused else "nothing in it is of the form that is asked for"
            what = _WHAT["bad"].format(reason=reason, start=repr(last.reply.text.strip()[:_SHOWN]))
        return self._ask(_AGAIN.format(what=what), attempt)

    def _top_up(self, read: Sequence[Said], missing: int) -> Request:
        questions = "\n".join(f"- {found.prompt}" for one in read for found in one.found)
        return self._ask(_MORE.format(questions=questions, count=missing), len(read))

    def _ask(self, hint: str, attempt: int) -> Request:
        """Return the request with a hint at its end and another seed; a text that is completed is given the seed alone."""
        body = {**self.request.body, "seed": int(self.request.body.get("seed", 0)) + _SEEDS_APART * attempt}
        if self.request.endpoint == "chat":
            *others, last = body["messages"]
            body["messages"] = [*others, {**last, "content": last["content"] + hint}]
        self._next = replace(self.request, body=body)
        return self._next

    def end(self, said: Sequence[Said]) -> str:
        """Return how the unit ended, one of `ENDS`."""
        if any(one.found for one in said):
            return OK if len(said) == 1 else REPAIRED
        return REJECTED if said[-1].reply.problem and not said[-1].reply.lost else FAILED


def _same(found: Found) -> str:
    return " ".join(found.prompt.casefold().split())


def structured(recipe: Recipe, template: Template) -> dict[str, Any] | None:
    """Return the `response_format` for a template: its reply's JSON Schema if the teacher's provider takes one."""
    kind, schema = recipe.teacher.provider.capabilities.structured, PARSERS.trait(template.parse, "schema")
    if kind == "none" or schema is None or template.endpoint != "chat":
        return None
    if kind == "json_object":
        return {"type": kind}
    return {"type": kind, "json_schema": {"name": template.parse, "strict": True, "schema": schema}}


def told_in_words(form: Mapping[str, Any] | None) -> str:
    """Return the sentence about the reply's form that belongs at the end of a prompt which is sent with a `response_format`.

    Where it is no more than `json_object` it is all that says so; a schema is kept to without it, but by a model that has not
    seen it and was asked for lines, so that most providers want it to be told as well.
    """
    return '\n\nReply with one JSON object: {"pairs": [the objects that are asked for]}' if form else ""


def pieces(said: Sequence[Said]) -> Iterator[tuple[Said, Found]]:
    """Yield all pairs of a unit with what they were said in."""
    for one in said:
        for found in one.found:
            yield one, found
