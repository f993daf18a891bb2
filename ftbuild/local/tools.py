"""Functions that a model may call: shown to it by its chat template, its calls read from what it writes.

In: `tools` and `tool_choice`.  Out: tool calls.  Models write calls as `<tool_call>{"name": …, "arguments": …}</tool_call>`;
where a call is required, as that object alone, which the engine then holds them to.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbuild.local.formats import schema_grammar
from ftbuild.local.protocol import ProtocolError
from ftbuild.local.state import new_id

if TYPE_CHECKING:
    from ftbuild.local.asking import ChatRequest
    from ftbuild.local.library import Loaded

_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """The functions that the model is shown, those of which it must call one, and whether it is told which."""

    shown: tuple[dict[str, Any], ...] = ()
    required: tuple[dict[str, Any], ...] = ()
    named: bool = False

    @property
    def active(self) -> bool:
        """Whether there may be calls."""
        return bool(self.shown)

    def grammar(self, loaded: Loaded) -> str | None:
        """Return the grammar of a call that must be made; None if none must."""
        if not self.required:
            return None
        calls = [
            {
                "type": "object",
                "properties": {"name": {"const": f["name"]}, "arguments": f.get("parameters") or {"type": "object"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for f in self.required
        ]
        return schema_grammar({"anyOf": calls}, loaded, "tools")

    def read(self, text: str) -> tuple[str | None, list[dict[str, Any]]]:
        """Return what a text says beside its calls, and the calls."""
        if not self.shown:
            return text, []
        found = [text] if self.required else _CALL.findall(text)
        names = {tool["function"]["name"] for tool in self.shown}
        calls = [call for one in found if (call := _call(one, names))]
        if not calls:
            return text, []
        rest = "" if self.required else _CALL.sub("", text).strip()
        return rest or None, calls

    def finish(self, finish: str, calls: list[dict[str, Any]]) -> str:
        """Return why an answer ended: with calls, unless the caller said which one to make."""
        return "tool_calls" if calls and finish == "stop" and not self.named else finish


def choice(request: ChatRequest) -> Choice:
    """Return what a request says about functions, checked."""
    tools, chosen = request.tools or [], request.tool_choice
    for n, tool in enumerate(tools):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ProtocolError(400, f"Invalid value for 'tools[{n}]': expected a function with a name.", param=f"tools[{n}]")
    if chosen is not None and not tools:
        raise ProtocolError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    if chosen == "none":
        return Choice()
    if chosen in (None, "auto"):
        return Choice(tuple(tools))
    if chosen == "required":
        return Choice(tuple(tools), tuple(functions.values()))
    name = (chosen.get("function") or {}).get("name") if isinstance(chosen, dict) else None
    if name not in functions:
        message = "Invalid 'tool_choice': expected 'none', 'auto', 'required', or one of the functions in 'tools'."
        raise ProtocolError(400, message, param="tool_choice", code="invalid_value")
    return Choice(tuple(tools), (functions[name],), named=True)


def _call(text: str, names: set[str]) -> dict[str, Any] | None:
    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("name") not in names:
        return None
    arguments = told.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": new_id("call"), "type": "function", "function": {"name": told["name"], "arguments": written}}
