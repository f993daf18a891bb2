"""What names mean in wikitext, by language: namespaces, headings of the tail, templates whose text counts, tags, variants.

In: `conf/wikitext/NAME.yaml`, ours and then the user's, `any.yaml` before the language's own.  Out: a `Table` ready for use.
A user's file adds to ours: lists grow, names are added or replaced, `null` takes a name away.  Names of namespaces and of
templates that one language has are known in all others too, after their own: articles are copied between wikis.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ftbuild.errors import ConfigError
from ftbuild.paths import conf_folders, shown
from ftbuild.wikitext.forms import Form, form

_FOLDER = "wikitext"
_LISTS = ("file", "category", "tail", "wikis", "months", "magic")
_MAPPINGS = ("templates", "languages", "units", "tags", "namespaces")
_OTHERS = ("variants", "thousand", "decimal", "day_first", "same_as")
_TAG_KINDS = ("references", "galleries", "math", "code", "verbatim", "tables", "quotes", "poems", "drop")


Star = tuple[str, str, Form | None, bool]
"""What stands before and behind the `*` in the name of templates, their form, and whether the `*` is a number (`#`)."""
Layer = tuple[Mapping[str, Form | None], tuple[Star, ...]]

_ENOUGH = 100_000
_SHARE = 0.1
_ASCII = re.compile("[A-Za-z]")
_LETTERS = {
    language: re.compile(f"[{first}-{last}]")
    for language, first, last in (
        ("zh", "\u4e00", "\u9fff"), ("ja", "\u3041", "\u30ff"), ("ko", "\uac00", "\ud7a3"), ("ru", "\u0410", "\u044f"),
        ("el", "\u0391", "\u03c9"), ("he", "\u05d0", "\u05ea"), ("th", "\u0e01", "\u0e5b"), ("ka", "\u10d0", "\u10f0"),
        ("hy", "\u0561", "\u0586"), ("ta", "\u0b82", "\u0bcd"), ("te", "\u0c01", "\u0c4d"), ("kn", "\u0c82", "\u0ccd"),
        ("ml", "\u0d02", "\u0d4d"), ("gu", "\u0a81", "\u0acd"), ("pa", "\u0a01", "\u0a74"),
    )
}  # fmt: skip
"""The letters of languages that share them with no other that has a table, or, in Cyrillic and Han, with few."""
_NOT_RUSSIAN = re.compile("[іїєґўәқғңүұөҳјљњћђѓќѝ]")


@dataclass(frozen=True)
class Table:
    """The names of one language, as the scanner needs them: all names of namespaces and templates in lower case."""

    language: str
    files: frozenset[str]
    categories: frozenset[str]
    wikis: frozenset[str]
    tail: frozenset[str]
    layers: tuple[Layer, ...]
    """Templates whose text counts: the language's own before those of all and those of other languages."""
    tags: Mapping[str, str]
    opaque: re.Pattern[str]
    magic: frozenset[str]
    variants: tuple[str, ...]
    languages: Mapping[str, str]
    units: Mapping[str, Mapping[str, str]]
    thousand: str = ","
    decimal: str = "."
    day_first: bool = False
    months: tuple[str, ...] = ()
    seen: dict[str, tuple[Form | None, str]] = field(default_factory=dict, compare=False)

    def lookup(self, name: str) -> tuple[Form | None, str]:
        """Return the form of a template, if its text counts, and what a `*` in its name stands for."""
        found = self.seen.get(name)
        if found is None:
            made, star = self._found(canonical(name))
            found = (made, star)
            if len(self.seen) < 20_000:  # noqa: PLR2004 - names that hostile texts invent need not be remembered
                self.seen[name] = found
        return found

    def _found(self, key: str) -> tuple[Form | None, str]:
        for forms, stars in self.layers:
            if key in forms:
                return forms[key], ""
            for prefix, suffix, made, is_number in stars:
                if len(key) > len(prefix) + len(suffix) and key.startswith(prefix) and key.endswith(suffix):
                    star = key[len(prefix) : len(key) - len(suffix)]
                    if not is_number or star.isdecimal():
                        return made, star
        return None, ""


