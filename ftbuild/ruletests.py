"""The tests of its cleaning rules that a recipe carries: what the rules are to make of a text.

    clean:
      tests:
        quotations: {given: "He said {{quote|so}}.", expect: "He said so."}

In: the `clean` part of a recipe.  Out: what failed, with both texts.  They are run by `ftbuild check`, and before documents
are cleaned.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ftbuild.errors import ConfigError, FtbuildError
from ftbuild.records import Document
from ftbuild.schema import nearest

if TYPE_CHECKING:
    from ftbuild.recipe import Clean, CleanTest
    from ftbuild.registry import Use


@dataclass(frozen=True)
class Failure:
    """A test that failed: what was expected, and what came instead.  `problem` says so if nothing came."""

    test: str
    expected: str
    got: str
    problem: str = ""

    def diff(self) -> list[str]:
        """Return the two texts as lines of a diff, without a head."""
        if self.problem:
            return [f"  {self.problem}"]
        lines = difflib.ndiff(_lines(self.expected), _lines(self.got))
        return [f"  {line.rstrip()}" for line in lines]


def _lines(text: str) -> list[str]:
    return text.splitlines() or [""]


def failures(wanted: Clean, *, lenient: bool = False) -> Iterator[Failure]:
    """Yield the tests that fail.  ConfigError for one that names a rule that there is not; `lenient` passes over it."""
    for name, test in wanted.tests.items():
        if lenient and set(test.rules) - set(wanted.rules):
            continue
        yield from _failed(name, test, _rules(name, test, wanted.rules), wanted.seconds)


def _rules(name: str, test: CleanTest, rules: Mapping[str, Use[Any]]) -> dict[str, Use[Any]]:
    for rule in test.rules:
        if rule not in rules:
            raise ConfigError(f"clean.tests.{name}.rules: there is no rule {rule!r}; {nearest(rule, rules)}")
    return {n: rule for n, rule in rules.items() if n in test.rules or not test.rules}


def _failed(name: str, test: CleanTest, rules: Mapping[str, Use[Any]], seconds: float) -> Iterator[Failure]:
    from ftbuild.cleaning import cleaned

    given, expected = ((t,) if isinstance(t, str) else t for t in (test.given, test.expect))
    if len(given) != len(expected):
        raise ConfigError(f"clean.tests.{name}: {len(given)} texts are given, {len(expected)} expected")
    lines = [json.dumps(asdict(Document(f"{n}", "", text, test.format, test.meta))) for n, text in enumerate(given)]
    items = cleaned(lines, rules, seconds=seconds, jobs=1)
    for number, (item, wish) in enumerate(zip(items, expected, strict=True), start=1):
        label = name if len(given) == 1 else f"{name}, text {number}"
        got = "" if item.dropped else json.loads(item.line)["text"]
        if item.failed:
            yield Failure(label, wish, "", f"{item.by}: {item.dropped}")
        elif got.strip() != wish.strip():
            yield Failure(label, wish, got)


def verify(wanted: Clean) -> None:
    """Raise FtbuildError if a test fails.  Those of rules that were switched off are passed over."""
    found = list(failures(wanted, lenient=True))
    if found:
        first = "\n".join(found[0].diff())
        more = f"\nand {len(found) - 1} more" if len(found) > 1 else ""
        raise FtbuildError(
            f"clean.tests.{found[0].test}: the rules do not make of it what is expected (- expected, + made)\n{first}{more}",
            hint="ftbuild check +recipe=… shows all of them",
        )
