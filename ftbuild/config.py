"""From command-line overrides to a validated `Recipe`, through Hydra.

In: overrides such as `+recipe=agrippina train.epochs=2`.  Out: a `Recipe`, or a `ConfigError` with one line for each
problem: the file and line (or "command line"), the key, what is wrong, the nearest right name.

Hydra composes (`ftbuild.composing`); `ftbuild.schema` checks.  Keys given on the command line are passed to Hydra as
`++key=value`, with or without a plus of their own, so that every key of the schema may be set whether or not a YAML file
mentions it, and so that one place judges all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftbuild import paths
from ftbuild.errors import ConfigError
from ftbuild.options import Options
from ftbuild.schema import Problem, build, nearest

if TYPE_CHECKING:
    from ftbuild.memo import Composed
    from ftbuild.recipe import Recipe
    from ftbuild.store import Store
    from ftbuild.sweep import Job

_PLAIN_OVERRIDE = re.compile(r"^\+?(?P<key>[A-Za-z_][\w.@/-]*)=")
_PLACED = r"""[^,=:'"\[\]{}()]"""  # what has no meaning of its own in Hydra's grammar
_QUOTED = re.compile(rf"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?=\S){_PLACED}*[^\x00-\x7f]{_PLACED}*""")
"""A quoted string, or a word that Hydra's grammar does not read unless it is quoted: one with letters beyond ASCII."""
_SECRET = re.compile(r"(?i)(^|[+._{,])\s*(api_?key|token|secret|password)\s*[=:]\s*\S|\bsk-[\w-]{16,}")


def rewrite(overrides: Sequence[str]) -> list[str]:
    """Return the overrides as Hydra wants them: `recipe=x` gets its plus, plain keys get two."""
    known = paths.groups()
    rewritten = [_rewrite(quoted(o), known) for o in overrides]
    for override in overrides:
        _whole_provider(override, overrides)
    return rewritten


def quoted(override: str) -> str:
    """Return an override with quotes around the words of its value that hold letters beyond ASCII, where there are none."""
    key, equals, value = override.partition("=")
    return key + equals + _QUOTED.sub(lambda m: m[0] if m[0][0] in "'\"" else f"'{m[0]}'", value)


def _whole_provider(override: str, overrides: Sequence[str]) -> None:
    """Refuse to set one key of a teacher's, trainer's or judge's provider that is only a reference: the rest of it would go."""
    match = re.match(r"\+{0,2}((teacher|trainer|judge)\.provider)\.", override)
    if match and not any(_has_own(o.lstrip("+"), match[2]) for o in overrides):
        raise ConfigError(
            f"{override.lstrip('+').partition('=')[0]} (command line): the {match[2]}'s provider is the recipe's own",
            hint=f"set provider.… for both, or give it one of its own first: {match[2]}=NAME",
        )


def _has_own(override: str, who: str) -> bool:
    """Say whether an override gives a teacher, trainer or judge a provider of its own."""
    return override.startswith((f"provider@{who}.provider=", f"{who}=")) and override != f"{who}=provider"


def _rewrite(override: str, known: set[str]) -> str:
    if _SECRET.search(override):
        key = override.partition("=")[0]
        raise ConfigError(
            f"{key} (command line): a key on the command line ends up in shell histories and logs",
            hint="put it into an environment variable and name that with provider.api_key_env=NAME",
        )
    match = _PLAIN_OVERRIDE.match(override)
    if match is None:
        return override
    key = match["key"]
    if key in ("recipe", "sweep"):
        return "+" + override.lstrip("+")
    if key.partition("@")[0] in known or key.startswith(("hydra.", "hydra/")):
        value = override.partition("=")[2]
        if key in known and re.fullmatch(r"(?i)[-+.\d]+|true|false|null", value):  # Hydra wants words here
            raise ConfigError(f"{key} (command line): there is no option {value!r}; {nearest(value, paths.options(key))}")
        return override
    return "++" + override.lstrip("+")


def recipe_from(composed: Composed) -> Recipe:
    """Return the composed configuration as a checked Recipe.  ConfigError lists everything that is wrong with it."""
    from ftbuild.recipe import Recipe

    choices = composed.choices
    if "recipe" not in choices:
        known = ", ".join(paths.options("recipe"))
        raise ConfigError("no recipe was named", hint=f"say which one: +recipe=NAME (there are {known})")
    if "recipe" in composed.data:
        file = next(f for c in paths.conf_folders() if (f := c / "recipe" / f"{choices['recipe']}.yaml").is_file())
        raise ConfigError(f"{paths.shown(file)}:1: a recipe begins with the line '# @package _global_'")
    data = {"name": choices["recipe"], **{k: v for k, v in composed.data.items() if k not in NOT_RECIPE}}
    problems: list[Problem] = []
    recipe = build(Recipe, data, problems)
    if not problems:
        problems = list(recipe.problems())
    if problems:
        from ftbuild.locate import locate

        raise ConfigError(*(f"{locate(p.key, choices, composed.overrides)}: {p}" for p in problems))
    return recipe


NOT_RECIPE = frozenset({"store", "builds", "sweep_name", *Options.__dataclass_fields__})


def shipped(path: Path) -> bool:
    """Say whether a configuration file is one of ours rather than the user's."""
    return paths.SHIPPED_CONF in path.parents


@dataclass(frozen=True)
class Build:
    """A recipe, how to build it, where its results go, and where everything is kept.

    `composed` is what the command line was composed into, `memo` the key under which a later one may find that; `job` is set
    for a job of a sweep.
    """

    recipe: Recipe
    options: Options
    store: Store
    folder: Path
    composed: Composed
    job: Job | None = None
    memo: str | None = None

    @property
    def lock(self) -> Path | None:
        """The lock file, unless there is to be none.  The jobs of a sweep are trials, and leave it alone."""
        return Path(self.options.lock) if self.options.lock and self.job is None else None


def build_from(composed: Composed, memo: str | None = None) -> Build:
    """Return the composed configuration as a build: the checked recipe and options, and where everything lies."""
    from ftbuild.knownfiles import remember_in
    from ftbuild.store import Store

    recipe, data = recipe_from(composed), composed.data
    problems: list[Problem] = []
    options = build(Options, {name: data[name] for name in Options.__dataclass_fields__ if name in data}, problems)
    if problems:
        raise ConfigError(*(f"command line: {p}" for p in problems))
    folder, job = Path(str(data["builds"])) / recipe.name, None
    if composed.number is not None:
        from ftbuild.sweep import job_of

        job = job_of(composed)
    store = Store(Path(str(data["store"])))
    remember_in(store.root / "digests")
    return Build(recipe, options, store, job.folder(folder) if job else folder, composed, job, memo)


def described_recipes() -> list[tuple[str, str, str]]:
    """Return name, file and first comment of every recipe; the user's come before ours of the same name."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder in paths.conf_folders():
        for file in sorted((folder / "recipe").rglob("*.yaml")):
            name = file.relative_to(folder / "recipe").with_suffix("").as_posix()
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
            shown = "shipped" if shipped(file) else paths.shown(file)
            found.setdefault(name, (name, shown, comments[0] if comments else ""))
    return sorted(found.values())
