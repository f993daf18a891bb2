"""The templates of pages: whatever comes from a document or a model is escaped, and an unknown name is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftbuild import __version__
from ftbuild.console import seconds


def render(template: str, **values: Any) -> str:
    """Return a page of this folder's templates as HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = seconds
    return environment.get_template(template).render(version=__version__, **values)
