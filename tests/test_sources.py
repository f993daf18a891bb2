"""Sources that lie in files: texts, word lists and a user's own functions, and whose file wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbuild import paths
from ftbuild.errors import ConfigError, FtbuildError, SourceError
from ftbuild.records import Document, Pair
from ftbuild.sources.file import file
from ftbuild.sources.function import function
from ftbuild.sources.pairs import pairs

SHOUT = "def shout(word):\n    return word.upper() + '!'\n"


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, with the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: str, **given: str) -> Document:
    """Return the one document of a file."""
    (document,) = file(path=path, **given)
    assert isinstance(document, Document)
    return document


def rows(reference: str = "functions/mine.py:shout", items: str = "words.txt") -> list[Pair]:
    """Return the rows that a function makes of a word list."""
    return list(function(function=reference, items=items))


# ---- files ----


def test_reads_utf_8(home: Path) -> None:
    write(home / "texts/köln.txt", "Der Dom steht in Köln. 大聖堂 🎼\n")
    document = read("texts/köln.txt")
    assert document.text == "Der Dom steht in Köln. 大聖堂 🎼\n"
    assert (document.id, document.title, document.format) == ("köln", "köln", "wikitext")
    assert document.meta == {"path": "texts/köln.txt"}


def test_says_whose_text_it_is(home: Path) -> None:
    write(home / "a.md", "# Otters\n")
    document = read("a.md", title="Otters", format="markdown", licence="CC0", attribution="by me")
    assert (document.id, document.title, document.format) == ("Otters", "Otters", "markdown")
    assert document.meta == {"path": "a.md", "licence": "CC0", "attribution": "by me"}


def test_drops_a_byte_order_mark_and_carriage_returns(home: Path) -> None:
    write(home / "a.txt", b"\xef\xbb\xbf== Otters ==\r\nThey swim.\r\n")
    assert read("a.txt").text == "== Otters ==\nThey swim.\n"


@pytest.mark.parametrize("content", [b"caf\xe9", "Otters".encode("utf-16")])
def test_refuses_what_is_not_utf_8(home: Path, content: bytes) -> None:
    write(home / "texts/a.txt", content)
    with pytest.raises(SourceError, match=r"^texts/a\.txt: is not UTF-8 \(byte \d\)$") as caught:
        read("texts/a.txt")
    assert caught.value.hint == "save the file as UTF-8"


@pytest.mark.parametrize("content", ["", "  \n\t\n", b"\xef\xbb\xbf"])
def test_refuses_an_empty_file(home: Path, content: str | bytes) -> None:
    write(home / "a.txt", content)
    with pytest.raises(SourceError, match=r"^a\.txt: the file is empty$"):
        read("a.txt")


def test_a_missing_file_names_every_place_that_was_looked_in(home: Path) -> None:
    (home / "conf").mkdir()
    with pytest.raises(ConfigError) as caught:
        read("texts/nowhere.txt")
    assert caught.value.message == f"there is no file 'texts/nowhere.txt' (looked in ., conf, {paths.SHIPPED_CONF})"


def test_a_folder_is_no_file(home: Path) -> None:
    (home / "texts").mkdir()
    with pytest.raises(ConfigError, match="there is no file 'texts'"):
        read("texts")


# ---- functions ----


def test_a_function_makes_a_row_of_each_line(home: Path) -> None:
    write(home / "conf/functions/mine.py", SHOUT)
    write(home / "words.txt", "# names\nanna\n\n  ben \n")
    made = rows()
    assert [(p.prompt, p.completion) for p in made] == [("anna", "ANNA!"), ("ben", "BEN!")]
    assert [(p.origin.document, p.origin.template, p.origin.line) for p in made] == [
        ("words.txt", "functions/mine.py:shout", 2),
        ("words.txt", "functions/mine.py:shout", 4),
    ]
    assert len({p.id for p in made}) == 2
    assert [p.id for p in made] == [p.id for p in rows()]


def test_what_a_function_returns_becomes_text(home: Path) -> None:
    write(home / "conf/functions/mine.py", "def length(word):\n    return len(word)\n")
    write(home / "words.txt", "anna\n")
    assert [p.completion for p in rows("functions/mine.py:length")] == ["4"]


def test_a_function_may_use_dataclasses(home: Path) -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Word:\n    text: str\n\ndef shout(word):\n    return Word(word).text.upper()\n"
    )
    write(home / "conf/functions/mine.py", code)
    write(home / "words.txt", "anna\n")
    assert [p.completion for p in rows()] == ["ANNA"]


def test_an_edited_function_is_read_again_and_leaves_no_cache(home: Path) -> None:
    write(home / "words.txt", "anna\n")
    for mark in "!?":  # two files of the same length, written in the same second
        write(home / "conf/functions/mine.py", SHOUT.replace("!", mark))
        assert [p.completion for p in rows()] == [f"ANNA{mark}"]
    assert [p.name for p in (home / "conf/functions").iterdir()] == ["mine.py"]


def test_a_failing_function_names_the_item_and_its_line(home: Path) -> None:
    write(home / "conf/functions/mine.py", "def shout(word):\n    return {'anna': 'A'}[word]\n")
    write(home / "words.txt", "anna\n\nben\n")
    with pytest.raises(SourceError) as caught:
        rows()
    assert caught.value.message == "words.txt:3: functions/mine.py:shout failed on 'ben': KeyError: 'ben'"


def test_a_file_that_cannot_be_imported_says_why(home: Path) -> None:
    write(home / "conf/functions/mine.py", "import nothing_of_this_name\n")
    write(home / "words.txt", "anna\n")
    with pytest.raises(SourceError, match=r"^functions/mine\.py: ModuleNotFoundError: No module named 'nothing_of_this_name'$"):
        rows()


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("functions/mine.py:whisper", "functions/mine.py has no function 'whisper'"),
        ("functions/mine.py:VOLUME", "functions/mine.py has no function 'VOLUME'"),
        ("functions/yours.py:shout", "there is no file 'functions/yours.py'"),
        ("functions/mine.py", "'functions/mine.py' names no function"),
        ("functions/mine.py:", "'functions/mine.py:' names no function"),
        (":shout", "':shout' names no function"),
    ],
)
def test_a_missing_function_is_named(home: Path, reference: str, said: str) -> None:
    write(home / "conf/functions/mine.py", SHOUT + "VOLUME = 11\n")
    write(home / "words.txt", "anna\n")
    with pytest.raises(ConfigError) as caught:
        rows(reference)
    assert caught.value.message.startswith(said)


def test_a_missing_word_list_is_named(home: Path) -> None:
    write(home / "conf/functions/mine.py", SHOUT)
    with pytest.raises(FtbuildError, match=r"there is no file 'words\.txt'"):
        rows()


# ---- whose file wins ----


def test_the_users_texts_come_before_ours(home: Path) -> None:
    name = "texts/agrippina.wikitext"
    assert "Handel" in read(name).text
    write(home / "conf" / name, "from conf")
    assert read(name).text == "from conf"
    write(home / name, "from the working directory")
    assert read(name).text == "from the working directory"


def test_the_users_functions_come_before_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SHIPPED_CONF", home / "shipped")
    write(home / "shipped/functions/mine.py", "def shout(word):\n    return 'ours'\n")
    write(home / "words.txt", "anna\n")
    assert [p.completion for p in rows()] == ["ours"]
    write(home / "conf/functions/mine.py", SHOUT)
    assert [p.completion for p in rows()] == ["ANNA!"]


def test_the_users_prompts_come_before_ours(home: Path) -> None:
    assert paths.find_prompt("basic.j2") == paths.SHIPPED_PROMPTS / "basic.j2"
    own = write(home / "prompts/basic.j2", "Ask about {{ text }}.")
    assert paths.find_prompt("basic.j2") == own
    assert paths.find_prompt("detailed.j2") == paths.SHIPPED_PROMPTS / "detailed.j2"


# ---- pairs that exist already ----

TABLE = 'question,answer,section\nWho swims?,otters,Life/Habits\n,,\nWhat do they eat?,"fish, mostly",Life\n'


def table(path: str, **given: str) -> list[Pair]:
    """Return the pairs of a table."""
    return list(pairs(path=path, **given))


def test_reads_pairs_of_a_csv(home: Path) -> None:
    write(home / "faq.csv", TABLE)
    found = table("faq.csv", section="section")
    assert [(p.prompt, p.completion, p.origin.path, p.origin.line) for p in found] == [
        ("Who swims?", "otters", ("Life", "Habits"), 2),
        ("What do they eat?", "fish, mostly", ("Life",), 4),
    ]
    assert {p.origin.document for p in found} == {"faq"}


def test_reads_pairs_of_json_lines_with_columns_of_other_names(home: Path) -> None:
    write(home / "faq.jsonl", '{"prompt": "谁会游泳？", "completion": "水獭"}\n\n{"prompt": "2 + 2?", "completion": 4}\n')
    found = table("faq.jsonl", question="prompt", answer="completion", title="Otters")
    assert [(p.prompt, p.completion) for p in found] == [("谁会游泳？", "水獭"), ("2 + 2?", "4")]
    assert found[0].origin.document == "Otters"
    assert found[0].id != found[1].id


def test_reads_pairs_of_tabs(home: Path) -> None:
    write(home / "faq.tsv", "question\tanswer\nWho swims?\totters\n")
    assert [p.completion for p in table("faq.tsv")] == ["otters"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"question": "Who?", "answer": "me"}\nnot json\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: an object in braces"),
        ("a.jsonl", '{"question": "Who?", "anwser": "me"}\n', "a.jsonl:1: there is no column 'answer'; did you mean 'anwser'"),
        ("a.jsonl", '{"question": "Who?", "answer": ""}\n', "a.jsonl:1: the answer is empty"),
        ("a.jsonl", "\n", "holds no pairs"),
        ("a.csv", 'question,answer\n"Who?,me\n', "a.csv:2: unexpected end of data"),
        ("a.csv", "Question;answer\nWho?;me\n", "a.csv:2: there is no column 'question'"),
        ("a.json", '{"question": "Who?"}', "a.json: a list of objects belongs here"),
        ("a.xlsx", "PK", "a.xlsx: is no Excel file"),
        ("a.doc", "x", "a.doc: .doc is no table that can be read"),
        ("a.parquet", "x", "a.parquet: "),
    ],
)
def test_says_what_is_wrong_with_a_table(home: Path, name: str, content: str, said: str) -> None:
    write(home / name, content)
    with pytest.raises(FtbuildError) as caught:
        table(name)
    assert said in caught.value.message


def test_reads_what_spreadsheets_write_elsewhere(home: Path) -> None:
    write(home / "a.csv", "question;answer\r\nWo fließt er?;durch Köln, auch nachts\r\n".encode("cp1252"))
    assert [(p.prompt, p.completion) for p in table("a.csv")] == [("Wo fließt er?", "durch Köln, auch nachts")]
    write(home / "b.csv", "question,answer\n水獭住在哪里？,在河流和湖泊的岸边\n".encode("gb18030"))
    assert [p.completion for p in table("b.csv")] == ["在河流和湖泊的岸边"]
    write(home / "c.json", '[{"question": "Who?", "answer": "me"}]')
    assert [p.completion for p in table("c.json")] == ["me"]
    assert [p.origin.template for p in table("*.csv")] == ["a.csv", "b.csv"]


def test_a_sheet_is_chosen_by_its_name(home: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["about"])
    book.active.append(["nothing"])
    sheet = book.create_sheet("FAQ")
    for row in (["question", "answer"], ["Who?", "me"], [None, None], ["How many?", 3]):
        sheet.append(row)
    book.save(home / "a.xlsx")
    assert [(p.completion, p.origin.line) for p in table("a.xlsx", sheet="FAQ")] == [("me", 2), ("3", 4)]
    for given, said in (
        ({}, "there is no column 'question'"),
        ({"sheet": "FAX"}, "there is no sheet 'FAX'; did you mean 'FAQ'?"),
    ):
        with pytest.raises(FtbuildError, match=said):
            table("a.xlsx", **given)
