"""One registry for everything that a recipe calls by name: sources, rules, parsers, row kinds, graders, filters, providers.

Adding one is a decorated function and a line of YAML:

    >>> RULES = Registry("rule", home="ftbuild.rules")
    >>> @RULES("shout")
    ... def shout(text: str, *, mark: str = "!") -> str:
    ...     '''End the text with a mark.'''
    ...     return text + mark
    >>> RULES.use("shout", mark="?")("who")
    'who?'

The function's positional parameters are what the stage passes in; its keyword-only parameters are what the recipe may set,
with the types and defaults that the signature declares (`ftbuild.schema` checks them before any work).  This module imports
nothing of the package: a registry's members live in the module named by `home`, or in the modules of the package of that name.
Those are imported when they are looked for, and a function that has a module of its own name is looked for there first.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Wrong = tuple[str, str]
"""A parameter's name and what is wrong with it beside the others."""


@dataclass(frozen=True)
class Parameter:
    """One keyword-only parameter of a registered function: what a recipe may set."""

    name: str
    type: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class Use(Generic[R]):
    """A registered function with the parameters that a recipe gave it.  Calling it calls the function."""

    noun: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[..., R] | None = field(default=None, compare=False, repr=False)
    aside: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def identity(self) -> dict[str, Any]:
        """The parameters that can change what the function returns."""
        return {name: value for name, value in self.params.items() if name not in self.aside}

    def __call__(self, *args: Any) -> R:
        """Call the function with what the stage passes in and what the recipe set."""
        assert self.function is not None
        return self.function(*args, **self.params)


class Registry(Generic[R]):
    """Functions of one kind by name.  `noun` is also the key that names the function in YAML (`rule: drop_tags`)."""

    def __init__(self, noun: str, *, home: str) -> None:
        self.noun = noun
        self._home = home
        self._functions: dict[str, Callable[..., R]] = {}
        self._files: dict[str, tuple[str, ...]] = {}
        self._formats: dict[str, tuple[str, ...]] = {}
        self._depends: dict[str, Callable[[Any], Mapping[str, str]] | None] = {}
        self._traits: dict[str, Mapping[str, Any]] = {}
        self._readings: dict[str, int] = {}
        self._aside: dict[str, tuple[str, ...]] = {}
        self._check: dict[str, Callable[[Mapping[str, Any]], Iterable[Wrong]] | None] = {}

    def __call__(
        self,
        name: str,
        *,
        files: tuple[str, ...] = (),
        formats: tuple[str, ...] = (),
        depends: Callable[[Any], Mapping[str, str]] | None = None,
        readings: int = 0,
        aside: tuple[str, ...] = (),
        check: Callable[[Mapping[str, Any]], Iterable[Wrong]] | None = None,
        **traits: Any,
    ) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
        """Register the decorated function under `name`.

        `files` names those of its parameters that name a local file; `formats` are those of documents that it is for, if it is
        not for all; `depends` says what else the result depends on, such as the version of a model, given whatever those who
        ask about this kind of function have to offer; `readings` is how many times it reads all that there is, if it is one
        that is not given one thing at a time; `aside` names parameters that change how it works and never what it
        returns, such as the name of a variable that holds a key; `check` yields what is wrong with parameters that are right
        each by itself, as the name of one and a message; `traits` are whatever else those who call this kind may ask for by
        name.
        """

        def register(function: Callable[P, Any]) -> Callable[P, Any]:
            if name in self._functions:
                raise ValueError(f"two functions are registered as {self.noun} {name!r}")
            self._functions[name] = function
            self._files[name] = files
            self._formats[name] = formats
            self._depends[name] = depends
            self._traits[name] = traits
            self._readings[name] = readings
            self._aside[name] = aside
            self._check[name] = check
            return function

        return register

    def __iter__(self) -> Iterator[str]:
        self._import_all()
        return iter(sorted(self._functions))

    def __contains__(self, name: object) -> bool:
        self._import(name)
        return name in self._functions

    def __getitem__(self, name: str) -> Callable[..., R]:
        self._import(name)
        return self._functions[name]

    def _import(self, name: object) -> None:
        """Import what registers the function called `name`: the module of its home that is called so, or else all of them."""
        if name in self._functions:
            return
        if isinstance(name, str) and name.isidentifier():
            from importlib.util import find_spec

            if hasattr(importlib.import_module(self._home), "__path__") and find_spec(module := f"{self._home}.{name}"):
                importlib.import_module(module)
        if name not in self._functions:
            self._import_all()

    def _import_all(self) -> None:
        from pkgutil import iter_modules

        home = importlib.import_module(self._home)
        for module in iter_modules(getattr(home, "__path__", ())):
            importlib.import_module(f"{self._home}.{module.name}")

    def use(self, name: str, **params: Any) -> Use[R]:
        """Bind parameters to the function called `name`.  KeyError if there is none."""
        return Use(self.noun, name, params, self[name], self._aside[name])

    def parameters(self, name: str) -> tuple[Parameter, ...]:
        """Return what a recipe may set on the function called `name`, from its signature."""
        function = inspect.unwrap(self[name])
        return tuple(
            Parameter(p.name, _resolved(p.annotation, function), p.default, required=p.default is p.empty)
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        )

    def files(self, use: Use[R]) -> list[str]:
        """Return the local files that a use of a function names in its parameters, each alone or in a list."""
        named = [use.params[p] for p in self._files[use.name] if use.params.get(p)]
        return [str(file) for files in named for file in (files if isinstance(files, list | tuple) else (files,))]

    def suits(self, name: str, format_: str) -> bool:
        """Say whether the function called `name` is for documents of a format."""
        self._import(name)
        return not self._formats[name] or format_ in self._formats[name]

    def trait(self, name: str, trait: str) -> Any:
        """Return what the function called `name` was registered with under the name of a trait, or None."""
        self._import(name)
        return self._traits[name].get(trait)

    def readings(self, name: str) -> int:
        """Return how many times the function called `name` reads all there is, or 0 if it is given one thing at a time."""
        self._import(name)
        return self._readings[name]

    def depends(self, name: str, given: Any) -> dict[str, str]:
        """Return what else the result of the function called `name` depends on besides its arguments, by name."""
        self._import(name)
        told = self._depends[name]
        return dict(told(given)) if told else {}

    def wrong(self, name: str, params: Mapping[str, Any]) -> list[Wrong]:
        """Return what is wrong with the parameters of the function called `name` taken together."""
        self._import(name)
        check = self._check[name]
        declared = {p.name: p.default for p in self.parameters(name) if not p.required}
        return list(check({**declared, **params})) if check else []

    def summary(self, name: str) -> str:
        """Return the first line of the function's docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """Return an annotation as a type; those of positional parameters may name what only a type checker imports."""
    return eval(annotation, function.__globals__) if isinstance(annotation, str) else annotation  # noqa: S307 - our own source
