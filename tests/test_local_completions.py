"""`/v1/completions` through the official client: what a request may ask for, and what it gets, with a very small model."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.asking import complete, refused, text_of

LETTERS = [str(n) for n in range(256)]


@pytest.fixture(scope="session")
def say(tiny_model: Path) -> Any:
    """Return how to make the model say a text: biases that leave nothing else, token by token."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_model))


def test_a_completion_has_all_its_fields(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = complete(answering, tiny_model, extra_body={"unknown": [1], "user": "me", "store": True, "service_tier": "auto"})
    assert (done.object, done.model, done.choices[0].index, done.choices[0].logprobs) == (
        "text_completion",
        str(tiny_model),
        0,
        None,
    )
    assert done.id.startswith("cmpl-")
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (5, 20, 25)
    assert done.choices[0].finish_reason == "length"


def test_the_text_ends_exactly_before_a_stop_wherever_tokens_end(answering: openai.OpenAI, tiny_model: Path) -> None:
    whole = text_of(answering, tiny_model, max_tokens=60)
    for start, size in itertools.product((3, 10, 17), (1, 2, 5)):
        stop = whole[start : start + size]
        choice = complete(answering, tiny_model, max_tokens=60, stop=stop).choices[0]
        assert (choice.text, choice.finish_reason) == (whole[: whole.find(stop)], "stop")
    several = [whole[20:22], "never said", whole[9:12], whole[30]]
    cut = min(at for at in map(whole.find, several) if at >= 0)
    assert text_of(answering, tiny_model, max_tokens=60, stop=several) == whole[:cut]
    assert complete(answering, tiny_model, max_tokens=60, stop=["never said"]).choices[0].finish_reason == "length"


@pytest.mark.parametrize("stop", ["é", "日本", "!é"])
def test_a_stop_may_be_of_several_bytes(answering: openai.OpenAI, tiny_model: Path, say: Any, stop: str) -> None:
    # one token a byte: the text comes in halves of characters
    bias = {str(token): 100 for token in say(stop + "x")["input_ids"]}
    done = complete(answering, tiny_model, temperature=2, seed=3, max_tokens=200, logit_bias=bias, stop=stop).choices[0]
    free = complete(answering, tiny_model, temperature=2, seed=3, max_tokens=200, logit_bias=bias).choices[0]
    at = free.text.find(stop)
    assert (done.text, done.finish_reason) == ((free.text[:at], "stop") if at >= 0 else (free.text, "length"))


def test_nothing_may_be_asked_for_and_the_prompt_echoed(answering: openai.OpenAI, tiny_model: Path) -> None:
    none = complete(answering, tiny_model, max_tokens=0)
    assert (none.choices[0].text, none.choices[0].finish_reason, none.usage.completion_tokens) == ("", "length", 0)
    assert text_of(answering, tiny_model, max_tokens=0, echo=True) == "hello"
    assert text_of(answering, tiny_model, echo=True) == "hello" + text_of(answering, tiny_model)
    assert text_of(answering, tiny_model, [[10, 11]], max_tokens=0, echo=True) == "()"


def test_log_probabilities_are_those_of_plain_transformers(answering: openai.OpenAI, tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = complete(answering, tiny_model, "hello", max_tokens=6, logprobs=3, echo=True).choices[0]
    told = done.logprobs
    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model))
    model: Any = AutoModelForCausalLM.from_pretrained(str(tiny_model), dtype=torch.float32)
    prompt = tokenizer("hello", return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        tokens = model.generate(**prompt, max_new_tokens=6, do_sample=False)[0]
        shares = torch.log_softmax(model(tokens[None]).logits[0], -1)
    expected = [float(shares[place, token]) for place, token in enumerate(tokens[1:])]
    assert told.token_logprobs[0] is None
    assert told.token_logprobs[1:] == pytest.approx(expected, abs=0.2)  # the server may compute in 16 bits
    assert told.tokens[:5] == list("hello")
    assert told.text_offset[:6] == [0, 1, 2, 3, 4, 5]
    assert told.top_logprobs[0] is None
    for token, logprob, top in zip(told.tokens[5:], told.token_logprobs[5:], told.top_logprobs[5:], strict=True):
        assert 3 <= len(top) <= 4
        assert top[token] == logprob == max(top.values())
    offsets = complete(answering, tiny_model, "hello", max_tokens=6, logprobs=0).choices[0].logprobs
    assert offsets.top_logprobs is None
    assert offsets.text_offset == told.text_offset[5:]


def test_tokens_after_the_cut_are_not_told(answering: openai.OpenAI, tiny_model: Path) -> None:
    bias = {"70": 100}  # "d"
    done = complete(answering, tiny_model, logprobs=1, stop="dd", logit_bias=bias).choices[0]
    assert (done.text, done.logprobs.tokens) == ("", [])


def test_biases_and_penalties(answering: openai.OpenAI, tiny_model: Path) -> None:
    assert text_of(answering, tiny_model, logit_bias={"70": 100}) == text_of(answering, tiny_model, logit_bias={"70": 100})
    only = text_of(answering, tiny_model, logit_bias={"70": 100})
    assert set(only) == {only[0]}
    both = text_of(answering, tiny_model, logit_bias={"70": 100, "71": 100}, frequency_penalty=2, max_tokens=40)
    assert abs(both.count(both[0]) - 20) < 15
    assert only[0] not in text_of(answering, tiny_model, logit_bias={"70": -100}, max_tokens=60)


def test_several_completions_of_several_prompts(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = complete(answering, tiny_model, ["hello", "bye"], n=2, best_of=2, temperature=1, seed=4, max_tokens=8)
    assert [c.index for c in done.choices] == [0, 1, 2, 3]
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (8, sum(8 for _ in done.choices))
    again = complete(answering, tiny_model, ["hello", "bye"], n=2, temperature=1, seed=4, max_tokens=8)
    assert [c.text for c in again.choices] == [c.text for c in done.choices]
    assert len({c.text for c in done.choices}) == 4


def test_a_prompt_may_be_left_out_and_the_answer_is_long_enough(answering: openai.OpenAI, tiny_model: Path) -> None:
    done = answering.completions.create(model=str(tiny_model), prompt=None)
    assert done.usage is not None
    assert (done.usage.prompt_tokens, done.usage.completion_tokens <= 16) == (1, True)


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"prompt": "a" * 513}, "context_length_exceeded", "prompt"),
        ({"prompt": "a" * 500}, "context_length_exceeded", "prompt"),
        ({"max_tokens": 600}, "context_length_exceeded", "prompt"),
        ({"prompt": ["a", "b" * 600]}, "context_length_exceeded", "prompt"),
        ({"prompt": []}, None, "prompt"),
        ({"prompt": [[]]}, None, "prompt"),
        ({"prompt": [1, "a"]}, None, "prompt"),
        ({"prompt": [-1]}, None, "prompt"),
        ({"prompt": [100_000]}, None, "prompt"),
        ({"prompt": {"a": 1}}, None, "prompt"),
        ({"max_tokens": -1}, None, "max_tokens"),
        ({"max_tokens": "5"}, None, "max_tokens"),
        ({"temperature": -0.1}, None, "temperature"),
        ({"top_p": 1.1}, None, "top_p"),
        ({"n": 0}, None, "n"),
        ({"n": 129}, None, "n"),
        ({"best_of": 3}, "unsupported_value", "best_of"),
        ({"logprobs": 6}, None, "logprobs"),
        ({"logprobs": True}, None, "logprobs"),
        ({"stop": ["a"] * 5}, None, "stop"),
        ({"stop": 5}, None, "stop"),
        ({"stop": [5]}, None, "stop"),
        ({"seed": 1.5}, None, "seed"),
        ({"seed": 2**70}, None, "seed"),
        ({"presence_penalty": 2.5}, None, "presence_penalty"),
        ({"frequency_penalty": -2.5}, None, "frequency_penalty"),
        ({"logit_bias": {"5": 101}}, None, "logit_bias"),
        ({"logit_bias": {"x": 1}}, None, "logit_bias"),
        ({"logit_bias": {"99999": 1}}, None, "logit_bias"),
        ({"suffix": "the end"}, "unsupported_parameter", "suffix"),
        ({"stream_options": {"include_usage": True}}, None, "stream_options"),
        ({"stream": "yes"}, None, "stream"),
    ],
)
def test_a_wrong_value_is_named(
    answering: openai.OpenAI, tiny_model: Path, given: dict[str, Any], code: str | None, param: str
) -> None:
    body = {"model": str(tiny_model), "prompt": "hello"} | given
    with pytest.raises(openai.BadRequestError) as error:
        answering.post("/completions", body=body, cast_to=object)
    status, found, place = refused(error)
    assert (status, found) == (400, code)
    assert (place or "").split(".")[0] == param


def test_models_are_told_by_their_address(answering: openai.OpenAI, tiny_model: Path) -> None:
    complete(answering, tiny_model)
    model = answering.models.retrieve(str(tiny_model))
    assert (model.id, model.object, model.owned_by) == (str(tiny_model), "model", "system")
    assert model.created > 0
    assert str(tiny_model) in [m.id for m in answering.models.list()]
    with pytest.raises(openai.NotFoundError, match="not a fine-tuned model"):
        answering.models.delete(str(tiny_model))
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        answering.models.retrieve("/etc")


def test_there_are_no_embeddings(answering: openai.OpenAI, tiny_model: Path) -> None:
    with pytest.raises(openai.NotFoundError, match="not available"):
        answering.embeddings.create(model=str(tiny_model), input="hello")
