"""`ftbuild check`, and the checks of a build: what a user sees, and where a build ends when its rows are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftbuild.cli import main
from ftbuild.errors import FtbuildError
from ftbuild.recipe import Format, Provider, Trainer
from tests.helpers import run_stage

ROWS = [{"prompt": f"Who is {n}?\n\n###\n\n", "completion": f"{'ABC'[n % 3]}nn {n} [DONE]"} for n in range(60)]


def write(name: str, rows: list[Any]) -> Path:
    path = Path(name)
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _wide(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.is_dir()
    monkeypatch.setenv("COLUMNS", "160")


def test_a_good_file_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.jsonl", ROWS)
    assert main(["check", "rows.jsonl", "--model", "gpt-4.1-nano"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].startswith("rows.jsonl: 60 completion rows, ")
    assert "tokens (o200k_base), the longest row " in out
    assert "separator  '\\n\\n###\\n\\n'" in out
    assert "no errors, no warnings, no hints" in out
    assert not Path("rows.fixed.jsonl").exists()


def test_without_a_model_the_tokens_are_called_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.jsonl", ROWS)
    assert main(["check", "rows.jsonl"]) == 0
    assert "tokens (an estimate; --model NAME counts exactly)" in capsys.readouterr().out
    assert main(["check", "rows.jsonl", "--model", "gpt4"]) == 0
    assert "tokens (an estimate; the tokenizer of gpt4 is not at hand)" in capsys.readouterr().out


def test_errors_end_with_1_and_say_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.jsonl", [*ROWS, "{broken", {"prompt": "Where?", "completion": 3}, ROWS[0]])
    assert main(["check", "rows.jsonl"]) == 1
    out = capsys.readouterr().out
    for said in (
        "the line is not JSON",
        "line 61: Expecting property name",
        "completion is a number; text belongs there",
        "✓ numbers become text",
        "the same row is there already",
        "2 errors, 1 warning, no hints",
        "ftbuild check rows.jsonl --fix",
    ):
        assert said in out


def test_fix_writes_a_new_file_and_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.jsonl", [*ROWS, {"prompt": "Where?", "completion": 3}, ROWS[0]])
    assert main(["check", "rows.jsonl", "--fix", "--model=gpt-4o-mini"]) == 0
    out = capsys.readouterr().out
    assert (
        "rows.fixed.jsonl: 61 rows (1 × shape changed, 1 × separator changed, 1 × stop changed, 1 × duplicates left out)" in out
    )
    assert out.rstrip().endswith("no errors, no warnings, no hints")
    assert main(["check", "rows.fixed.jsonl"]) == 0
    assert len(Path("rows.fixed.log.jsonl").read_text().splitlines()) == 4


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    write("rows.jsonl", [*ROWS, "{broken"])
    assert main(["check", "rows.jsonl", "--json", "--fix"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["rows"], told["exact"], told["fixed"]["ok"]) == (False, 60, False, True)
    (finding,) = [f for f in told["findings"] if f["severity"] == "error"]
    assert finding["rule"] == "file"
    assert finding["first"][0]["line"] == 61
    assert told["fixed"]["left_out"] == {"file": 1}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check"], 2, "1 name is wanted here, not 0"),
        (["check", "none.jsonl"], 3, "none.jsonl: cannot be read: No such file"),
        (["check", "rows.jsonl", "--fox"], 2, "there is no option '--fox'"),
        (["check", "rows.jsonl", "--fix=1"], 2, "--fix takes no value"),
        (["check", "rows.jsonl", "--model"], 2, "--model needs a value"),
        (["check", "rows.jsonl", "model=x"], 2, "model (command line): check does not know this"),
        (["plan", "+recipe=agrippina", "--fix"], 2, "there is no option '--fix'"),
        (["check", "+recipe=agrippina", "--fix"], 2, "--fix is for files"),
    ],
)
def test_what_is_wrong_with_the_command_line(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    assert said in capsys.readouterr().err


def test_a_recipe_s_rows_are_checked_as_they_were_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "+recipe=pig_latin"]) == 0
    assert "not built yet" in capsys.readouterr().out
    assert main(["+recipe=pig_latin", "until=format"]) == 0
    capsys.readouterr()
    assert main(["check", "+recipe=pig_latin", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["rows"], told["stop"]) == (True, 2822, " [DONE]")


# ---- in a build ----


def run(folder: Path, pairs: list[tuple[str, str]], provider: Provider, model: str) -> dict[str, Any]:
    """Run the stage `format` over pairs, and return its facts."""
    records = [
        {"id": str(n), "prompt": p, "completion": c, "origin": {"document": "", "path": ["Section"]}}
        for n, (p, c) in enumerate(pairs)
    ]
    made = Format("completion", "{{ question }}", "\n\n###\n\n", " [DONE]")
    parts = {"format": made, "vars": {}, "trainer": Trainer(provider, model)}
    return run_stage("format", folder, parts, {"curate/pairs.jsonl": records})[1]


PAIRS = [(f"Who is {n}?", f"{'ABC'[n % 3]}nn {n}") for n in range(60)]


def test_a_build_counts_its_rows_in_the_trainer_s_tokens(tmp_path: Path) -> None:
    checked = run(tmp_path, PAIRS, Provider(), "gpt-4.1-nano")["checked"]
    assert (checked["counted_by"], checked["exact"], checked["findings"]) == ("o200k_base", True, [])
    assert checked["tokens"] > 60 * checked["longest"] / 2


def test_what_is_not_right_is_among_the_facts(tmp_path: Path) -> None:
    checked = run(tmp_path, [*PAIRS, PAIRS[0], ("Who is 1?", "Somebody")], Provider(kind="local"), "nothing")["checked"]
    assert checked["exact"] is False
    assert [(f["rule"], f["severity"], f["count"]) for f in checked["findings"]] == [
        ("duplicates", "warning", 1),
        ("contradictions", "hint", 1),
    ]
    assert checked["findings"][0]["first"][0]["line"] == 61


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (PAIRS[:9], "rows: fewer than 10 rows (9); the provider refuses such a file"),
        ([*PAIRS, ("Who?", "")], "rows: the answer is empty (1; the first is "),
        (
            [*PAIRS, ("Who?", "word " * 70_000)],
            "rows: more than 65,536 tokens, which is what gpt-4.1-nano takes; the rest would be cut off (1; ",
        ),
    ],
)
def test_errors_end_a_build_before_anything_is_sent(tmp_path: Path, pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(FtbuildError) as raised:
        run(tmp_path, pairs, Provider(), "gpt-4.1-nano")
    assert raised.value.message.startswith(said)
    assert raised.value.hint


def test_the_embedded_trainer_takes_few_rows(tmp_path: Path) -> None:
    checked = run(tmp_path, PAIRS[:3], Provider(kind="local"), "nothing")["checked"]
    assert [f["severity"] for f in checked["findings"]] == ["hint"]
