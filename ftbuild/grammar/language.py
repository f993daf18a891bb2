"""What a recipe's language option says: the parser to use, and the words that questions are made of.

In: `conf/language/NAME.yaml`, and the file of words that it names, which is read only where questions are made: it is long.
Out: a `Language`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from ftbuild.errors import ConfigError
from ftbuild.paths import find_file, shown
from ftbuild.schema import Problem, build


@dataclass(frozen=True)
class Language:
    """A language by its ISO code.  `models` are spaCy pipelines, of which the first one that is installed is used.

    `words` names a file with values for the other fields; what a recipe says itself comes before them.
    """

    name: str
    models: tuple[str, ...] = ()
    words: str = ""
    people: tuple[str, ...] = ()
    men: tuple[str, ...] = ()
    women: tuple[str, ...] = ()
    masculine: tuple[str, ...] = ()
    feminine: tuple[str, ...] = ()
    plural: tuple[str, ...] = ()
    neuter: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    concessions: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    factive: tuple[str, ...] = ()
    irregular: dict[str, tuple[str, ...]] = field(default_factory=dict)
    synonyms: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    @cached_property
    def person_nouns(self) -> frozenset[str]:
        """The common nouns that mean persons."""
        return frozenset({*self.people, *self.men, *self.women})

    @cached_property
    def men_nouns(self) -> frozenset[str]:
        """The nouns and titles that mean a man."""
        return frozenset(self.men)

    @cached_property
    def women_nouns(self) -> frozenset[str]:
        """The nouns and titles that mean a woman."""
        return frozenset(self.women)

    @cached_property
    def pronouns(self) -> frozenset[str]:
        """The pronouns that stand for somebody or something named before."""
        return frozenset({*self.masculine, *self.feminine, *self.plural, *self.neuter})


def spoken(language: Language) -> Language:
    """Return a language with the words of its file.  ConfigError names whatever is wrong with that."""
    if not language.words:
        return language
    import yaml

    file = find_file(language.words)
    try:
        data = yaml.load(file.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one, in C
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(file)}: not YAML: {str(error).splitlines()[0]}") from error
    problems: list[Problem] = []
    own = {f.name: value for f in fields(language) if (value := getattr(language, f.name))}
    found = build(Language, {"name": language.name, **(data if isinstance(data, dict) else {"": data})}, problems)
    if problems:
        raise ConfigError(*(f"{shown(file)}: {p}" for p in problems))
    return replace(found, **own)
