"""From headings to sections: the tree of headings, its levels, and which sections a recipe keeps."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ftbuild.errors import ConfigError
from ftbuild.recipe import Split, Structure
from ftbuild.records import Document, Section
from ftbuild.stages import structure as structure_stage
from ftbuild.stages.structure import sections, selected, tidied
from ftbuild.tokens import of_encoding
from tests.helpers import run_stage
from tests.workshop import Workshop

ARTICLE = """\
The lead.

== Synopsis ==
=== Act 1 ===
First.

Still first.
==== Scene 2 ====
A scene.
=== Act 2 ===
Second.
== Music ==
Notes.
== Empty ==
"""


def split(text: str, *, levels: int = 6, format: str = "wikitext") -> list[tuple[str, str]]:
    document = Document("doc", "Title", text, format)
    return [("/".join(s.path), s.text) for s in sections(document, levels=levels, lead="Introduction")]


def test_every_heading_with_text_of_its_own_is_a_section_below_the_headings_above_it() -> None:
    assert split(ARTICLE) == [
        ("Introduction", "The lead."),
        ("Synopsis/Act 1", "First.\nStill first."),
        ("Synopsis/Act 1/Scene 2", "A scene."),
        ("Synopsis/Act 2", "Second."),
        ("Music", "Notes."),
    ]


def test_headings_below_the_levels_stay_in_the_text() -> None:
    assert split(ARTICLE, levels=2)[1] == ("Synopsis/Act 1", "First.\nStill first.\nScene 2\nA scene.")
    assert split(ARTICLE, levels=1) == [
        ("Introduction", "The lead."),
        ("Synopsis", "Act 1\nFirst.\nStill first.\nScene 2\nA scene.\nAct 2\nSecond."),
        ("Music", "Notes."),
    ]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("==Plot==", "Plot"),
        ("==  Plot  ==  ", "Plot"),
        ("== A = b ==", "A = b"),
        ("== Plot ===", "Plot ="),
        ("====== Plot ======", "Plot"),
        ("= Plot =", "Plot"),
        ("== 剧情 ==", "剧情"),
    ],
)
def test_a_line_between_equals_signs_is_a_heading(line: str, path: str) -> None:
    assert split(f"{line}\ntext") == [(path, "text")]


@pytest.mark.parametrize("line", ["a == b == c", " == Plot ==", "== Plot", "== Plot == and more"])
def test_other_lines_with_equals_signs_are_text(line: str) -> None:
    assert [path for path, _ in split(f"{line}\ntext")] == ["Introduction"]


def test_a_skipped_level_hangs_below_what_is_above_it() -> None:
    assert split("== A ==\n==== B ====\nb\n=== C ===\nc\n== D ==\nd") == [("A/B", "b"), ("A/C", "c"), ("D", "d")]


def test_markdown_has_headings_of_its_own() -> None:
    text = "Lead\n# A\na\n## B ##\nb\n#no heading\n== C ==\n# D\nd"
    assert split(text, format="markdown") == [
        ("Introduction", "Lead"),
        ("A", "a"),
        ("A/B", "b\n#no heading\n== C =="),
        ("D", "d"),
    ]
    assert split("# A\na\n## B\nb", format="markdown", levels=1)[0][0] == "A"
    assert len(split("# A\na\n## B\nb", format="markdown", levels=1)) == 1


def test_plain_text_is_one_section() -> None:
    assert split("# A\n\na\n  b  ", format="text") == [("Introduction", "# A\na\nb")]


@pytest.mark.parametrize("text", ["", "\n \n", "== A ==\n== B =="])
def test_a_document_without_text_has_no_sections(text: str) -> None:
    assert split(text) == []


def test_a_section_says_where_it_comes_from_and_keeps_its_id() -> None:
    document = Document("doc", "Title", ARTICLE, "wikitext")
    first, *rest = sections(document, levels=6, lead="Introduction")
    assert (first.document, first.title) == ("doc", "Title")
    again = [s.id for s in sections(document, levels=6, lead="Introduction")]
    assert [first.id, *(s.id for s in rest)] == again
    assert len(set(again)) == len(again)
    shorter = Document("doc", "Title", ARTICLE.partition("== Music")[0], "wikitext")
    assert [s.id for s in sections(shorter, levels=6, lead="Introduction")] == again[:-1]


@pytest.mark.parametrize(
    ("path", "select", "drop", "kept"),
    [
        ("Synopsis", (), (), True),
        ("Synopsis", ("Synopsis",), (), True),
        ("Synopsis/Act 1", ("Synopsis",), (), True),
        ("Synopsis/Act 1/Scene 2", ("Synopsis",), (), True),
        ("Music", ("Synopsis",), (), False),
        ("Music/Synopsis", ("Synopsis",), (), False),
        ("Synopsis of a kind", ("Synopsis",), (), False),
        ("Synopsis of a kind", ("Synopsis*",), (), True),
        ("Synopsis/Act 1", ("Synopsis/Act *",), (), True),
        ("Synopsis", ("Synopsis/Act *",), (), False),
        ("Synopsis/People", ("Synopsis/Act *",), (), False),
        ("synopsis/act 1", ("SYNOPSIS/Act ?",), (), True),
        ("Music", ("Synopsis", "Mus*"), (), True),
        ("Synopsis/Act 1", ("Synopsis",), ("Synopsis/Act 1",), False),
        ("Synopsis/Act 1/Scene 2", ("Synopsis",), ("Synopsis/Act 1",), False),
        ("Synopsis/Act 2", ("Synopsis",), ("Synopsis/Act 1",), True),
        ("Notes", (), ("Notes",), False),
        ("Introduction", ("Synopsis",), (), False),
    ],
)
def test_patterns_name_a_section_or_a_heading_above_it(
    path: str, select: tuple[str, ...], drop: tuple[str, ...], *, kept: bool
) -> None:
    assert selected(tuple(path.split("/")), select, drop) is kept


def structured(folder: Path, *documents: Document, **wanted: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    parts = {"structure": Structure(**wanted)}
    made, facts = run_stage("structure", folder, parts, {"clean/documents.jsonl": documents})
    return made["sections.jsonl"], facts


def test_the_stage_keeps_the_selected_sections_of_every_document(tmp_path: Path) -> None:
    documents = [Document(name, name.title(), ARTICLE, "wikitext") for name in ("one", "two")]
    made, facts = structured(tmp_path, *documents, select=("Synopsis",), drop=("*/Act 2",))
    assert [(s["document"], s["title"], s["path"][-1]) for s in made] == [
        ("one", "One", "Act 1"),
        ("one", "One", "Scene 2"),
        ("two", "Two", "Act 1"),
        ("two", "Two", "Scene 2"),
    ]
    assert facts == {"sections": 4, "characters": 2 * len("First.\nStill first.A scene.")}


def test_a_selection_that_is_nearly_right_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    article = Document("one", "One", ARTICLE, "wikitext")
    with pytest.raises(ConfigError, match=r"no section is called Synopsys; did you mean 'Synopsis'\?"):
        structured(tmp_path / "a", article, select=("Synopsys",))
    made, _ = structured(tmp_path / "b", article, select=("Music", "Act 2"))
    assert len(made) == 1
    assert "structure.select: no section is called Act 2; did you mean 'Synopsis/Act 2'?" in capsys.readouterr().err


FORMATS = {
    "wikitext": ARTICLE,
    "markdown": "The lead.\n\n# Synopsis\n## Act 1\nFirst.\n\n- one\n    - two  \n"
    "### Scene 2 ###\nA scene.\n\\# no\n\nMusic\n=====\nNotes.\n",
    "text": "The lead.\n\n1 Synopsis\n1.1 Act\n  First.\n\nStill.\n2 Music\nNotes.",
}


@pytest.mark.parametrize("format", FORMATS)
def test_every_section_knows_its_place_in_the_clean_document(format: str) -> None:
    document = Document("doc", "Title", FORMATS[format], format, {"revision": 17})
    made = list(sections(document, levels=6, lead="Introduction", pattern=r"\d+(?:\.\d+)* [A-Z].*"))
    assert len(made) > 2
    for section in made:
        source = document.text[section.start : section.end]
        assert source == source.strip()
        assert tidied(document, section.start, section.end) == section.text
        assert section.revision == "17"
    assert [s.start for s in made] == sorted(s.start for s in made)
    assert all(a.end <= b.start for a, b in pairwise(made))


def test_lines_of_markdown_keep_what_indents_them_and_lose_what_escapes_them() -> None:
    assert split(FORMATS["markdown"], format="markdown")[1:3] == [
        ("Synopsis/Act 1", "First.\n- one\n    - two"),
        ("Synopsis/Act 1/Scene 2", "A scene.\n# no"),
    ]


def test_one_text_in_several_formats_has_one_tree() -> None:
    wiki = "= A =\nlead\n== B ==\nb\n=== C ===\nc\n== D ==\nd\n"
    markdown = "# A\nlead\n\nB\n-\nb\n".replace("B\n-\n", "B\n--\n") + "### C\nc\n## D\nd\n"
    assert split(wiki) == split(markdown, format="markdown")


ENGLISH = "The keeper lit the lamp. He climbed the stairs, all one hundred and nine of them. It was dark."
CHINESE = "灯塔看守人点亮了灯。他爬上了楼梯，一共一百零九级。天很黑。"


@pytest.mark.parametrize(("language", "text"), [("en", ENGLISH), ("zh", CHINESE)])
@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("most", [12, 40, 100])
def test_parts_have_no_more_tokens_than_they_may(language: str, text: str, overlap: int, most: int) -> None:
    body = "\n\n".join([text * n for n in (1, 3, 1, 6)] + ["x" * 300, "a, b; " * 80])
    document = Document("doc", "Title", f"== One ==\n{body}\n=== Deep ===\n{text}\n== Two ==\n{text}", "wikitext")
    counter = of_encoding("o200k_base")
    wanted = Structure(levels=1, split=Split(most, overlap, language=language))
    work = structure_stage._set_up(wanted)
    made = [Section(**{**json.loads(line), "path": ()}) for line in structure_stage._of_document(work, document)[0]]
    ends = 0
    for section in made:
        assert counter.count(section.text) <= most
        assert section.start <= ends + 20 or section.part == 1
        assert not document.text[ends : section.start].strip("= \n").replace("One", "").replace("Two", "")
        ends = section.end
    assert ends == len(document.text)
    assert [s.part for s in made if s.parts == made[0].parts][: made[0].parts] == list(range(1, made[0].parts + 1))
    assert len({s.id for s in made}) == len(made)
    if overlap and most == 100:
        assert any(b.start < a.end for a, b in pairwise(made) if b.part > 1)
    else:
        assert overlap or all(b.start >= a.end for a, b in pairwise(made))


def test_a_hundred_thousand_short_lines_are_split_in_no_time() -> None:
    document = Document("doc", "Title", "== a ==\nb\n" * 10_000, "text")
    started = time.process_time()
    assert len(structure_stage._of_document(structure_stage._set_up(Structure(split=Split(1500, 1))), document)[0]) > 10
    assert time.process_time() - started < 10


def test_parts_end_at_paragraphs_and_else_at_sentences() -> None:
    text = f"{ENGLISH}\n\n{ENGLISH}\n\n{ENGLISH} {ENGLISH}"
    document = Document("doc", "Title", text, "text")
    work = structure_stage._set_up(Structure(split=Split(30)))
    made = [json.loads(line)["text"] for line in structure_stage._of_document(work, document)[0]]
    assert made[:2] == [ENGLISH, ENGLISH]
    assert all(part.endswith(".") for part in made)


def test_the_stage_drops_sections_that_are_too_short(tmp_path: Path) -> None:
    made, _ = structured(tmp_path, Document("one", "One", ARTICLE, "wikitext"), min_characters=len("A scene."))
    assert [s["path"][-1] for s in made] == ["Introduction", "Act 1", "Scene 2"]


def test_a_selection_that_selects_nothing_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"structure\.select: no section is called Plot, Story") as caught:
        structured(tmp_path, Document("one", "One", ARTICLE, "wikitext"), select=("Plot", "Story"))
    assert caught.value.hint == (
        "the document has: Introduction, Synopsis/Act 1, Synopsis/Act 1/Scene 2, Synopsis/Act 2, Music"
    )


def test_a_recipe_without_documents_has_no_sections(tmp_path: Path) -> None:
    assert structured(tmp_path, select=("Plot",)) == ([], {"sections": 0, "characters": 0})


def test_a_template_sees_what_stands_around_and_a_pair_knows_its_place(workshop: Workshop) -> None:
    told = "Write {{ pairs }} pairs.\nBefore: {{ before }}\nAfter: {{ after }}\nSummary: {{ summary }}\n{{ outline }}\n"
    workshop.write("prompts/facts.j2", told + "{{ text }}")
    assert workshop.run("until=curate").code == 0
    asked = "\n".join(workshop.prompts)
    assert "Before: It was begun in 1811. A storm took the first tower in 1814.\nAfter: The first keeper was" in asked
    assert "Summary: Introduction: The Saltmere Light is a lighthouse.\nHistory: It was begun in 1811.\n" in asked
    assert "Introduction\nHistory\nTower\nKeepers\n" in asked
    (clean,) = [
        o for o in workshop.store.glob("objects/*/*") if b'"title": "Saltmere Light", "text": "The Salt' in o.read_bytes()
    ]
    text = json.loads(clean.read_text(encoding="utf-8"))["text"]
    for pair in map(json.loads, workshop.read("pairs.jsonl").splitlines()):
        origin = pair["origin"]
        assert text[origin["start"] : origin["end"]].endswith(".")
        assert origin["path"] == ["Introduction"] or f"== {origin['path'][0]} ==\n" in text[: origin["start"]]
