"""Prompt templates: Jinja, in a sandbox, where an unknown variable is an error and a document is never a template.

In: the name of a template file and values.  Out: the rendered prompt.  A template's digest covers its includes, so that a
changed word in a shared part is a changed template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ftbuild import paths
from ftbuild.digest import digest
from ftbuild.errors import ConfigError

if TYPE_CHECKING:
    import jinja2

_INCLUDE = re.compile(r"{%-?\s*(?:include|extends|import|from)\s+['\"]([^'\"]+)['\"]")


def template_digest(name: str) -> str:
    """Return the digest of a template file and, in order, of everything it includes.  Needs no Jinja."""
    seen: dict[str, str] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop(0)
        if current not in seen:
            text = paths.find_prompt(current).read_text(encoding="utf-8")
            seen[current] = text
            waiting += _INCLUDE.findall(text)
    return digest(list(seen.values()))


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
            autoescape=False,  # noqa: S701 - prompts are plain text, not HTML
        )

    def file(self, name: str, values: Mapping[str, Any]) -> str:
        """Render a template file.  ConfigError names the file, the line and the variable that is not known."""
        paths.find_prompt(name)
        return self._render(name, lambda: self._environment.get_template(name), values)

    def inline(self, where: str, text: str, values: Mapping[str, Any]) -> str:
        """Render a template that stands in the recipe under the key `where`."""
        return self._render(where, lambda: self._environment.from_string(text), values)

    def _render(self, where: str, load: Any, values: Mapping[str, Any]) -> str:
        import jinja2

        try:
            return str(load().render(values))
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{error.name or where}:{error.lineno}: {error.message}") from error
        except jinja2.UndefinedError as error:
            known = ", ".join(sorted(k for k in values if not k.startswith("_")))
            raise ConfigError(f"{where}: {error.message}", hint=f"it may use: {known}") from error
        except jinja2.TemplateError as error:
            raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
