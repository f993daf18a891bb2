"""Tokenizers without torch and transformers: to count tokens, in a fraction of a second.

In: a model's name.  Out: `Light`, which turns texts and rows into the very tokens that training and answering compute with,
or None where that cannot be said without loading more.  What a row comes to is told by the same functions that lay rows out
for training.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild.local.conversation import asked, chat, preference
from ftbuild.local.heading import heading
from ftbuild.local.models import BUNDLED, UnknownModel, bundled_file
from ftbuild.store import read_json

if TYPE_CHECKING:
    import tokenizers

_CONTROL, _USERS = 3, 4  # kinds of tokens in a GGUF file that are never taken apart
_PLAIN = ("smollm", "gpt-2")  # ways to split text in GGUF files which are those of GPT-2, as transformers reads them


class Light:
    """A tokenizer, with as much of the interface of one of transformers as laying out rows needs."""

    def __init__(self, backend: tokenizers.Tokenizer, template: str, tokens: Mapping[str, str], context: int) -> None:
        self._backend, self.chat_template, self._named, self.context = backend, template, tokens, context
        backend.no_truncation()
        backend.no_padding()

    def __call__(self, text: str, *, add_special_tokens: bool = False) -> dict[str, list[int]]:
        """Return a text's tokens under `input_ids`."""
        return {"input_ids": self._backend.encode(text, add_special_tokens=add_special_tokens).ids}

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, Any]],
        *,
        tokenize: bool = False,
        add_generation_prompt: bool = False,
        **given: Any,
    ) -> str:
        """Return a conversation as the model's template lays it out."""
        assert not tokenize
        values = {"tools": None, "documents": None, **self._named, **given}
        return str(self._template.render(messages=conversation, add_generation_prompt=add_generation_prompt, **values))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each of these texts has."""
        return [len(e.ids) for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def borders(self, text: str) -> set[int]:
        """Return where a text's tokens end, in characters."""
        return {end for _, end in self._backend.encode(text, add_special_tokens=False).offsets}

    def count_turns(self, turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None) -> int:
        """Return how many tokens a model is given that is asked to go on with a conversation."""
        return len(self(asked(turns, tools, self))["input_ids"])

    def count_row(self, row: Mapping[str, Any]) -> int:
        """Return how many tokens a training row has.  ValueError if the model's template does not take the conversation."""
        import jinja2

        try:
            if "messages" in row:
                return len(chat(row, self).tokens)
            if "preferred_output" in row:
                return sum(len(answer.tokens) for answer in preference(row, self))
        except jinja2.TemplateError as error:
            raise ValueError(str(error)) from error
        except (KeyError, TypeError) as error:
            raise ValueError("it holds what is not text") from error
        return sum(self.counts([row["prompt"], row["completion"]]))

    @cached_property
    def _template(self) -> Any:
        """The chat template, in the environment that transformers gives it."""
        from datetime import UTC, datetime

        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def complain(message: str) -> None:
            raise jinja2.TemplateError(message)

        around = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        around.filters["tojson"] = lambda value, ensure_ascii=False, **how: json.dumps(value, ensure_ascii=ensure_ascii, **how)
        around.globals["raise_exception"] = complain
        around.globals["strftime_now"] = lambda form: datetime.now(UTC).astimezone().strftime(form)
        return around.from_string(self.chat_template)


def light(name: str, state: Path | None = None) -> Light | None:
    """Return the tokenizer of a model that the embedded provider knows by this name, or None if it is not at hand.

    `state` is the folder of a server's state, in which GGUF files are kept as they were converted.
    """
    if importlib.util.find_spec("tokenizers") is None:
        return None
    if name.startswith("ft:"):
        name = name.split(":")[1]
    try:
        bundled, path = name.casefold() == BUNDLED, Path(name).expanduser()
        kept = state / "models" / BUNDLED if bundled and state else path
        if (kept / "tokenizer.json").is_file():
            return _of_folder(kept)
        file = bundled_file() if bundled else path
        if file is not None and file.suffix == ".gguf" and file.is_file():
            return _of_gguf(file)
        return _of_hub(name) if name.count("/") == 1 and not path.exists() else None
    except (OSError, RuntimeError, ValueError, UnknownModel):
        return None


def _of_folder(folder: Path) -> Light:
    import tokenizers

    told = read_json(folder / "tokenizer_config.json") or {}
    config = read_json(folder / "config.json") or {}
    template, file = told.get("chat_template"), folder / "chat_template.jinja"
    if file.is_file():
        template = file.read_text(encoding="utf-8")
    if isinstance(template, list):  # several by name
        template = next((t["template"] for t in template if t["name"] == "default"), "")
    named = {k: v["content"] if isinstance(v, dict) else v for k, v in told.items() if k.endswith("_token") and v}
    context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Light(backend, template or "", named, int(context or 0))


def _of_hub(name: str) -> Light | None:
    """Return the tokenizer of a model of the hub that was fetched before; nothing is fetched."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(name, "tokenizer.json")
    return _of_folder(Path(file).parent) if isinstance(file, str) else None


def _of_gguf(file: Path) -> Light | None:
    """Return a byte-level tokenizer of the plain kind from a GGUF file; others only their converted form tells."""
    import tokenizers
    from tokenizers import AddedToken, decoders, models, pre_tokenizers

    names = ("model", "pre", "tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "unknown_token_id")
    wanted = {f"tokenizer.ggml.{n}": n for n in names}
    architecture = heading(file, ["general.architecture"]).get("general.architecture", "")
    length = f"{architecture}.context_length"
    told = heading(file, [*wanted, "tokenizer.chat_template", length])
    said: dict[str, Any] = {n: told.get(key) for key, n in wanted.items()}
    if said["model"] != "gpt2" or said["pre"] not in _PLAIN or not said["merges"]:
        return None
    tokens: list[str] = said["tokens"]
    merges = [tuple(m.split(" ", 1)) for m in said["merges"]]
    vocabulary = {token: n for n, token in enumerate(tokens)}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    kinds = said["token_type"] or ()
    whole = [(t, k == _CONTROL) for t, k in zip(tokens, kinds, strict=False) if k in (_CONTROL, _USERS)]
    for special in (True, False):
        added = [AddedToken(t, normalized=False, special=special) for t, is_special in whole if is_special == special]
        (backend.add_special_tokens if special else backend.add_tokens)(added)
    ends = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id"}
    named = {name: tokens[said[key]] for name, key in ends.items() if said[key] is not None}
    return Light(backend, told.get("tokenizer.chat_template") or "", named, int(told.get(length) or 0))
