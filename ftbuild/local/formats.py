"""What an answer must look like: `response_format` as a grammar that the engine decodes by.

In: a JSON Schema, or the wish for any JSON object.  Out: a grammar of llguidance, which the tokens are held to.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ftbuild.local.protocol import ProtocolError

if TYPE_CHECKING:
    from ftbuild.local.asking import ChatRequest
    from ftbuild.local.library import Loaded

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_WRITTEN: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def grammar_for(request: ChatRequest, loaded: Loaded) -> str | None:
    """Return the grammar of a request's `response_format`; None if any text will do."""
    wanted = request.response_format
    kind = (wanted or {"type": "text"}).get("type")
    if wanted is None or kind == "text":
        return None
    if kind == "json_object":
        if not any("json" in m.text(place).casefold() for place, m in enumerate(request.messages)):
            message = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            raise ProtocolError(400, message, param="messages")
        return schema_grammar({"type": "object"}, loaded, "response_format")
    if kind != "json_schema":
        message = f"Invalid value for 'response_format.type': {kind!r}; 'text', 'json_object' and 'json_schema' are supported."
        raise ProtocolError(400, message, param="response_format.type", code="invalid_value")
    told = wanted.get("json_schema")
    if not isinstance(told, dict) or not isinstance(told.get("schema", {}), dict):
        raise ProtocolError(
            400, "Missing required parameter: 'response_format.json_schema'.", param="response_format.json_schema"
        )
    if not isinstance(told.get("name"), str) or not _NAME.fullmatch(told["name"]):
        message = "Invalid 'response_format.json_schema.name': expected 1 to 64 letters, digits, underscores or dashes."
        raise ProtocolError(400, message, param="response_format.json_schema.name", code="invalid_value")
    return schema_grammar(told.get("schema") or {"type": "object"}, loaded, "response_format")


def schema_grammar(schema: dict[str, Any], loaded: Loaded, param: str) -> str:
    """Return the grammar of what a JSON Schema allows, written in one line."""
    import llguidance

    try:
        grammar: str = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=_WRITTEN)
        wrong = llguidance.LLMatcher.validate_grammar(grammar, loaded.base.grammars)
    except ValueError as error:
        wrong = str(error)
    if wrong:
        message = f"Invalid schema for {param}: {wrong}".splitlines()[0]
        raise ProtocolError(400, message, param=param, code="invalid_json_schema")
    return grammar
