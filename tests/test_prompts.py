"""Prompt templates: strict, sandboxed, and known by a digest that covers all that they include."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbuild.errors import ConfigError
from ftbuild.prompts import Prompts, template_digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's own prompt folder, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts" / "parts").mkdir(parents=True)
    return tmp_path / "prompts"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name.replace('__', '/')}.j2").write_text(text, encoding="utf-8")


def test_a_template_is_rendered_with_its_values(folder: Path) -> None:
    write(folder, ask="{% if pairs > 1 %}\nWrite {{ pairs }} pairs\n{% endif %}\nabout {{ text }}.\n")
    assert Prompts().file("ask.j2", {"pairs": 2, "text": "Rome"}) == "Write 2 pairs\nabout Rome."


def test_a_document_is_never_rendered_as_a_template(folder: Path) -> None:
    write(folder, ask="The text:\n{{ text }}")
    text = "{{ 7*7 }} {% for x in y %} {# gone? #} <b> & ' \""
    assert Prompts().file("ask.j2", {"text": text}) == f"The text:\n{text}"
    assert Prompts().inline("format.prompt", "{{ text }}", {"text": text}) == text


def test_an_unknown_variable_is_an_error_with_file_line_and_what_there_is(folder: Path) -> None:
    write(folder, ask="About\n{{ txet }}")
    with pytest.raises(ConfigError) as caught:
        Prompts().file("ask.j2", {"text": "x", "pairs": 2})
    assert caught.value.message == "ask.j2:2: 'txet' is undefined"
    assert caught.value.hint == "it may use: pairs, text"


def test_an_unknown_variable_in_an_included_file_is_found_there(folder: Path) -> None:
    write(folder, ask="{% include 'parts/rules.j2' %}", parts__rules="\n\n{{ nobody }}")
    with pytest.raises(ConfigError, match=r"^parts/rules\.j2:3: 'nobody' is undefined$"):
        Prompts().file("ask.j2", {})


def test_an_inline_template_is_known_by_its_key() -> None:
    with pytest.raises(ConfigError, match=r"^format\.prompt:2: 'who' is undefined$"):
        Prompts().inline("format.prompt", "a\n{{ who }}", {})
    with pytest.raises(ConfigError, match=r"^format\.prompt:1: "):
        Prompts().inline("format.prompt", "{{ who", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{% if %}", r"^ask\.j2:2: Expected an expression"),
        ("a\n{{ text", r"^ask\.j2:2: "),
        ("a\n{{ 1 / 0 }}", r"^ask\.j2:2: ZeroDivisionError"),
        ("a\n{{ text + 1 }}", r"^ask\.j2:2: TypeError"),
        ("{% include 'absent.j2' %}", r"^ask\.j2:1: TemplateNotFound: 'absent\.j2'"),
        ("{{ text.__class__.__mro__ }}", r"^ask\.j2:1: SecurityError"),
        ("{{ ''.__init__.__globals__ }}", r"^ask\.j2:1: SecurityError"),
        ("{{ values.append(1) }}", r"^ask\.j2:1: SecurityError"),
        ("{{ range(99999999) | list }}", r"^ask\.j2:1: OverflowError"),
    ],
)
def test_whatever_a_template_does_wrong_is_one_line(folder: Path, text: str, message: str) -> None:
    write(folder, ask=text)
    with pytest.raises(ConfigError, match=message) as caught:
        Prompts().file("ask.j2", {"text": "x", "values": [1]})
    assert "\n" not in caught.value.message


def test_a_template_cannot_read_files_outside_the_prompt_folders(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret", encoding="utf-8")
    write(folder, ask="{% include '../secret.txt' %}")
    with pytest.raises(ConfigError, match="TemplateNotFound"):
        Prompts().file("ask.j2", {})


def test_a_missing_template_says_where_it_was_looked_for(folder: Path) -> None:
    message = r"no prompt template 'absent\.j2' \(looked in prompts, .*prompts\)"
    with pytest.raises(ConfigError, match=message):
        Prompts().file("absent.j2", {})
    with pytest.raises(ConfigError, match=message):
        template_digest("absent.j2")
    assert folder.is_dir()


def test_own_templates_shadow_the_shipped_ones_and_may_include_them(folder: Path) -> None:
    shipped = template_digest("basic.j2")
    write(folder, own="mine: {% include 'basic.j2' %}")
    rendered = Prompts().file("own.j2", {"section": "S", "subsection": "S", "subject": "x", "pairs": 3, "text": "y"})
    assert rendered.startswith('mine: Below is the section "S"')
    write(folder, basic="just {{ text }}")
    assert Prompts().file("basic.j2", {"text": "mine"}) == "just mine"
    assert template_digest("basic.j2") != shipped


@pytest.mark.parametrize(
    "reference",
    [
        "{% include 'parts/rules.j2' %}",
        '{% include "parts/rules.j2" %}',
        "{%- include 'parts/rules.j2' -%}",
        "{%+ include 'parts/rules.j2' %}",
        "{% extends 'parts/rules.j2' %}",
        "{% import 'parts/rules.j2' as rules %}",
        "{% from 'parts/rules.j2' import rule %}",
        "{% include ['parts/rules.j2', 'parts/other.j2'] %}",
        "{% include 'parts/middle.j2' %}",
    ],
)
def test_a_template_s_digest_covers_what_it_includes(folder: Path, reference: str) -> None:
    write(
        folder,
        ask=reference,
        parts__rules="one{% macro rule() %}{% endmacro %}",
        parts__other="other",
        parts__middle="{% include 'parts/rules.j2' %}",
    )
    before = template_digest("ask.j2")
    assert template_digest("ask.j2") == before
    write(folder, parts__rules="two{% macro rule() %}{% endmacro %}")
    assert template_digest("ask.j2") != before


def test_an_included_file_may_be_missing_only_where_the_template_says_so(folder: Path) -> None:
    write(folder, ask="{% include 'parts/rules.j2' ignore missing %}", must="{% include 'parts/rules.j2' %}")
    before = template_digest("ask.j2")
    with pytest.raises(ConfigError, match=r"no prompt template 'parts/rules\.j2'"):
        template_digest("must.j2")
    write(folder, parts__rules="now it is there")
    assert template_digest("ask.j2") != before


def test_templates_that_include_each_other_have_a_digest(folder: Path) -> None:
    write(folder, a="{% if x %}{% include 'b.j2' %}{% endif %}", b="{% include 'a.j2' %}")
    assert template_digest("a.j2") != template_digest("b.j2")


def test_a_template_that_nobody_includes_changes_no_digest(folder: Path) -> None:
    write(folder, ask="x", other="y")
    before = template_digest("ask.j2")
    write(folder, other="z")
    assert template_digest("ask.j2") == before
