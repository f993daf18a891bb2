"""The engine against plain transformers: the same tokens, whatever is decoded together and whatever was read before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ftbuild.local import library as libraries
from ftbuild.local.engine import Batch, Row, Wanted, complete
from ftbuild.local.library import Library, Loaded
from ftbuild.local.sampling import Sampling
from ftbuild.local.writing import Writing

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft asks for it
GREEDY = Sampling(temperature=0)
SHARED = "The quick brown fox jumps over the lazy dog, and then "
PROMPTS = [
    "hello",
    "a",
    "what is this thing over here? " * 4,
    SHARED + "sleeps",
    SHARED + "runs far away from here",
    SHARED + "x",
]


@pytest.fixture(scope="module", autouse=True)
def exact() -> Iterator[None]:
    """Compute in 32 bits, so that sums in another order do not change what is likeliest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libraries, "fast_dtype", lambda: torch.float32)
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def loaded(models: Library, tiny_model: Path) -> Loaded:
    return models.load(str(tiny_model))


@pytest.fixture(scope="module")
def adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters on the tiny model, of different ranks, that change what it says."""
    import peft
    from transformers import AutoModelForCausalLM

    folders = []
    for n in (1, 2):
        torch.manual_seed(n)
        base = AutoModelForCausalLM.from_pretrained(str(tiny_model))
        settings = peft.LoraConfig(r=4 * n, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
        folders.append(tmp_path_factory.mktemp("adapters") / str(n))
        peft.get_peft_model(base, settings).save_pretrained(str(folders[-1]))
    return folders


def plain(model: Any, loaded: Loaded, prompt: str, count: int = 24) -> list[int]:
    """Return what `generate` says, without the end token."""
    tokens = torch.tensor([loaded.encode(prompt)])
    told = model.generate(tokens, max_new_tokens=count, do_sample=False, attention_mask=torch.ones_like(tokens))
    return [t for t in told[0, tokens.shape[1] :].tolist() if t not in loaded.base.ends]


def wanted(loaded: Loaded, prompt: str, count: int = 24, **given: Any) -> Wanted:
    return Wanted(tuple(loaded.encode(prompt)), count, **({"sampling": GREEDY} | given))


def test_a_padded_batch_says_what_each_prompt_alone_would(loaded: Loaded) -> None:
    rows = complete(loaded, [wanted(loaded, p) for p in PROMPTS])
    assert [row.tokens for row in rows] == [plain(loaded.model, loaded, p) for p in PROMPTS]


def test_what_prompts_share_is_read_once(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [f"In the beginning there was a word. {n}" for n in "abcdefgh"]
    read, forward = [0], Batch._forward

    def counting(batch: Batch, tokens: Any, *given: Any, **more: Any) -> Any:
        read[0] += tokens.numel()
        return forward(batch, tokens, *given, **more)

    monkeypatch.setattr(Batch, "_forward", counting)
    rows = complete(loaded, [wanted(loaded, p, 1) for p in prompts])
    assert read[0] == len(prompts[0]) - 1 + len(prompts)
    assert [row.cached for row in rows] == [0] * 8
    assert complete(loaded, [wanted(loaded, prompts[0], 1)])[0].cached == len(prompts[0]) - 1


def test_rows_join_while_others_are_at_it_and_leave_when_they_end(loaded: Loaded) -> None:
    batch = Batch(loaded)
    rows = [Row(loaded, wanted(loaded, p, 10 + 7 * n)) for n, p in enumerate(PROMPTS)]
    waiting, most = list(rows), 0
    while waiting or batch.rows:
        if waiting:
            batch.admit([waiting.pop(0)])
        most = max(most, len(batch.rows))
        for _ in range(3):
            batch.step()
    assert most > 2
    for n, (row, prompt) in enumerate(zip(rows, PROMPTS, strict=True)):
        assert row.tokens == plain(loaded.model, loaded, prompt, 10 + 7 * n)


def test_long_prompts_are_read_in_chunks(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftbuild.local.engine._CHUNK", 7)
    rows = complete(loaded, [wanted(loaded, p) for p in PROMPTS])
    assert [row.tokens for row in rows] == [plain(loaded.model, loaded, p) for p in PROMPTS]


def test_padding_that_nobody_needs_is_taken_away(loaded: Loaded) -> None:
    batch = Batch(loaded)
    long, short = Row(loaded, wanted(loaded, "a b c d e f" * 20, 2)), Row(loaded, wanted(loaded, "hello", 40))
    batch.admit([long, short])
    while batch.rows:
        batch.step()
        assert not batch.rows or long not in batch.rows
        assert batch._cache is None or batch._cache.columns < 60
    assert short.tokens == plain(loaded.model, loaded, "hello", 40)


def test_what_was_read_before_is_not_read_again(loaded: Loaded) -> None:
    batch, begin = Batch(loaded), "Once upon a time there was a king. "
    for place, prompt in enumerate([begin + "one", begin + "two", begin + "one and more"]):
        row = Row(loaded, wanted(loaded, prompt))
        batch.admit([row])
        while batch.rows:
            batch.step()
        assert row.tokens == plain(loaded.model, loaded, prompt)
        assert (row.cached >= len(begin)) == (place > 0)


def test_adapters_share_their_base_and_one_batch(
    models: Library, loaded: Loaded, adapters: list[Path], tiny_model: Path
) -> None:
    import peft
    from transformers import AutoModelForCausalLM

    tuned = [models.load(f"ft:{n}", folder) for n, folder in enumerate(adapters)]
    assert all(one.base is loaded.base for one in tuned)
    batch = Batch(loaded)
    rows = [Row(one, wanted(one, prompt)) for prompt in PROMPTS for one in (loaded, *tuned)]
    batch.admit(rows[: len(rows) // 2])
    batch.step()
    batch.admit(rows[len(rows) // 2 :])
    while batch.rows:
        batch.step()
    for place, folder in enumerate((None, *adapters)):
        base: Any = AutoModelForCausalLM.from_pretrained(str(tiny_model))
        model = peft.PeftModel.from_pretrained(base, str(folder)) if folder else base
        assert [row.tokens for row in rows[place::3]] == [plain(model, loaded, p) for p in PROMPTS]
    assert rows[0].tokens != rows[1].tokens != rows[2].tokens


def test_an_adapter_of_another_kind_is_left_to_peft(
    models: Library, loaded: Loaded, adapters: list[Path], tmp_path: Path
) -> None:
    import json
    import shutil

    shutil.copytree(adapters[0], tmp_path / "other")
    settings = json.loads((tmp_path / "other/adapter_config.json").read_text())
    (tmp_path / "other/adapter_config.json").write_text(json.dumps(settings | {"alpha_pattern": {"q_proj": 8}}))
    other, usual = models.load("ft:other", tmp_path / "other"), models.load("ft:0", adapters[0])
    assert other.adapter is None
    assert other.base is not loaded.base
    (row,), (same,) = (complete(one, [wanted(one, "hello")]) for one in (other, usual))
    assert row.tokens == same.tokens


def test_the_least_recently_used_model_goes_by_bytes(tiny_model: Path, adapters: list[Path], tmp_path: Path) -> None:
    import shutil

    other = shutil.copytree(tiny_model, tmp_path / "other")
    library = Library(tmp_path, 150_000)  # a tiny model takes 107,520
    first = library.load(str(tiny_model))
    library.load("ft:0", adapters[0])
    assert library.load(str(tiny_model)) is first
    assert 107_520 < library.size < 150_000
    library.load(str(other))
    assert library.names == [str(other)]
    library.load(str(tiny_model))
    assert library.names == [str(tiny_model)]


def test_a_model_that_was_written_again_is_loaded_again(tiny_model: Path, tmp_path: Path) -> None:
    import os
    import shutil

    mine = shutil.copytree(tiny_model, tmp_path / "mine")
    library = Library(tmp_path)
    first = library.load(str(mine))
    assert library.load(str(mine)) is first
    os.utime(mine / "model.safetensors", (1, 1))
    assert library.load(str(mine)) is not first


def test_a_row_is_sampled_as_it_wants_beside_others(loaded: Loaded) -> None:
    settings = [Sampling(1.0, seed=5), GREEDY, Sampling(1.0, 0.5, seed=6), Sampling(1.5, 1.0, seed=5)]
    alone = [complete(loaded, [wanted(loaded, "hello", sampling=s)])[0].tokens for s in settings]
    together = [row.tokens for row in complete(loaded, [wanted(loaded, "hello", sampling=s) for s in settings])]
    assert together == alone
    assert len({tuple(tokens) for tokens in alone}) == 4


def test_samples_follow_the_models_shares() -> None:
    from ftbuild.local.sampling import Sampler, choose

    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(4000, 1)
    drawn = torch.tensor([s.token for s in choose(logits, [Sampler(Sampling(seed=n)) for n in range(4000)])])
    assert (drawn.bincount(minlength=4) / 4000).tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    cut = torch.tensor([s.token for s in choose(logits, [Sampler(Sampling(1.0, 0.6, seed=n)) for n in range(4000)])])
    assert (cut.bincount(minlength=4) / 4000).tolist() == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)


def test_penalties_and_biases() -> None:
    from ftbuild.local.sampling import Sampler, choose

    logits = torch.tensor([[2.0, 1.9, 0.0]])
    often = Sampler(Sampling(0, frequency=0.3))
    once = Sampler(Sampling(0, presence=0.3))
    biased = Sampler(Sampling(0, bias=((2, 100.0),)))
    never = Sampler(Sampling(0, bias=((0, -100.0),)))
    told = [[choose(logits, [s])[0].token for _ in range(4)] for s in (often, once, biased, never)]
    assert told == [[0, 1, 0, 1], [0, 1, 0, 0], [2, 2, 2, 2], [1, 1, 1, 1]]


def test_the_bytes_of_tokens_are_those_that_the_grammars_know(loaded: Loaded) -> None:
    known = [loaded.base.grammars.decode_bytes([token]) for token in range(loaded.base.words)]
    assert [b for b in loaded.base.bytes_of if b != b"\xff"] == [b for b in known if b]  # which no text holds
    assert b"".join(loaded.base.bytes_of[t] for t in loaded.encode("é\n日 <|im_end|>")).decode() == "é\n日 <|im_end|>"


@pytest.mark.parametrize(
    ("tokens", "stops", "shown"),
    [
        ([b"ab", b"cd"], [], ["ab", "cd", ""]),
        ([b"a", b"b", b"c"], ["bc"], ["a", "", "", ""]),
        ([b"a", b"b", b"d"], ["bc"], ["a", "", "bd", ""]),
        ([b"a", b"b"], ["bc"], ["a", "", "b"]),
        (["日".encode()[:1], "日".encode()[1:], b"x"], [], ["", "日", "x", ""]),
        (["a日".encode()[:2], "a日本".encode()[2:]], ["本"], ["a", "日", ""]),
        (["é".encode()[:1]], [], ["", "\ufffd"]),
        ([b"one [DO", b"NE] two"], ["[DONE]", " two"], ["one ", "", ""]),
        ([b"aaab"], ["ab", "aab"], ["a", ""]),
    ],
)
def test_text_is_cut_exactly_and_never_taken_back(tokens: list[bytes], stops: list[str], shown: list[str]) -> None:
    writing = Writing(stops)
    pieces = []
    for token in tokens:
        writing.add(token)
        pieces.append(writing.show())
    writing.end()
    pieces.append(writing.show())
    assert pieces == shown
    assert "".join(pieces) == writing.text
