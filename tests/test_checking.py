"""Training rows checked before they are sent: what each rule finds, what is mended, and what is written down about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ftbuild.checking import running
from ftbuild.checking.about import About, data
from ftbuild.checking.endings import ending
from ftbuild.checking.mending import mend
from ftbuild.checking.reading import LONGEST, Lines
from ftbuild.checking.running import Checked, check, numbered
from ftbuild.checking.shape import TELLING, Shapes
from ftbuild.errors import ConfigError, SourceError
from ftbuild.recipe import Provider
from ftbuild.registries import CHECKS

SEPARATOR, STOP = "\n\n###\n\n", " [DONE]"
GOOD = [{"prompt": f"Who is number {n}?{SEPARATOR}", "completion": f"{'ABC'[n % 3]}nn {n * 7}{STOP}"} for n in range(60)]
CALL = {"id": "c1", "type": "function", "function": {"name": "tide", "arguments": '{"at": 3}'}}
TOOLS = [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}]


def known(model: str = "gpt-4.1-nano", **given: Any) -> About:
    return running.about(Provider(), model, **given)


def found(rows: Iterable[Any], about: About | None = None) -> dict[tuple[str, str], list[int]]:
    """Return the findings over rows: rule and severity, with the lines."""
    checked = check(numbered(rows), about or known())
    made: dict[tuple[str, str], list[int]] = {}
    for finding in checked.findings:
        made.setdefault((finding.rule, finding.severity), []).extend(line for line, _ in finding.first)
    return made


def plain(prompt: str, completion: Any) -> dict[str, Any]:
    return {"prompt": prompt, "completion": completion}


def talk(*turns: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": list(turns), **more}


def user(text: str = "When is high tide?") -> dict[str, Any]:
    return {"role": "user", "content": text}


def model(text: str = "At three.", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def talks(count: int = 60) -> list[dict[str, Any]]:
    return [talk(user(f"When is tide {n}?"), model(f"At {n}.")) for n in range(count)]


def messages(rows: Iterable[Any], about: About | None = None) -> list[str]:
    return [f.message for f in check(numbered(rows), about or known()).findings]


def test_good_rows_of_every_kind_give_no_errors_and_no_warnings() -> None:
    preferred = [
        {"input": {"messages": [user(f"{n}?")]}, "preferred_output": [model(f"{n}")], "non_preferred_output": [model("b")]}
        for n in range(60)
    ]
    for rows in (GOOD, talks(), preferred):
        assert {severity for _, severity in found(rows)} - {"hint"} == set()


@pytest.mark.parametrize(
    ("row", "rule", "severity"),
    [
        (plain(f"Where?{SEPARATOR}", ""), "shape", "error"),
        (plain(f"Where?{SEPARATOR}", 3), "shape", "error"),
        ({"prompt": "Where?"}, "shape", "error"),
        ({"text": "Where?"}, "shape", "error"),
        ([1], "shape", "error"),
        ("row", "shape", "error"),
        ({"question": "Where?", "answer": "there"}, "columns", "error"),
        ({**plain(f"Where?{SEPARATOR}", f"there{STOP}"), "id": 1}, "columns", "warning"),
        (GOOD[3], "duplicates", "warning"),
        (plain(GOOD[3]["prompt"], f"Somebody{STOP}"), "contradictions", "hint"),
        (plain("Where?", f"there{STOP}"), "separator", "warning"),
        (plain(f"Where ### is it?{SEPARATOR}", f"there{STOP}"), "separator", "warning"),
        (plain(f"Where?{SEPARATOR}", f"at ### it{STOP}"), "separator", "warning"),
        (plain(f"Where?{SEPARATOR}", "there"), "stop", "warning"),
        (plain(f"Where?{SEPARATOR}", f"[DONE] there{STOP}"), "stop", "error"),
        (plain(f"Where [DONE]?{SEPARATOR}", f"there{STOP}"), "stop", "warning"),
        (plain(f"Where?{SEPARATOR}", f" there{STOP}"), "beginnings", "warning"),
        (plain("", f"there{STOP}"), "blank", "warning"),
        (plain(f"Where?{SEPARATOR}", "  "), "blank", "error"),
        (plain(f"Where?{SEPARATOR}", "x " * 70000 + STOP), "too_long", "error"),
        (talk(user(), model()), "kinds", "error"),
    ],
)
def test_one_wrong_row_among_good_ones_is_found_with_its_line(row: Any, rule: str, severity: str) -> None:
    lines = found([*GOOD, row])
    assert (rule, severity) in lines
    assert lines[rule, severity] in ([61], [])  # `beginnings` speaks of the file as a whole


@pytest.mark.parametrize(
    ("row", "rule", "severity"),
    [
        (talk(), "shape", "error"),
        (talk({"role": "bot", "content": "x"}, model()), "shape", "error"),
        (talk({"content": "x"}, model()), "shape", "error"),
        (talk({"role": "user"}, model()), "shape", "error"),
        (talk({"role": "user", "content": None}, model()), "shape", "error"),
        (talk({"role": "user", "content": [{"type": "text"}]}, model()), "shape", "error"),
        (talk(user(), model(weight=2)), "shape", "error"),
        (talk(user(), model(weight=True)), "shape", "error"),
        (talk({"role": "user", "content": "x", "tool_calls": [CALL]}, model()), "shape", "error"),
        (talk(user(), model(), tools=[{"name": "tide"}]), "shape", "error"),
        (talk(user()), "roles", "error"),
        (talk(user(), model(), user("?")), "roles", "warning"),
        (talk(user(), {"role": "system", "content": "Be brief."}, model()), "roles", "warning"),
        (talk(user(), user(), model()), "roles", "hint"),
        (talk(model()), "roles", "hint"),
        (talk(user(), model(weight=0)), "weights", "error"),
        (talk({**user(), "weight": 1}, model()), "weights", "warning"),
        (talk(user(), model("  ")), "blank", "error"),
        (talk(user(), model("", tool_calls=[CALL]), model(), tools=TOOLS), "tool_calls", "error"),
        (talk(user(), {"role": "tool", "content": "3", "tool_call_id": "c1"}, model()), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[CALL]), {"role": "tool", "content": "3"}, model()), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[{**CALL, "function": {"name": "tide", "arguments": "{"}}])), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[{**CALL, "function": {"name": "tide", "arguments": "3"}}])), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[{**CALL, "function": {"name": "moon"}}]), tools=TOOLS), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[CALL, CALL]), tools=TOOLS), "tool_calls", "error"),
        (talk(user(), model("", tool_calls=[CALL])), "tool_calls", "hint"),
        (talk(user(), model("", tool_calls=[{"function": CALL["function"]}]), tools=TOOLS), "tool_calls", "warning"),
        (talk(user(), model(), seed=1), "columns", "warning"),
    ],
)
def test_one_wrong_conversation_is_found_with_its_line(row: Any, rule: str, severity: str) -> None:
    lines = found([*talks(), row])
    assert lines[rule, severity] == [61]


def test_what_the_model_s_own_template_does_not_take_is_told(tiny_model: Path) -> None:
    about = running.about(Provider(kind="local"), str(tiny_model))
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    assert found([*talks(), talk(picture, model())], about)["template", "error"] == [61]
    assert found(talks(), about) == {}


def test_a_whole_conversation_with_calls_is_right() -> None:
    result = {"role": "tool", "tool_call_id": "c1", "content": "three"}
    row = talk(user(), {"role": "assistant", "content": None, "tool_calls": [CALL]}, result, model(), tools=TOOLS)
    assert {s for _, s in found([*talks(), row])} <= {"hint"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"preferred_output": [model("b")]}, "both outputs are the same"),
        ({"preferred_output": [user()]}, "preferred_output[0].role is 'user', which is none of assistant, tool"),
        ({"input": {}}, "input has no 'messages'"),
        ({"non_preferred_output": []}, "non_preferred_output is empty"),
        ({"input": {"messages": [user(), model()]}}, "what is asked ends with a turn of the assistant"),
    ],
)
def test_preferences(change: dict[str, Any], said: str) -> None:
    row = {"input": {"messages": [user()]}, "preferred_output": [model("a")], "non_preferred_output": [model("b")]}
    assert said in messages([{**row, **change}])


def test_the_file_as_a_whole() -> None:
    assert ("count", "error") in found(GOOD[:9])
    assert ("count", "hint") in found(GOOD[:12])
    assert ("count", "error") in found([])
    assert ("count", "hint") in found(GOOD[:9], running.about(Provider(kind="local"), "x"))
    assert ("one_answer", "warning") in found([plain(r["prompt"], f"yes{STOP}") for r in GOOD])
    assert ("capitals", "hint") in found([{k: v.upper() for k, v in r.items()} for r in GOOD])
    bare = [plain(f"Who is {n}?", f"Person {n}.") for n in range(60)]
    assert {("separator", "warning"), ("stop", "warning")} <= set(found(bare))


def test_what_all_texts_begin_with_is_told() -> None:
    rows = [plain(f"Answer about the lighthouse: {n}{SEPARATOR}", f"It is {n}{STOP}") for n in range(60)]
    said = messages(rows)
    assert "all prompts begin with 'Answer about the lighthouse: '; a tuned model does not need to be told" in said
    assert "all completions begin with 'It is '; the model learns to say it" in said


def test_a_stop_token_that_shares_a_token_with_the_answer_is_found() -> None:
    rows = [plain(f"Who is {n}?{SEPARATOR}", f"Person {n}##") for n in range(60)]
    assert ("borders", "warning") not in found(rows, known(separator=SEPARATOR, stop="##"))
    rows = [plain(f"Who is {n}?{SEPARATOR}", f"It rains {n} times!!!!!!") for n in range(60)]
    assert ("borders", "warning") in found(rows, known(separator=SEPARATOR, stop="!!!!"))


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["What is it?\n\n###\n\n", "Who?\n\n###\n\n", "Why?\n\n###\n\n"], "\n\n###\n\n"),
        (["latin ->", "word ->", "other ->"], " ->"),
        (["atinlay [DONE]", "ordway [DONE]", "otherway [DONE]"], " [DONE]"),
        (["it is so END", "it is not END", "maybe END"], " END"),
        (["Is it?", "Is he?", "Are they?"], ""),
        (["the end", "my end", "no end"], ""),
        (["yes.\n", "no.\n", "maybe.\n"], "\n"),
        (["a", "b"], ""),
        ([], ""),
        (["一 ###", "二 ###", "三 ###", "四"], " ###"),
        ([" no\n###"] * 9 + [" yes\n###"], "\n###"),
        ([" no [END]"] * 3, " [END]"),
        (["the same"] * 3, ""),
    ],
)
def test_endings_are_found_by_looking(texts: Sequence[str], mark: str) -> None:
    assert ending(texts) == mark


def test_tokens_are_counted_by_the_model_that_the_rows_are_for() -> None:
    checked = check(numbered(GOOD), known())
    assert (checked.rows, checked.kind) == (60, "completion")
    assert checked.tokens == sum(known().counter.count_row(row) for row in GOOD)
    assert checked.longest == max(known().counter.count_row(row) for row in GOOD)


def test_forms_are_all_that_the_schemas_look_at() -> None:
    """Two rows of one form get one verdict, so no schema may look at anything else."""
    allowed = {
        "$schema",
        "title",
        "type",
        "required",
        "properties",
        "items",
        "$ref",
        "$defs",
        "enum",
        "if",
        "then",
        "else",
        "allOf",
        "minLength",
        "minItems",
    }

    def walk(schema: Any, key: str = "") -> None:
        if isinstance(schema, list):
            for one in schema:
                walk(one, key)
            return
        assert set(schema) <= allowed, schema
        assert "enum" not in schema or key in TELLING
        assert schema.get("minLength", 1) == schema.get("minItems", 1) == 1
        for word in ("items", "if", "then", "else", "allOf"):
            if word in schema:
                walk(schema[word], key)
        for word in ("properties", "$defs"):
            for name, inner in schema.get(word, {}).items():
                walk(inner, name)

    for kind in ("completion", "chat", "preference"):
        walk(data(f"schemas/{kind}.json"))
    shapes = Shapes()
    assert shapes.of(talk(user("a"), model())) == shapes.of(talk(user("b"), model())) == ("chat", "")
    assert shapes.of(talk(user("a"), model(weight=3)))[1] == "messages[1].weight is 3, which is none of 0, 1"


def test_every_check_says_what_it_does() -> None:
    for name in CHECKS:
        assert CHECKS.summary(name).endswith(".")
        assert CHECKS[name](known()).fix


# ---- files ----


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines_of(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(path: Path) -> Checked:
    return check(iter(Lines(path)), known())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\n", "blank lines"),
        (b"{not json}\n", "the line is not JSON"),
        (b'{"prompt": "x"\n', "the line is not JSON"),
        (b'{"prompt": "a", "prompt": "b", "completion": "c"}\n', "a key occurs twice in one object: 'prompt'"),
        (b'{"prompt": "a", "completion": NaN}\n', "NaN and Infinity are no JSON"),
        (b'{"prompt": "caf\xe9", "completion": "c"}\n', "the line is not UTF-8"),
        (b'{"prompt": "\\ud800", "completion": "c"}\n', "half a surrogate pair, which is no text"),
        (b'{"prompt": "a", "completion": "c"}\r\n', "lines end as on Windows (CRLF)"),
        (b"[" * 100_000 + b"\n", "the line is not JSON"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_number(tmp_path: Path, line: bytes, said: str) -> None:
    good = lines_of(GOOD[:30]).encode()
    checked = read(written(tmp_path / "rows.jsonl", good + line + good))
    (finding,) = [f for f in checked.findings if f.message == said]
    assert (finding.count, finding.first[0][0], finding.fixable) == (1, 31, True)
    assert checked.rows in (60, 61)


def test_a_byte_order_mark_and_a_last_line_without_an_end(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + lines_of(GOOD).encode().rstrip(b"\n")
    checked = read(written(tmp_path / "rows.jsonl", content))
    assert checked.rows == 60
    assert "the file begins with a byte order mark" in [f.message for f in checked.findings]


def test_a_huge_line_is_passed_over(tmp_path: Path) -> None:
    huge = b'{"prompt": "' + b"x" * (LONGEST + 10) + b'", "completion": "y"}\n'
    checked = read(written(tmp_path / "rows.jsonl", lines_of(GOOD[:30]).encode() + huge + lines_of(GOOD[30:]).encode()))
    assert checked.rows == 60
    assert [f.first[0][0] for f in checked.of("error")] == [31]


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "xlsx", "parquet", "jsonl"])
def test_the_same_rows_are_read_from_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    path = tmp_path / f"rows.{ending}"
    table = pd.DataFrame([{"question": r["prompt"], "answer": str(n)} for n, r in enumerate(GOOD)])
    match ending:
        case "csv" | "tsv":
            table.to_csv(path, index=False, sep="," if ending == "csv" else "\t", encoding="utf-8-sig")
        case "json":
            path.write_text(json.dumps({"rows": table.to_dict("records")}))
        case "jsonl":
            path.write_text(lines_of(table.to_dict("records")))
        case "xlsx":
            pytest.importorskip("openpyxl")
            table.astype({"answer": int}).to_excel(path, index=False)
        case "parquet":
            pytest.importorskip("pyarrow")
            table.astype({"answer": int}).to_parquet(path)
    lines = Lines(path)
    checked = check(iter(lines), known())
    assert [f.message for f in checked.of("error")] == ["columns go by other names: question for prompt, answer for completion"]
    mended = mend(lines, checked)
    rows = [json.loads(line) for line in mended.file.read_text(encoding="utf-8").splitlines()]
    assert [r["completion"].split()[0] for r in rows] == [str(n) for n in range(60)]
    assert read(mended.file).ok


def test_conversations_in_cells_are_read_as_such(tmp_path: Path) -> None:
    cell = json.dumps([user(), model()]).replace('"', '""')
    checked = read(written(tmp_path / "rows.csv", "messages\n" + f'"{cell}"\n' * 2))
    assert (checked.kind, checked.rows) == ("chat", 2)
    checked = read(written(tmp_path / "rows.csv", 'prompt,completion,prompt\n"x","[1]","y"\n'))
    assert (checked.kind, checked.rows) == ("completion", 1)
    assert "two columns are called 'prompt'; the last of them counts" in [f.message for f in checked.findings]


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("rows.txt", "x", ConfigError, "rows.txt: .txt is no file of rows that can be read"),
        ("rows", "x", ConfigError, "rows: a file without an ending is no file of rows that can be read"),
        ("rows.json", '{"a": 1}', SourceError, "rows.json: a list of rows belongs here"),
        ("rows.json", "[1,\n2", SourceError, "rows.json:2: not JSON"),
        ("rows.csv", 'a,b\n"x,1\n', SourceError, "rows.csv:2: "),
        ("rows.csv", b"prompt\ncaf\xe9\n", SourceError, "rows.csv: is not UTF-8"),
        ("rows.parquet", "no table", SourceError, "rows.parquet: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | bytes, kind: type[Exception], said: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    written(tmp_path / name, content)
    with pytest.raises(kind) as raised:
        read(tmp_path / name)
    assert str(raised.value).startswith(said)


# ---- mending ----


def test_what_is_mended_is_right_afterwards_and_every_change_is_written_down(tmp_path: Path) -> None:
    bad = [
        GOOD[0],
        plain("Where?", f"there{STOP}"),
        plain(f"Where to?{SEPARATOR}", "there"),
        plain(f"How many?{SEPARATOR}", 42),
        plain(f"Who?{SEPARATOR}", ""),
        {**plain(f"Which?{SEPARATOR}", f" that{STOP}"), "id": 9},
    ]
    path = written(tmp_path / "rows.jsonl", "\ufeff" + lines_of([*GOOD, *bad]) + "\n{broken\n")
    before = path.read_bytes()
    lines = Lines(path)
    mended = mend(lines, check(iter(lines), known()))
    assert path.read_bytes() == before
    rows = [json.loads(line) for line in mended.file.read_text(encoding="utf-8").splitlines()]
    assert rows[60:] == [
        plain(f"Where?{SEPARATOR}", f"there{STOP}"),
        plain(f"Where to?{SEPARATOR}", f"there{STOP}"),
        plain(f"How many?{SEPARATOR}", f"42{STOP}"),
        plain(f"Which?{SEPARATOR}", f"that{STOP}"),
    ]
    again = read(mended.file)
    assert {f.severity for f in again.findings} <= {"hint"}
    log = [json.loads(line) for line in mended.log.read_text(encoding="utf-8").splitlines()]
    assert [(e["line"], e["rule"], e["did"]) for e in log] == [
        (61, "duplicates", "left out"),
        (62, "separator", "changed"),
        (63, "stop", "changed"),
        (64, "shape", "changed"),
        (64, "stop", "changed"),
        (65, "shape", "left out"),
        (66, "columns", "changed"),
        (66, "beginnings", "changed"),
        (68, "file", "left out"),
    ]
    assert log[0]["row"] == GOOD[0]
    assert mended.rows == len(rows) == 64


def test_marks_are_chosen_that_no_text_holds(tmp_path: Path) -> None:
    rows = [plain(f"What ### is {n}?", f"It is [DONE] {n}.") for n in range(20)]
    lines = Lines(written(tmp_path / "rows.jsonl", lines_of(rows)))
    mended = mend(lines, check(iter(lines), known()))
    first = json.loads(mended.file.read_text(encoding="utf-8").splitlines()[0])
    assert first == plain("What ### is 0?\n\n---\n\n", "It is [DONE] 0. END")


def test_mending_what_is_mended_changes_nothing(tmp_path: Path) -> None:
    lines = Lines(written(tmp_path / "rows.jsonl", lines_of([*GOOD, *GOOD[:3], plain("Where?", "there")])))
    once = mend(lines, check(iter(lines), known()))
    again_lines = Lines(once.file)
    twice = mend(again_lines, check(iter(again_lines), known()))
    assert twice.file.read_bytes() == once.file.read_bytes()
    assert twice.log.read_bytes() == b""
