"""What stands in a template's place: a small language of forms, so that a table can say it.

    "{2}"                         its second parameter
    "{text|1}"                    the one called text, or else the first
    "{1}[ ({2}[, {3}])]"          what is in square brackets goes when a parameter in it (not deeper) is missing
    "{*}"  "{2*}"  "{*: / }"      all unnamed ones, those from the second on, with what stands between them
    "{~}"  "{~1}"                 the language that the * of a name such as `lang-*` stood for, or that the first parameter is
    "{#}"  "{##}"                 what the * stood for itself, as it is, and in capitals
    "{@convert}"                  what the function of that name makes of all of them (`ftbuild.wikitext.functions`)
    " – "                         just this

In: a form as a string, once.  Out: a function from a template's parameters to text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.wikitext.functions import FUNCTIONS

if TYPE_CHECKING:
    from ftbuild.wikitext.tables import Table

Params = Mapping[str, str]
Form = Callable[[Params, "Table"], str]

_TOKEN = re.compile(r"\{([^{}]*)\}|([\[\]])|([^\[\]{}]+)|(.)", re.DOTALL)
_LIST = re.compile(r"(\d*)\*(?::(.*))?", re.DOTALL)
_DEEPEST = 8


def form(text: str, where: str) -> Form:
    """Return the function that a form stands for.  ConfigError, naming `where` it stands, for one that has no meaning."""
    groups: list[list[Form]] = [[]]
    for token in _TOKEN.finditer(text):
        if token[1] is not None:
            groups[-1].append(_part(token[1], where))
        elif token[2] == "[":
            groups.append([])
        elif token[2] == "]":
            if len(groups) == 1:
                raise ConfigError(f"{where}: the form {text!r} closes a bracket that it does not open")
            inner = groups.pop()
            groups[-1].append(_optional(inner))
        else:
            groups[-1].append(_literal(token[0]))
        if len(groups) > _DEEPEST:
            raise ConfigError(f"{where}: the form {text!r} has too many brackets in brackets")
    if len(groups) > 1:
        raise ConfigError(f"{where}: the form {text!r} opens a bracket that it does not close")
    parts = groups[0]
    return parts[0] if len(parts) == 1 else lambda params, table: "".join([p(params, table) for p in parts])


def _literal(text: str) -> Form:
    return lambda params, table: text  # noqa: ARG005 - all forms are called alike


def _optional(parts: list[Form]) -> Form:
    """Return a form that is empty when one of its parts is; a group in it, which may be empty, says so by a name."""

    def made(params: Params, table: Table) -> str:
        out = []
        for part in parts:
            text = part(params, table)
            if not text and part.__name__ != "made":
                return ""
            out.append(text)
        return "".join(out)

    return made


def _part(names: str, where: str) -> Form:
    if names.startswith("@"):
        function = FUNCTIONS.get(names[1:])
        if function is None:
            raise ConfigError(f"{where}: there is no function {names[1:]!r}", hint=f"one of: {', '.join(sorted(FUNCTIONS))}")
        return function
    if names.startswith("~"):
        key = names[1:] or "~"
        return lambda params, table: _language(params.get(key, "").lower(), table)
    if names in ("#", "##"):
        return lambda params, table: params.get("~", "").upper() if names == "##" else params.get("~", "")  # noqa: ARG005
    if match := _LIST.fullmatch(names):
        first, between = int(match[1] or 1), ", " if match[2] is None else match[2]
        return lambda params, table: between.join(_unnamed(params, first))  # noqa: ARG005
    several = tuple(name.strip() for name in names.split("|"))
    if len(several) == 1:
        return lambda params, table: params.get(names, "")  # noqa: ARG005
    return lambda params, table: next((params[n] for n in several if params.get(n)), "")  # noqa: ARG005


def _language(code: str, table: Table) -> str:
    """Return the name of a language, or of the one that it is a kind of: `grc-gre` is Greek of the ancients as `grc` is."""
    while code not in table.languages and "-" in code:
        code = code.rpartition("-")[0]
    return table.languages.get(code, "")


def _unnamed(params: Params, first: int) -> list[str]:
    numbered = sorted(int(name) for name in params if name.isascii() and name.isdigit() and len(name) < 6)  # noqa: PLR2004
    return [params[str(n)] for n in numbered if n >= first and params.get(str(n))]
