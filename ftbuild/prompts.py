"""Prompt templates: Jinja, in a sandbox, where an unknown variable is an error and a document is never a template.

In: the name of a template file and values.  Out: the rendered prompt.  A template's digest covers its includes, so that a
changed word in a shared part is a changed template.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ftbuild import paths
from ftbuild.digest import digest
from ftbuild.errors import ConfigError

if TYPE_CHECKING:
    import jinja2

_INCLUDE = re.compile(r"{%[-+]?\s*(?:include|extends|import|from)\s+(.*?)[-+]?%}", re.DOTALL)
_NAME = re.compile(r"['\"]([^'\"]+)['\"]")


def template_digest(name: str) -> str:
    """Return the digest of a template file and, in order, of everything it includes.  Needs no Jinja."""
    seen: dict[str, str] = {}
    waiting = [(name, False)]
    while waiting:
        current, optional = waiting.pop(0)
        if current not in seen:
            seen[current] = _text(current, optional=optional)
            for included in _INCLUDE.findall(seen[current]):
                names = _NAME.findall(included)
                waiting += [(n, len(names) > 1 or "ignore missing" in included) for n in names]
    return digest(list(seen.values()))


def _text(name: str, *, optional: bool) -> str:
    try:
        return paths.find_prompt(name).read_text(encoding="utf-8")
    except ConfigError:
        if optional:
            return ""
        raise


class Prompts:
    """Renders template files and templates that stand in a recipe."""

    @cached_property
    def _environment(self) -> jinja2.Environment:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(paths.prompt_folders()),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=False,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
            auto_reload=False,
        )

    def file(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a template file.  ConfigError names the file, the line and the variable that is not known."""
        if name not in self._files:
            paths.find_prompt(name)
            self._files[name] = self._loaded(name)
        return self._render(name, lambda: self._files[name] or self._environment.get_template(name), values)

    def _loaded(self, name: str) -> jinja2.Template | None:
        """Return a template file, which is loaded once, not once a row; None if it cannot be: rendering says why."""
        import jinja2

        try:
            return self._environment.get_template(name)
        except (jinja2.TemplateError, OSError, ValueError):
            return None

    @cached_property
    def _files(self) -> dict[str, jinja2.Template | None]:
        return {}

    def inline(self, where: str, text: str, values: Mapping[str, Any]) -> str:
        """Render a template that stands in the recipe under the key `where`."""
        return self._render(where, lambda: self._compiled(text), values)

    def _compiled(self, text: str) -> jinja2.Template:
        """Return a template that stands in a recipe; it is compiled once, not once a row."""
        if text not in self._known:
            self._known[text] = self._environment.from_string(text)
        return self._known[text]

    @cached_property
    def _known(self) -> dict[str, jinja2.Template]:
        return {}

    def _render(self, where: str, load: Any, values: Mapping[str, Any]) -> str:
        import jinja2

        try:
            return str(load().render(values))
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{error.name or where}:{error.lineno}: {error.message}") from error
        except jinja2.UndefinedError as error:
            known = ", ".join(sorted(k for k in values if not k.startswith("_")))
            raise ConfigError(f"{_place(where, error)}: {error.message}", hint=f"it may use: {known}") from error
        except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"{_place(where, error)}: {type(error).__name__}: {error}") from error


def _place(where: str, error: Exception) -> str:
    """Return the template and the line where an error arose; a template that is included has a name of its own."""
    folders = [f"{folder}/" for folder in paths.prompt_folders()]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename == "<template>":
            return f"{where}:{frame.lineno}"
        for folder in folders:
            if frame.filename.startswith(folder):
                return f"{frame.filename.removeprefix(folder)}:{frame.lineno}"
    return where
