"""`/v1/chat/completions` through the official client: conversations, shapes of answers, functions, with a very small model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import openai
import pytest

from tests.asking import chat, complete, refused

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["cat", "dog"]},
        "tags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["name", "age", "kind", "tags"],
    "additionalProperties": False,
}
YES = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": YES}}
OTHER = {"type": "function", "function": {"name": "wait"}}


def shape(schema: Any, **given: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True} | given}


def test_an_answer_has_all_its_fields(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = chat(answering, tiny_model)
    choice = done.choices[0]
    assert (done.object, done.model, choice.index, choice.message.role) == ("chat.completion", str(tiny_model), 0, "assistant")
    assert (choice.message.refusal, choice.message.tool_calls, choice.logprobs) == (None, None, None)
    laid = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    same = complete(answering, tiny_model, laid)
    assert (choice.message.content, choice.finish_reason) == (same.choices[0].text, same.choices[0].finish_reason)
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (same.usage.prompt_tokens, same.usage.completion_tokens)


def test_roles_and_parts(answering: openai.OpenAI, tiny_model: Path) -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "He"}, {"type": "text", "text": "llo"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "wait", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]  # fmt: skip
    told = chat(answering, tiny_model, messages=turns).choices[0].message.content
    laid = (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
        '<tool_call>\n{"name": "wait", "arguments": {}}\n</tool_call><|im_end|>\n'
        "<|im_start|>tool\ndone<|im_end|>\n<|im_start|>assistant\n"
    )
    assert told == complete(answering, tiny_model, laid).choices[0].text


def test_both_names_of_the_longest_answer(answering: openai.OpenAI, tiny_model: Path) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        given: Any = {name: 3}
        done = chat(answering, tiny_model, logit_bias={"70": 100}, **given)
        assert (done.usage.completion_tokens, done.choices[0].finish_reason) == (3, "length")


def test_without_a_limit_the_answer_fills_the_context(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = chat(answering, tiny_model, max_tokens=None, logit_bias={"70": 100})
    assert (done.usage.total_tokens, done.choices[0].finish_reason) == (512, "length")


def test_log_probabilities(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = chat(answering, tiny_model, logprobs=True, top_logprobs=4, max_tokens=6).choices[0]
    told = done.logprobs.content
    assert len(told) == 6
    assert bytes(b for one in told for b in one.bytes).decode(errors="replace") == done.message.content
    for one in told:
        assert len(one.top_logprobs) == 4
        assert (one.top_logprobs[0].token, one.top_logprobs[0].logprob) == (one.token, one.logprob)
        assert [t.logprob for t in one.top_logprobs] == sorted((t.logprob for t in one.top_logprobs), reverse=True)
    assert chat(answering, tiny_model, logprobs=True, max_tokens=2).choices[0].logprobs.content[0].top_logprobs == []


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_keeps_to_its_schema(answering: openai.OpenAI, tiny_model: Path, seed: int) -> None:
    done = chat(answering, tiny_model, response_format=shape(PERSON), temperature=1, seed=seed, max_tokens=300).choices[0]
    assert done.finish_reason == "stop"
    jsonschema.validate(json.loads(done.message.content), PERSON)


def test_schemas_and_free_text_are_answered_together(answering: openai.OpenAI, tiny_model: Path) -> None:
    both = chat(answering, tiny_model, response_format=shape(PERSON), temperature=1, seed=1, n=4, max_tokens=300)
    for choice in both.choices:
        jsonschema.validate(json.loads(choice.message.content), PERSON)
    assert len({choice.message.content for choice in both.choices}) > 1


def test_any_json_object(answering: openai.OpenAI, tiny_model: Path) -> None:
    given: Any = {"response_format": {"type": "json_object"}, "temperature": 1, "seed": 2, "max_tokens": 400}
    done = chat(answering, tiny_model, "Answer in JSON.", **given).choices[0]
    assert done.message.content.startswith("{")
    if done.finish_reason == "stop":
        assert isinstance(json.loads(done.message.content), dict)
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        chat(answering, tiny_model, "Hello", **given)
    plain = chat(answering, tiny_model, response_format={"type": "text"}).choices[0].message.content
    assert plain == chat(answering, tiny_model).choices[0].message.content


def test_a_function_is_called_where_one_must_be(answering: openai.OpenAI, tiny_model: Path) -> None:
    given: Any = {"tools": [TOOL, OTHER], "temperature": 1, "seed": 1, "max_tokens": 100}
    named: Any = {"type": "function", "function": {"name": "look_up"}}
    choice = chat(answering, tiny_model, **given, tool_choice=named).choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, choice.message.content, call.type, call.function.name) == (
        "stop",
        None,
        "function",
        "look_up",
    )
    jsonschema.validate(json.loads(call.function.arguments), YES)
    only: Any = given | {"tools": [TOOL], "tool_choice": "required"}
    choice = chat(answering, tiny_model, **only).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls[0].function.name) == ("tool_calls", "look_up")
    streamed = list(chat(answering, tiny_model, **only, stream=True))
    (called,) = [c.choices[0].delta.tool_calls for c in streamed if c.choices[0].delta.tool_calls]
    assert called[0].function.arguments == choice.message.tool_calls[0].function.arguments
    assert streamed[-1].choices[0].finish_reason == "tool_calls"


def test_calls_are_read_from_what_a_model_writes() -> None:
    from ftbuild.local.asking import ChatRequest
    from ftbuild.local.tools import choice

    asked = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [TOOL, OTHER]})
    text = 'So: <tool_call>\n{"name": "wait", "arguments": {"a": "é"}}\n</tool_call> <tool_call>{"name": "look_up"}</tool_call>'
    content, calls = choice(asked).read(text)
    assert (content, [c["function"] for c in calls]) == (
        "So:",
        [{"name": "wait", "arguments": '{"a": "é"}'}, {"name": "look_up", "arguments": "{}"}],
    )
    for other in ("no call", '<tool_call>{"name": "unknown"}</tool_call>', "<tool_call>{no}</tool_call>"):
        assert choice(asked).read(other) == (other, [])


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"messages": []}, None, "messages"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, None, "messages.0.role"),
        ({"messages": [{"role": "user", "content": None}]}, None, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "a" * 600}]}, "context_length_exceeded", "messages"),
        ({"max_tokens": 0}, None, "max_tokens"),
        ({"max_completion_tokens": 0}, None, "max_completion_tokens"),
        ({"max_completion_tokens": 600}, "invalid_value", "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "invalid_parameter_combination", "max_tokens"),
        ({"top_logprobs": 2}, None, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, None, "top_logprobs"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, None, "response_format.json_schema"),
        ({"response_format": shape(PERSON, name="a b")}, "invalid_value", "response_format.json_schema.name"),
        ({"response_format": shape({"type": "nonsense"})}, "invalid_json_schema", "response_format"),
        ({"response_format": shape({"$ref": "#/nowhere"})}, "invalid_json_schema", "response_format"),
        ({"tool_choice": "auto"}, None, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "invalid_value", "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "invalid_value", "tool_choice"),
        ({"tools": [{"type": "web_search"}]}, None, "tools[0]"),
    ],
)
def test_a_wrong_value_is_named(
    answering: openai.OpenAI, tiny_model: Path, given: dict[str, Any], code: str | None, param: str
) -> None:
    body = {"model": str(tiny_model), "messages": [{"role": "user", "content": "Hello"}]} | given
    with pytest.raises(openai.BadRequestError) as error:
        answering.post("/chat/completions", body=body, cast_to=object)
    assert refused(error) == (400, code, param)
