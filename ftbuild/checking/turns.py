"""Checks of conversations: who speaks when, what is learned, whether calls of functions and their results belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ftbuild.checking.about import About, Problem, Row, Watch, error, hint, warning
from ftbuild.registries import CHECKS

Turns = Sequence[Mapping[str, Any]]


@CHECKS("roles")
def roles(_: About) -> Watch:
    """Say whether turns follow each other as in a conversation, and whether there is an answer to learn."""

    def each(row: Row) -> Iterator[Problem]:
        if row.kind == "chat":
            yield from _chat(row)
        elif row.kind == "preference":
            yield from _preference(row)

    return Watch(each, fix="every row ends with what the assistant is to say; what does not is to be completed or dropped")


@CHECKS("template")
def template(_: About) -> Watch:
    """Say which conversations the model's own chat template does not take."""

    def each(row: Row) -> Iterator[Problem]:
        if row.unlaid:
            yield error(f"the model's chat template does not take the conversation: {row.unlaid}", row)

    return Watch(each, fix="write the turns as this model wants them, or choose another model")


def _chat(row: Row) -> Iterator[Problem]:
    turns = row.turns
    said = [t["role"] for t in turns]
    if "assistant" not in said:
        yield error("there is no turn of the assistant to learn", row)
    elif said[-1] != "assistant":
        yield warning(f"the last turn is the {said[-1]}'s; nothing is learned from it", row)
    if "user" not in said:
        yield hint("there is no turn of the user", row)
    if any(r in ("system", "developer") for r in said[1:]):
        yield warning("a system turn stands after the first", row)
    if said.count("system") + said.count("developer") > 1:
        yield warning("there is more than one system turn", row)
    if any(a == b and a in ("user", "assistant") for a, b in pairwise(said)):
        yield hint("the same side speaks twice in a row", row)


def _preference(row: Row) -> Iterator[Problem]:
    asked = row.data["input"]["messages"]
    if asked[-1]["role"] == "assistant":
        yield warning("what is asked ends with a turn of the assistant", row)
    for name in ("preferred_output", "non_preferred_output"):
        if row.data[name][-1]["role"] != "assistant":
            yield error(f"{name} does not end with a turn of the assistant", row)
    if row.data["preferred_output"] == row.data["non_preferred_output"]:
        yield error("both outputs are the same", row)


@CHECKS("weights")
def weights(_: About) -> Watch:
    """Say whether something is learned, and whether only the assistant's turns are weighted."""

    def each(row: Row) -> Iterator[Problem]:
        if any("weight" in t and t["role"] != "assistant" for t in row.turns):
            yield warning("a turn that is not the assistant's has a weight", row)
        own = [t for t in row.turns if t["role"] == "assistant"]
        if row.kind == "chat" and own and not any(t.get("weight", 1) for t in own):
            yield error("all turns of the assistant have the weight 0; there is nothing to learn", row)

    def mend(row: Row) -> Mapping[str, Any]:
        if row.kind != "chat" or not any("weight" in t and t["role"] != "assistant" for t in row.turns):
            return row.data  # type: ignore[no-any-return]
        kept = [t if t["role"] == "assistant" else {k: v for k, v in t.items() if k != "weight"} for t in row.turns]
        return {**row.data, "messages": kept}

    return Watch(each, None, mend, "weights of others than the assistant are dropped")


@CHECKS("tool_calls")
def tool_calls(_: About) -> Watch:
    """Say whether calls are of functions that there are, with arguments in JSON, and answered each by its id."""

    def each(row: Row) -> Iterator[Problem]:
        if not row.turns or not any(t["role"] == "tool" or t.get("tool_calls") for t in row.turns):
            return
        data = row.data if row.kind == "chat" else row.data["input"]
        tools = {t["function"]["name"] for t in data.get("tools") or ()}
        asked = list(data["messages"])
        talks = (
            [asked] if row.kind == "chat" else [[*asked, *row.data[k]] for k in ("preferred_output", "non_preferred_output")]
        )
        seen = set[str]()
        for turns in talks:
            for problem in _calls(turns, tools, row):
                if problem.message not in seen:
                    seen.add(problem.message)
                    yield problem

    return Watch(each, fix="let each call have an id of its own, and its result follow it under that id")


def _calls(turns: Turns, tools: set[str], row: Row) -> Iterator[Problem]:
    """Yield what is wrong with the calls of one conversation."""
    open_ = set[str]()
    for n, turn in enumerate(turns):
        if turn["role"] == "tool":
            id_ = turn.get("tool_call_id")
            if id_ is None:
                yield error("the result of a call has no tool_call_id", row)
                open_.clear()
            elif id_ not in open_:
                yield error("the result of a call belongs to no call before it", row)
            open_.discard(str(id_))
            continue
        if open_:
            yield error("a call has no result before the next turn", row)
        calls = turn.get("tool_calls") or ()
        for call in calls:
            yield from _call(call, tools, row)
        ids = [call["id"] for call in calls if "id" in call]
        if len(set(ids)) < len(ids):
            yield error("two calls have the same id", row)
        open_ = set(ids) if n + 1 < len(turns) else set()  # a row may end with a call
    if open_:
        yield error("a call has no result before the next turn", row)


def _call(call: Mapping[str, Any], tools: set[str], row: Row) -> Iterator[Problem]:
    name, arguments = call["function"]["name"], call["function"].get("arguments", "")
    if "id" not in call or "type" not in call:
        yield warning("a call has no id or no type", row)
    if not tools:
        yield hint("functions are called, but the row has no tools", row)
    elif name not in tools:
        yield error(f"a function is called that is not among the tools: {name}", row)
    try:
        told = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        yield error("the arguments of a call are not JSON", row)
    else:
        if not isinstance(told, dict):
            yield error("the arguments of a call are no object", row)
