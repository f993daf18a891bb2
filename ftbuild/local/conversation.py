"""Chat rows, laid out with the model's own chat template, token by token, with what is to be learned.

In: turns and tools, as a training file has them.  Out: `Row`.  A template that knows nothing of tools gets them in words: the
tools at the end of the system turn, the calls in tags, as the models that know none are told elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftbuild.local.packing import Row


def chat(row: Mapping[str, Any], tokenizer: Any) -> Row:
    """Lay a conversation out; each assistant turn of weight 1 is learned up to its end token."""
    tools, turns = row.get("tools") or None, list(row["messages"])
    known = "tools" in (tokenizer.chat_template or "")
    if tools and not known:
        turns = _with_tools_in_words(turns, tools)
    plain = [_turn(message, known=known) for message in turns]
    tokens: list[int] = []
    weights: list[float] = []
    text = ""

    def laid(count: int, *, lead: bool = False) -> str:
        given = {"tools": tools} if tools and known else {}
        told = tokenizer.apply_chat_template(plain[:count], tokenize=False, add_generation_prompt=lead, **given)
        return str(told)

    def add(whole: str, weight: float) -> str:
        new = tokenizer(whole[len(text) :], add_special_tokens=False)["input_ids"]
        tokens.extend(new)
        weights.extend([weight] * len(new))
        return whole

    for n, message in enumerate(turns):
        if message["role"] != "assistant":
            continue
        text = add(laid(n, lead=True), 0.0)
        text = add(laid(n + 1), float(message.get("weight", 1) != 0))
    if turns[-1]["role"] != "assistant":
        add(laid(len(turns)), 0.0)
    return Row(tuple(tokens), tuple(weights))


def asked(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None, tokenizer: Any) -> str:
    """Return a conversation as a model is to go on with it: laid out as rows are, up to the beginning of an answer."""
    known = "tools" in (tokenizer.chat_template or "")
    turns = list(messages) if known or not tools else _with_tools_in_words(messages, tools)
    plain = [_turn(message, known=known) for message in turns]
    given = {"tools": tools} if tools and known else {}
    return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True, **given))


def preference(row: Mapping[str, Any], tokenizer: Any) -> tuple[Row, Row]:
    """Lay out both answers of a preference row; what is asked is the same and is not learned."""
    asked = [{**m, "weight": 0} for m in row["input"]["messages"]]
    tools = row["input"].get("tools")
    one, other = (
        chat({"messages": [*asked, *row[name]], "tools": tools}, tokenizer)
        for name in ("preferred_output", "non_preferred_output")
    )
    return one, other


def _turn(message: Mapping[str, Any], *, known: bool) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    role = {"developer": "system", "function": "tool"}.get(message["role"], message["role"])  # as templates call them
    made = {"role": role, "content": content}
    made |= {k: message[k] for k in ("name", "tool_call_id") if k in message}
    calls = [{"name": c["function"]["name"], "arguments": _arguments(c["function"])} for c in message.get("tool_calls") or ()]
    if calls and known:
        made["tool_calls"] = [{"type": "function", "function": call} for call in calls]
    elif calls:
        told = (f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in calls)
        made["content"] = "\n".join([*([content] if content else []), *told])
    return made


def _arguments(function: Mapping[str, Any]) -> Any:
    """Return the arguments of a call as an object, which is what templates expect; what is no JSON stays text."""
    try:
        return json.loads(function.get("arguments") or "{}")
    except ValueError:
        return function["arguments"]


def _with_tools_in_words(turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    told = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    words = f"You may call these functions:\n<tools>\n{told}\n</tools>"
    first = turns[0]
    if first["role"] in ("system", "developer"):
        content = _turn(first, known=False)["content"]
        return [{**first, "content": f"{content}\n\n{words}"}, *turns[1:]]
    return [{"role": "system", "content": words}, *turns]
