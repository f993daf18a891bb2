"""Plain Markdown, which all readers give: what looks like a heading and is none."""

from __future__ import annotations

import pytest

from ftbuild.plain import HEADING, escape, heading, joined, table, unescape

TEXTS = [
    "# comment",
    "\\# so written",
    "\\\\## twice",
    "a\n  ### indented\n#",
    "#hashtag",
    "####### seven",
    "x # y",
    "\\",
    "# \n\t# #",
    "Title\n=====",
    "a\n\\---\n--",
    "```py\n# x\n```\n~~~",
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_escaped_comes_back_and_holds_no_heading(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not HEADING.search("\n".join(line.strip() for line in escape(text).splitlines()))


def test_what_cannot_be_misread_is_left_alone() -> None:
    assert escape("#hashtag, C#\nx # y\n####### seven") == "#hashtag, C#\nx # y\n####### seven"


@pytest.mark.parametrize("name", ["C#", "F #", "Otters", "# #", "第一章 ##"])
def test_a_heading_keeps_its_text(name: str) -> None:
    match = HEADING.fullmatch(heading(2, name))
    assert match is not None
    assert (match[1], match[2]) == ("##", name)


def test_blocks_are_put_together() -> None:
    assert heading(9, " deep\n one ") == "###### deep one"
    assert table([["a", "b|c"], ["", ""], ["1\n2", "3"]]) == "| a | b/c |\n| 1 2 | 3 |"
    assert joined(["# A", "", "x\n", "- y\n- z"]) == "# A\n\nx\n\n- y\n- z\n"
    assert joined([]) == ""
