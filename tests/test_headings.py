"""Headings in every format, and the patterns that name them."""

from __future__ import annotations

import pytest

from ftbuild.errors import ConfigError, FtbuildError
from ftbuild.headings import code, headings, named, paths


def found(text: str, format: str, pattern: str = "") -> list[tuple[int, str]]:
    made = headings(text, format, pattern)
    assert all(text[h.start : h.end].strip() and "\n" not in text[h.end : h.end + 1].strip("\n") for h in made)
    return [(h.level, h.text) for h in made]


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("== A ==", (2, "A")),
        ("==A==  ", (2, "A")),
        ("=== A ==", (2, "= A")),
        ("== A ===", (2, "A =")),
        ("== A == <!-- a comment -->", (2, "A")),
        ("== A == <!-- one --> <!-- two -->", (2, "A")),
        ("== A ==<ref>a book</ref>", (2, "A")),
        ("== A == <ref name=x />", (2, "A")),
        ("== A = b ==", (2, "A = b")),
        ("== A <ref>x=1</ref> ==", (2, "A <ref>x=1</ref>")),
        ("== ''A'' ==", (2, "''A''")),
        ("======= A =======", (6, "= A =")),
        ("= A =", (1, "A")),
        ("== A == b", None),
        (" == A ==", None),
        ("====", None),
        ("==", None),
        ("== A", None),
    ],
)
def test_headings_of_wikitext(line: str, heading: tuple[int, str] | None) -> None:
    assert found(f"x\n{line}\ny\n", "wikitext") == ([heading] if heading else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\n## B ##\n####### no\n#no\n### C#", [(1, "A"), (2, "B"), (3, "C#")]),
        ("A\n===\n\nB c\n---\ntext\n", [(1, "A"), (2, "B c")]),
        ("text\nA\n===\n", []),
        ("- item\n---\n\n---\n\n> quote\n---\n", []),
        ("```\n# no\n```\n# A\n", [(1, "A")]),
        ("~~~~ sh\n# no\n~~~\n```\n# no\n~~~~\n# A\n", [(1, "A")]),
        ("```\n# never closed\n", []),
        ("``` a ` b\n# A\n", [(1, "A")]),
        ("\\# no\n# A", [(1, "A")]),
        ("== A ==", []),
    ],
)
def test_headings_of_markdown(text: str, expected: list[tuple[int, str]]) -> None:
    assert found(text, "markdown") == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "第一章 起源\n正文", []),
        ("第.{1,4}章.*", "第一章 起源\n正文说第一章很好。\n  第十二章  结束\n", [(1, "第一章 起源"), (1, "第十二章  结束")]),
        (r"(第.{1,4}章.*)|(第.{1,4}节.*)", "第一章 起源\n第一节 材料\n", [(1, "第一章 起源"), (2, "第一节 材料")]),
        (
            r"\d+(?:\.\d+)* [A-Z].*",
            "1 Light\n1.2 The lamp\n3.5 m high\n1.2.1 Oil\n",
            [(1, "1 Light"), (2, "1.2 The lamp"), (3, "1.2.1 Oil")],
        ),
    ],
)
def test_headings_of_plain_text_are_what_a_pattern_says(pattern: str, text: str, expected: list[tuple[int, str]]) -> None:
    assert found(text, "text", pattern) == expected


def test_a_pattern_that_cannot_be_read_or_takes_for_ever_is_an_error() -> None:
    with pytest.raises(ConfigError, match="does not work"):
        headings("a", "text", "(")
    with pytest.raises(FtbuildError, match="takes more than"):
        headings("a" * 60 + "\n", "text", "(a|a)+b")


def test_paths_have_no_gaps() -> None:
    made = headings("# A\n### B\n## C\n# D\n", "markdown")
    assert list(paths(made)) == [("A",), ("A", "B"), ("A", "C"), ("D",)]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("B", "A/B", False),
        ("**/B", "A/B", True),
        ("**/B", "B", True),
        ("**/B", "A/C/B/D", True),
        ("A/**", "A/B/C", True),
        ("A/**/C", "A/C", True),
        ("A/**/C", "A/B/B/C", True),
        ("A/**/C", "D/B/C", False),
        ("*/B", "A/B", True),
        ("a/[bc]", "A/C", True),
        ("第1章*", "第１章 起源", True),
        ("ＡＢＣ", "abc", True),
        ("AC/DC", "AC/DC/History", True),
        ("A  b", "a b", True),
    ],
)
def test_patterns_name_headings(pattern: str, path: str, expected: bool) -> None:
    assert named(tuple(path.split("/")), [pattern]) is expected


def test_code_in_markdown_is_what_is_fenced_or_indented() -> None:
    text = "a\n\n    code\n    more\n\n```\nfenced\n```\n- item\n\n    - deeper\n"
    assert [text[a:b] for a, b in code(text)] == ["    code\n    more", "```\nfenced\n```"]