def canonical(name: str) -> str:
    """Return a template's name as tables hold it: spaces for underscores, in lower case, without its namespace."""
    name = " ".join(name.replace("_", " ").split()).casefold()
    return name.removeprefix("template:").removeprefix("msg:")


def guess(text: str) -> str:
    """Return the language whose names for categories or files a wikitext uses, or an empty text.

    All wikis understand the English names: where only these are found, the letters tell, if they are those of one language.
    """
    names: dict[str, int] = {}
    for match in re.finditer(r"\[\[\s*([^\s:|\[\]{}#<>]{2,30}):", text):
        names[match[1].casefold()] = names.get(match[1].casefold(), 0) + 1
    best: dict[str, int] = {}
    for language, own in _calling(tuple(str(f) for f in conf_folders())).items():
        if count := sum(names[w] * own[w] for w in names if w in own):
            best[language] = count
    top = max(best.values(), default=0)
    winners = [language for language, count in best.items() if count == top]
    found = winners[0] if len(winners) == 1 else ""
    return found if found not in ("", "en") else _written(text) or found


def _written(text: str) -> str:
    """Return the language that the letters of a text are those of, or an empty text if several languages have them."""
    text = text[:_ENOUGH]
    counts = {language: len(letters.findall(text)) for language, letters in _LETTERS.items()}
    top = max(counts, key=counts.__getitem__)
    if counts[top] < _SHARE * len(_ASCII.findall(text)) or not counts[top]:
        return ""
    if top in ("zh", "ja"):
        return "ja" if counts["ja"] > _SHARE * counts["zh"] else "zh"
    if top == "ru" and (_NOT_RUSSIAN.search(text) or "ы" not in text):
        return ""
    return top


