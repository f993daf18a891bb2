"""A new recipe of a user's own, written from what a file, a folder or an address holds.

In: a name, and where the texts come from.  Out: the texts of `conf/recipe/NAME.yaml` and `prompts/NAME/*.j2`, and an example to
build from if nothing was named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ftbuild import paths
from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import Fetching, fetching
from ftbuild.records import Document, Pair
from ftbuild.registries import RULES, SOURCES
from ftbuild.stages.structure import sections

_HERE = Path(__file__).parent
_TABLES = {".jsonl", ".ndjson", ".csv", ".tsv", ".xlsx", ".parquet"}
_QUESTIONS = ("question", "prompt", "instruction", "q", "问题", "提问", "问")
_ANSWERS = ("answer", "completion", "response", "output", "a", "答案", "回答", "答")
_WIDE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LOOKED_AT = 200  # documents, of those that a source gives
_LISTED = 40  # headings
_SHARE_OF_CHINESE = 0.2
_LONG = 1500  # tokens of a section, about, from which on it is much for one request
_A_TOKEN = 4  # characters
_HELD_OUT = 5
_ENOUGH = 1500  # characters from which grammar makes rows to spare
_EXAMPLES: dict[str, tuple[str, dict[str, tuple[str, Sequence[str]]]]] = {
    "en": (
        "the Kettle Rock lighthouse",
        {
            "builder": ("Which engineer put the lighthouse on its rock?", ["Rennick"]),
            "sailors": ("How many men did the keeper's daughter save?", ["nine", "9"]),
        },
    ),
    "zh": ("石桥纸坊", {"founder": ("石桥镇的纸坊最早是谁开的？", ["沈阿福"]), "buyer": ("哪家书局买纸最多？", ["鸿文"])}),
}
"""The subject of each example text, and questions about it with words of their answers."""


@dataclass(frozen=True)
class Look:
    """What a source holds, as far as a new recipe wants to know it."""

    source: Mapping[str, Any]
    title: str
    documents: int = 0
    pairs: int = 0
    characters: int = 0
    language: str = "en"
    formats: frozenset[str] = frozenset()
    long: int = 0
    """Sections that are long for one request."""
    headings: Sequence[str] = field(default_factory=tuple)
    probes: Mapping[str, tuple[str, Sequence[str]]] = field(default_factory=dict)


def look(origin: str, warn: Callable[[str], None] | None = None) -> Look:
    """Read what is at a path or an address, and return what a recipe should say about it.

    Of several files, those that cannot be read are left out, and told to `warn`.  ConfigError if nothing can be made of it,
    SourceError if it cannot be read.
    """
    with fetching(Fetching(warn=warn) if warn else Fetching()):
        return _look(origin)


def _look(origin: str) -> Look:
    declared = _declared(origin)
    params = {k: v for k, v in declared.items() if k != "source"}
    if declared["source"] == "mediawiki":
        try:
            return _of(declared, SOURCES.use("mediawiki", **params)(), origin)
        except (SourceError, ConfigError):  # an address may look like a wiki's and be none
            declared, params = {"source": "web", "urls": [origin]}, {"urls": (origin,)}
    return _of(declared, SOURCES.use(declared["source"], **params)(), origin)


def _declared(origin: str) -> dict[str, Any]:
    if re.match(r"https?://", origin):
        wiki = re.search(r"/wiki/[^?#]+$|[?&]title=", origin) is not None
        return {"source": "mediawiki", "url": origin} if wiki else {"source": "web", "urls": [origin]}
    if "://" in origin or any(c in origin for c in "*?["):
        return {"source": "files", "path": origin, "on_error": "skip"}
    path = Path(origin)
    if path.is_dir():
        if not any(file.is_file() for file in path.rglob("*")):
            raise ConfigError(f"{origin}: there is no file in this folder", hint="--from takes a file, a folder or an address")
        return {"source": "files", "path": path.as_posix(), "on_error": "skip"}
    if not path.is_file():
        raise ConfigError(f"{origin}: there is no such file or folder", hint="--from takes a file, a folder or an address")
    if path.suffix.lower() in _TABLES:
        return {"source": "pairs", "path": path.as_posix(), **_columns(path)}
    return {"source": "files", "path": path.as_posix()}


def _columns(path: Path) -> dict[str, str]:
    """Return which columns of a table hold the questions and the answers, by their usual names."""
    from ftbuild.sources.pairs import columns

    names = columns(path)
    known = {str(name).strip().casefold(): name for name in names}
    found = [next((known[n] for n in usual if n in known), "") for usual in (_QUESTIONS, _ANSWERS)]
    for name, wanted in zip(found, ("questions", "answers"), strict=True):
        if not name:
            raise ConfigError(
                f"{path}: none of its columns is known to hold the {wanted}: {', '.join(map(str, names))}",
                hint=f"name one {'question' if wanted == 'questions' else 'answer'}, or write the source by hand",
            )
    return {k: v for k, v in zip(("question", "answer"), found, strict=True) if v != k}


def _of(declared: Mapping[str, Any], records: Any, origin: str) -> Look:
    found = list(islice(records, _LOOKED_AT))
    documents = [r for r in found if isinstance(r, Document)]
    pairs = [r for r in found if isinstance(r, Pair)]
    if not found:
        raise SourceError(f"{origin}: holds no text")
    formats = frozenset(d.format for d in documents)
    documents = [_clean(d) for d in documents]
    texts = [d.text for d in documents] or [f"{p.prompt} {p.completion}" for p in pairs]
    parts = [s for d in documents for s in sections(d, levels=6, lead="")]
    headings = dict.fromkeys(" / ".join(s.path) for s in parts if s.path != ("",))
    title = documents[0].title if len(documents) == 1 else Path(origin.rstrip("/*")).stem
    return Look(
        declared,
        title,
        len(documents),
        len(pairs),
        sum(map(len, texts)),
        _language("".join(texts)[:100_000]),
        formats,
        sum(_tokens(s.text) > _LONG for s in parts),
        tuple(headings),
    )


def _clean(document: Document) -> Document:
    """Return a document as cleaning will leave it, so that no markup is taken for a heading, or for text."""
    if document.format != "wikitext":
        return document
    made: Any = RULES.use("wikitext")(document.text, document.meta)
    return replace(document, text=made.text)


def _tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    wide = len(_WIDE.findall(text))
    return wide + (len(text) - wide) / _A_TOKEN


def _language(text: str) -> str:
    """Return the language of a text as far as a recipe's options know it: Chinese by its characters, or else English."""
    wide, letters = len(_WIDE.findall(text)), sum(ch.isalpha() for ch in text)
    kana = len(_KANA.findall(text))
    return "zh" if letters and wide / letters >= _SHARE_OF_CHINESE and kana < wide / 10 else "en"


