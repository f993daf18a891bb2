"""From plain YAML data to frozen dataclasses: every problem found at once, each with its key and the nearest right name.

In: what OmegaConf composed, as dicts, lists and scalars.  Out: an instance of a dataclass such as `ftbuild.recipe.Recipe`,
or a list of `Problem`.  The types in the dataclasses' annotations are the whole schema; `Annotated[Use[...], REGISTRY]`
stands for "a registered function by name, with its parameters beside it", `AtLeast` for the smallest number allowed.  Files
and line numbers are not known here: they are looked up by `ftbuild.config`, and only once something is wrong.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ftbuild.registry import Registry, Use

T = TypeVar("T")
_INVALID: Any = object()
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True)
class Problem:
    """Something to mend in a recipe: the dotted key, and what is wrong with it and what to write instead."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


@dataclass(frozen=True)
class AtLeast:
    """The smallest number that may stand somewhere: `Annotated[int, AtLeast(1)]`."""

    number: float


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint with the known name most like `name`, or else with all of them."""
    import difflib

    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"one of: {', '.join(known)}" if known else "nothing may stand here"


def build(cls: type[T], data: Any, problems: list[Problem], at: str = "") -> T:
    """Return `data` as an instance of the dataclass `cls`, adding whatever is wrong to `problems`.

    When `problems` has grown, the returned value must not be used.
    """
    return cast("T", _dataclass(cls, data, at, problems))


@cache
def hints(cls: type) -> dict[str, Any]:
    """Return the resolved annotations of a dataclass, with their `Annotated` extras."""
    return get_type_hints(cls, include_extras=True)


def _convert(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        inner, *extras = get_args(kind)
        registry = next((e for e in extras if isinstance(e, Registry)), None)
        if registry is None:
            return _bounded(_convert(inner, value, at, problems), extras, at, problems)
        return _name(registry, value, at, problems) if inner is str else _use(registry, value, at, problems)
    if origin in (Union, types.UnionType):
        return _union(kind, value, at, problems)
    if origin is Literal:
        return _literal(kind, value, at, problems)
    if origin in (list, tuple):
        return _sequence(kind, value, at, problems)
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        return _mapping(kind, value, at, problems)
    if is_dataclass(kind):
        return _dataclass(cast("type", kind), value, at, problems)
    return _scalar(kind, value, at, problems)


def _bounded(value: Any, extras: Iterable[Any], at: str, problems: list[Problem]) -> Any:
    for bound in (e for e in extras if isinstance(e, AtLeast)):
        if value is not _INVALID and not value >= bound.number:
            problems.append(Problem(at, f"expected {bound.number:g} or more, got {value!r}"))
            return _INVALID
    return value


def _wrong(at: str, value: Any, expected: str, problems: list[Problem]) -> Any:
    shown = "nothing" if value is None else repr(value)
    problems.append(Problem(at, f"expected {expected}, got {shown if len(shown) < 60 else shown[:57] + '...'}"))  # noqa: PLR2004
    return _INVALID


def _scalar(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    hint = ""
    if kind is str and isinstance(value, bool | int | float):
        hint = " (put it in quotes: YAML reads words such as no, on and 12:30 as something else)"
    if kind is float and isinstance(value, str):
        hint = " (YAML reads 1e-4 as text: write 1.0e-4)"
    return _wrong(at, value, _WORDS.get(kind, getattr(kind, "__name__", str(kind))) + hint, problems)


def _literal(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    choices = get_args(kind)
    if value in choices:
        return value
    problems.append(Problem(at, f"{value!r} is not a choice here; {nearest(str(value), map(str, choices))}"))
    return _INVALID


def _union(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    options = get_args(kind)
    if value is None and type(None) in options:
        return None
    options = tuple(o for o in options if o is not type(None))
    first: list[Problem] = []
    for option in options:
        trial: list[Problem] = []
        result = _convert(option, value, at, trial)
        if not trial:
            return result
        first = first or trial
    problems.extend(first)
    return _INVALID


def _sequence(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    if not isinstance(value, list | tuple):
        return _wrong(at, value, "a list", problems)
    inner = get_args(kind)[0]
    items = [_convert(inner, v, f"{at}[{i}]", problems) for i, v in enumerate(value)]
    return tuple(items) if get_origin(kind) is tuple else items


def _mapping(kind: Any, value: Any, at: str, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(at, value, "a mapping of names to values", problems)
    inner = get_args(kind)[1]
    return {str(k): _convert(inner, v, f"{at}.{k}", problems) for k, v in value.items() if v is not None or inner is Any}


def _dataclass(cls: type, value: Any, at: str, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        return _wrong(at, value, "a mapping", problems)
    known = {f.name: f for f in fields(cls)}
    before = len(problems)
    strange = [key for key in value if key not in known]
    problems += [Problem(_join(at, key), f"unknown key; {nearest(str(key), known)}") for key in strange]
    made = {}
    for name, field in known.items():
        if name in value:
            made[name] = _convert(hints(cls)[name], value[name], _join(at, name), problems)
        elif field.default is MISSING and field.default_factory is MISSING:
            problems.append(Problem(_join(at, name), "missing"))
    if len(problems) > before:
        return _INVALID
    try:
        return cls(**made)
    except ValueError as error:  # raised by a __post_init__ that checks fields against each other
        key, _, message = str(error).rpartition(": ")
        problems.append(Problem(_join(at, key) if key else at, message))
        return _INVALID


def _name(registry: Registry[Any], value: Any, at: str, problems: list[Problem]) -> Any:
    if isinstance(value, str) and value in registry:
        return value
    problems.append(Problem(at, f"there is no {registry.noun} {value!r}; {nearest(str(value), registry)}"))
    return _INVALID


def _use(registry: Registry[Any], value: Any, at: str, problems: list[Problem]) -> Use[Any]:
    noun = registry.noun
    if not isinstance(value, Mapping) or noun not in value:
        return cast("Use[Any]", _wrong(at, value, f"a mapping with a key {noun!r} ({nearest('', registry)})", problems))
    name = _name(registry, value[noun], _join(at, noun), problems)
    if name is _INVALID:
        return cast("Use[Any]", _INVALID)
    parameters = {p.name: p for p in registry.parameters(name)}
    for key in value:
        if key != noun and key not in parameters:
            hint = nearest(str(key), parameters)
            problems.append(Problem(_join(at, key), f"{noun} {name!r} has no parameter {key!r}; {hint}"))
    params: dict[str, Any] = {}
    before = len(problems)
    for parameter in parameters.values():
        if parameter.name in value:
            params[parameter.name] = _convert(parameter.type, value[parameter.name], _join(at, parameter.name), problems)
        elif parameter.required:
            problems.append(Problem(_join(at, parameter.name), f"missing: {noun} {name!r} needs it"))
    if len(problems) == before:
        problems += [Problem(_join(at, key), message) for key, message in registry.wrong(name, params)]
    return registry.use(name, **params)


def _join(at: str, key: object) -> str:
    return f"{at}.{key}" if at else str(key)
