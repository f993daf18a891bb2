"""What a recipe's language option says: the parser to use, and the words that questions are made of.

In: `conf/language/NAME.yaml`.  Out: a `Language`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Language:
    """A language by its ISO code.  `models` are spaCy pipelines, of which the first one that is installed is used."""

    name: str
    models: tuple[str, ...] = ()
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