@cache
def _calling(folders: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Return by language what its wikis call categories and files, with how much each name tells."""
    every = _read(folders)
    english = {"file", "image", "media", "category"}
    spaces = every.get("names", {}).get("namespaces", {})
    found: dict[str, dict[str, int]] = {}
    for language in every:
        words = [
            w
            for kind in ("category", "file")
            for w in (*spaces.get(language, {}).get(kind, ()), *every[language].get(kind, ()))
        ]
        first = {str(spaces.get(language, {}).get(kind, [""])[0]).casefold() for kind in ("category", "file")}
        own = {str(w).casefold() for w in words} - (english if language != "en" else set())
        # what it calls them itself counts for more than what it understands, and English names are understood everywhere
        found[language] = {w: 1 if language == "en" else 3 if w in first else 2 for w in own}
    return found


def table_for(language: str) -> Table:
    """Return the table of a language, such as `zh` or `zh-tw`; of one that has none, that of all languages together."""
    return _table(language, tuple(str(f) for f in conf_folders()))


def with_templates(table: Table, templates: Mapping[str, str | int]) -> Table:
    """Return a table with other forms for some templates; an empty one drops a template that the table knows."""
    return replace(table, layers=(_templates([{"templates": templates}]), *table.layers), seen={})


def files() -> list[Path]:
    """Return all table files, ours and the user's, for whoever asks what cleaning depends on."""
    return sorted(f for folder in conf_folders() for f in (folder / _FOLDER).glob("*.yaml"))


@cache
def _table(language: str, folders: tuple[str, ...]) -> Table:
    every = _read(folders)
    code = language.replace("_", "-").lower()
    own = every.get(code) or every.get(code.partition("-")[0]) or {}
    if same := own.get("same_as"):
        own = _merged(every.get(same, {}), own)
    base = every.get("any", {})
    others = [data for name, data in every.items() if name not in ("any", "names") and data is not own]
    spaces = _namespaces(every)
    headings = [own, base] if own else [base, *others]
    named = {k: v for data in (base, own) for k, v in data.get("tags", {}).items() if v}
    return Table(
        language=code,
        files=frozenset().union(*(files for files, _ in spaces.values())),
        categories=frozenset().union(*(categories for _, categories in spaces.values())),
        wikis=_names([base, every.get("names", {}), own], "wikis"),
        tail=_names(headings, "tail"),
        layers=(_templates([own]), _templates([base]), (_templates(others)[0], ())),
        tags=named,
        opaque=re.compile(rf"<!--|<({'|'.join(sorted(map(re.escape, named), reverse=True))})(?=[\s/>])", re.IGNORECASE),
        magic=_names([base, own], "magic"),
        variants=tuple(own.get("variants") or ()),
        languages={**base.get("languages", {}), **own.get("languages", {})},
        units={**base.get("units", {}), **own.get("units", {})},
        thousand=str(own.get("thousand", ",")),
        decimal=str(own.get("decimal", ".")),
        day_first=bool(own.get("day_first", False)),
        months=tuple(own.get("months") or ()),
    )


def _names(tables: Iterable[Mapping[str, Any]], key: str) -> frozenset[str]:
    return frozenset(str(name).replace("_", " ").casefold() for data in tables for name in data.get(key) or ())


def _templates(tables: Iterable[Mapping[str, Any]]) -> Layer:
    forms: dict[str, Form | None] = {}
    stars: dict[tuple[str, str], Star] = {}
    for data in tables:
        for names, text in data.get("templates", {}).items():
            made = None if text is None or text == "" else _form(str(text), str(names))
            for name in str(names).split("|"):  # several names may share a form
                key = canonical(name)
                mark = "*" if "*" in key else "#" if key[:1] == "#" and not key.endswith(":") else ""
                if mark:
                    before, _, behind = key.partition(mark)
                    stars[before, behind] = before, behind, made, mark == "#"
                else:
                    forms[key] = made
    return forms, tuple(sorted(stars.values(), key=lambda star: -len(star[0]) - len(star[1])))


@cache
def _form(text: str, where: str) -> Form:
    return form(f"{{{text}}}" if text.isdecimal() else text, f"templates.{where}")


def _namespaces(every: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return the names of the namespaces of files and of categories, by language."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for language, spaces in every.get("names", {}).get("namespaces", {}).items():
        found[str(language)] = _names([spaces], "file"), _names([spaces], "category")
    for language, data in every.items():
        files, categories = found.get(language, (frozenset(), frozenset()))
        found[language] = files | _names([data], "file"), categories | _names([data], "category")
    return found


@cache
def _read(folders: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the content of all table files by name; a user's file is merged over ours."""
    found: dict[str, dict[str, Any]] = {}
    for folder in reversed(folders):
        for file in sorted(Path(folder, _FOLDER).glob("*.yaml")):
            found[file.stem.lower()] = _merged(found.get(file.stem.lower(), {}), _load(file))
    return found


def _load(file: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=loader) or {}  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(file)}: this is not YAML: {error}".partition("\n")[0]) from error
    if not isinstance(data, dict):
        raise ConfigError(f"{shown(file)}: expected a mapping of names to values")
    for key, value in data.items():
        kind = list if key in _LISTS else dict if key in _MAPPINGS else object if key in _OTHERS else None
        if kind is None:
            raise ConfigError(
                f"{shown(file)}: unknown key {key!r}", hint=f"one of: {', '.join((*_LISTS, *_MAPPINGS, *_OTHERS))}"
            )
        if not isinstance(value, kind):
            raise ConfigError(f"{shown(file)}: {key}: expected a {'list' if kind is list else 'mapping'}")
    for tag, kind in (data.get("tags") or {}).items():
        if kind is not None and kind not in _TAG_KINDS:
            raise ConfigError(f"{shown(file)}: tags.{tag}: {kind!r} is no kind of tag", hint=f"one of: {', '.join(_TAG_KINDS)}")
    for names, text in (data.get("templates") or {}).items():
        if text is not None:
            try:
                _form(str(text), str(names))
            except ConfigError as error:
                raise ConfigError(f"{shown(file)}: {error.message}", hint=error.hint) from error
    return data


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(under)
    for key, value in over.items():
        if isinstance(value, list):
            made[key] = [*(made.get(key) or ()), *value] if key not in ("months", "variants") else value
        elif isinstance(value, dict):
            made[key] = {**(made.get(key) or {}), **value}
        else:
            made[key] = value
    return made
