"""Preferences: the loss is the one of the paper, number for number, and a model that learns them prefers what it should."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ftbuild.local.conversation import chat
from ftbuild.local.packing import Row
from ftbuild.local.preferences import Pair, Preferences
from ftbuild.local.training import Hyperparameters, Run
from tests.serving import ended, events, lines, served, table


def row(n: int) -> dict[str, Any]:
    return {
        "input": {"messages": [{"role": "user", "content": f"Is {n} a number?"}]},
        "preferred_output": [{"role": "assistant", "content": "Yes, it is."}],
        "non_preferred_output": [{"role": "assistant", "content": "Yes, but who asks?"}],
    }


ROWS = [row(n) for n in range(10)]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(tiny_model), attn_implementation="eager")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(tiny_model))


def log_probability(model: Any, row: Row) -> float:
    """Return a row's log-probability, one row at a time and nothing shared."""
    import torch

    with torch.no_grad():
        shares = model(input_ids=torch.tensor([row.tokens])).logits[0].float().log_softmax(-1)
    learned = [n for n, weight in enumerate(row.weights) if weight]
    return float(sum(shares[n - 1, row.tokens[n]] for n in learned))


def margin(model: Any, pair: Pair) -> float:
    return log_probability(model, pair.preferred) - log_probability(model, pair.other)


def a_run(model: Any, pairs: list[Pair], beta: float, record: Path) -> Run:
    import torch

    settings = Hyperparameters(epochs=3, batch_size=5, learning_rate=1e-3, warmup=0)
    run = Run(model, pairs, settings, torch.device("cpu"), torch.float32)
    run.objective = Preferences(beta)
    assert list(run.objective.refer(run, pairs, record)) == list(range(1, len(pairs) + 1))
    return run


def test_the_loss_is_that_of_the_paper(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    pairs = [Pair.of(r, tokenizer) for r in ROWS]
    run = a_run(model, pairs, 0.3, tmp_path / "reference.json")
    untouched = [margin(model, p) for p in pairs]
    assert [p.reference for p in pairs] == pytest.approx(untouched, abs=1e-3)
    told = list(run)
    assert told[0]["train_loss"] == pytest.approx(math.log(2), abs=1e-5)
    rewards = [0.3 * (margin(model, p) - r) for p, r in zip(pairs, untouched, strict=True)]
    expected = sum(math.log1p(math.exp(-r)) for r in rewards) / len(rewards)
    measured = run.measure(pairs)
    assert measured["valid_loss"] == pytest.approx(expected, abs=1e-4)
    assert measured["valid_accuracy"] == sum(r > 0 for r in rewards) / len(rewards)
    assert measured["valid_loss"] < math.log(2)


def test_the_untouched_model_is_asked_once(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    pairs = [Pair.of(r, tokenizer) for r in ROWS[:3]]
    run = a_run(model, pairs, 0.1, tmp_path / "reference.json")
    again = [Pair.of(r, tokenizer) for r in ROWS[:3]]
    assert run.objective is not None
    assert list(run.objective.refer(run, again, tmp_path / "reference.json")) == []
    assert [p.reference for p in again] == [p.reference for p in pairs]


def test_what_both_answers_begin_with_weighs_nothing(tokenizer: Any) -> None:
    from ftbuild.local.packing import tree

    pair = Pair.of(ROWS[0], tokenizer)
    laid = tree([pair.preferred, Row(pair.other.tokens, tuple(-w for w in pair.other.weights))])

    def of(weight: int) -> str:
        return "".join(tokenizer.decode([t]) for t, w in zip(laid.tokens, laid.weights, strict=True) if w == weight)

    assert (of(1), of(-1)) == ("it is.<|im_end|>\n", "but who asks?<|im_end|>\n")


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"place": "attic"}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
TALK = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Where is "}, {"type": "text", "text": "the map?"}]},
        {"role": "assistant", "tool_calls": [CALL], "weight": 0},
        {"role": "tool", "tool_call_id": "c1", "content": "a map"},
        {"role": "assistant", "content": "In the attic."},
    ],
    "tools": [TOOL],
}


def learned(row: Row, tokenizer: Any) -> str:
    return str(tokenizer.decode([t for t, w in zip(row.tokens, row.weights, strict=True) if w]))


def test_tools_are_told_in_words_where_the_template_knows_none(tokenizer: Any) -> None:
    made = chat(TALK, tokenizer)
    text = tokenizer.decode(made.tokens)
    assert '<tools>\n{"type": "function", "function": {"name": "look"' in text
    assert '<tool_call>\n{"name": "look", "arguments": {"place": "attic"}}\n</tool_call>' in text
    assert "Where is the map?" in text
    assert learned(made, tokenizer) == "In the attic.<|im_end|>\n"


def test_tools_are_given_to_a_template_that_knows_them(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    template = (
        "{% if tools %}TOOLS {{ tools | length }}\n{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}"
        "{% for c in m.tool_calls or [] %}CALL {{ c.function.name }} {{ c.function.arguments.place }}{% endfor %}"
        "{{ '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    monkeypatch.setattr(tokenizer, "chat_template", template)
    text = tokenizer.decode(chat(TALK, tokenizer).tokens)
    assert text == ("TOOLS 1\nuser: Where is the map?\nassistant: CALL look attic\ntool: a map\nassistant: In the attic.\n")


def test_a_job_learns_preferences(tmp_path: Path, tiny_model: Path) -> None:
    with served(tmp_path, "log=none") as server, server.client() as client:
        file = client.files.create(file=("rows.jsonl", lines(ROWS)), purpose="fine-tune")
        valid = client.files.create(file=("rows.jsonl", lines([row(77)])), purpose="fine-tune")
        given: Any = {"beta": 0.2, "n_epochs": 6, "batch_size": 5, "learning_rate": 1e-2}
        made = client.fine_tuning.jobs.create(
            model=str(tiny_model),
            training_file=file.id,
            validation_file=valid.id,
            method={"type": "dpo", "dpo": {"hyperparameters": given}},
        )
        job = ended(client, made.id)
        assert (job.status, job.error) == ("succeeded", None)
        assert job.method is not None
        assert job.method.type == "dpo"
        assert job.method.dpo is not None
        assert job.method.dpo.hyperparameters is not None
        assert job.method.dpo.hyperparameters.beta == 0.2
        rows = table(client, job)
        assert float(rows[0]["train_loss"]) == pytest.approx(math.log(2), abs=0.02)
        assert float(rows[-1]["train_loss"]) < 0.4
        assert (float(rows[-1]["train_accuracy"]), float(rows[-1]["valid_mean_token_accuracy"])) == (1, 1)
        assert "train_mean_reward_margin" in str([e.data for e in events(client, job.id)])
        assert len(client.fine_tuning.jobs.checkpoints.list(job.id).data) == 3