def example(name: str, language: str) -> tuple[Look, str]:
    """Return the source of a recipe that was given none, and the example text that it reads."""
    text = (_HERE / f"text.{language}.md").read_text(encoding="utf-8")
    declared = {"source": "file", "path": f"texts/{name}.md", "format": "markdown"}
    title, probes = _EXAMPLES[language]
    document = Document(name, title, text, "markdown")
    return replace(_of(declared, [document], name), probes=probes), text


def files_of(name: str, seen: Look, text: str = "") -> dict[Path, str]:
    """Return the files of a new recipe by their paths, relative to the working directory."""
    chinese = seen.language == "zh"
    folder = Path("prompts") / name
    own = {} if seen.pairs else {folder / file: _prompt(file, chinese=chinese) for file in ("detailed.j2", "basic.j2")}
    example_text = {Path("conf/texts") / f"{name}.md": text} if text else {}
    return {Path("conf/recipe") / f"{name}.yaml": _recipe(name, seen), **own, **example_text}


def _prompt(file: str, *, chinese: bool) -> str:
    return (paths.SHIPPED_PROMPTS / ("zh" if chinese else "") / file).read_text(encoding="utf-8")


def _recipe(name: str, seen: Look) -> str:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 - the page is YAML
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.filters["flow"] = _flow
    chinese = seen.language == "zh"
    kinds = "none" if seen.pairs else "told_zh" if chinese else "article"
    spare = seen.pairs > 4 * _HELD_OUT or (kinds == "article" and seen.characters >= _ENOUGH)
    return environment.get_template("recipe.yaml.j2").render(
        name=name,
        title=_one_line(seen.title),
        subject=_one_line(seen.title),
        key="pairs" if seen.pairs else "documents",
        source=dict(seen.source),
        language=seen.language,
        chinese=chinese,
        pairs=bool(seen.pairs),
        kinds=kinds,
        clean="none" if seen.pairs else "wikitext" if "wikitext" in seen.formats else "documents",
        several=seen.documents > 1,
        long=seen.long,
        headings=[_one_line(h) for h in seen.headings[:_LISTED]] + (["…"] if len(seen.headings) > _LISTED else []),
        suffix=name if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) else "",
        hold_out=_HELD_OUT if spare and not seen.probes else 0,
        probes=seen.probes,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value) and value.isascii()
    return (
        value
        if plain and value.casefold() not in ("yes", "no", "on", "off", "true", "false", "null")
        else json.dumps(value, ensure_ascii=False)
    )
