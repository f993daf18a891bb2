"""A store that is damaged, full or read-only heals itself or says so in a line, and never gives a wrong result."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.workshop import STAGES, Ran, Workshop

GARBAGE = [b"", b"[]", b"\xff\x00\xfe", b'{"stages": [1], "checksum": 0, "reply": {"text": "lies"}}']
FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
"""


def told_in_a_line(ran: Ran, code: int, pattern: str) -> None:
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err, ran.err
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.err
    assert re.search(pattern, errors[0]), ran.err


def objects(workshop: Workshop, stage: str) -> dict[str, Path]:
    """Return where the outputs of a stage lie."""
    outputs = json.loads(workshop.read("manifest.json"))["stages"][stage]["outputs"]
    return {name: workshop.store / "objects" / d[:2] / d[2:] for name, d in outputs.items()}


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.chmod(0o644)
    match how:
        case "truncated":
            file.write_bytes(content[: len(content) // 2])
        case "same size":
            file.write_bytes(bytes(b ^ 1 for b in content))
        case "gone":
            file.unlink()


@pytest.mark.parametrize("how", ["truncated", "same size", "gone"])
def test_an_object_that_is_to_be_shown_is_made_again_or_the_damage_is_told(workshop: Workshop, how: str) -> None:
    rows = workshop.read("dataset.jsonl")
    damage(objects(workshop, "format")["rows.jsonl"], how)
    (workshop.folder / "builds/lighthouse/dataset.jsonl").unlink()
    ran = workshop.run("--json")
    if how == "same size":  # its size is right, so that only who reads it notices
        told_in_a_line(ran, 1, "the store was damaged")
        assert "the same command makes it again" in ran.err
        ran = workshop.run("--json")
    assert ran.ran == ["format"]
    assert workshop.read("dataset.jsonl") == rows
    assert workshop.damaged() == []
    assert workshop.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "same size", "gone"])
def test_an_object_that_a_stage_reads_is_made_again_or_the_damage_is_told(workshop: Workshop, how: str) -> None:
    rows = workshop.read("dataset.jsonl")
    damage(objects(workshop, "structure")["sections.jsonl"], how)
    words = ("force=[generate]", "until=format")
    ran = workshop.run(*words, "--json")
    if how == "same size":
        told_in_a_line(ran, 1, "the store was damaged")
        ran = workshop.run(*words, "--json")
    assert ran.ran == ["structure", "generate"]
    assert workshop.read("dataset.jsonl") == rows
    assert workshop.damaged() == []
    assert workshop.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_in_the_record_of_a_stage_is_as_good_as_none(workshop: Workshop, garbage: bytes) -> None:
    rows = workshop.read("dataset.jsonl")
    for record in (workshop.store / "actions" / "curate").iterdir():
        record.write_bytes(garbage)
    assert workshop.plan()["curate"] == "run"
    assert workshop.build() == ["curate"]
    assert workshop.read("dataset.jsonl") == rows
    assert workshop.requests == []
    assert workshop.build() == []


def test_a_record_that_was_altered_is_not_believed(workshop: Workshop) -> None:
    (record,) = (workshop.store / "actions" / "curate").iterdir()
    told = json.loads(record.read_bytes())
    told["outputs"]["pairs.jsonl"] = told["outputs"]["rejected.jsonl"]
    record.write_text(json.dumps(told), encoding="utf-8")
    assert workshop.build() == ["curate"]
    assert workshop.damaged() == []


def test_garbage_in_a_reply_is_asked_for_again_and_nothing_else_is(workshop: Workshop) -> None:
    pairs = workshop.read("pairs.jsonl")
    for record, garbage in zip(sorted((workshop.store / "replies").glob("*/*.json")), GARBAGE, strict=False):
        record.write_bytes(garbage)
    workshop.build("force=[generate,baseline,evaluate]", "until=evaluate")
    assert len(workshop.requests) == len(GARBAGE)
    assert workshop.read("pairs.jsonl") == pairs


@pytest.mark.slow
def test_a_reply_whose_text_was_altered_is_not_believed(workshop: Workshop) -> None:
    pairs = workshop.read("pairs.jsonl")
    for record in (workshop.store / "replies").glob("*/*.json"):
        record.write_text(record.read_text(encoding="utf-8").replace("fact 1 of", "fact 9 of"), encoding="utf-8")
    workshop.build("force=[generate]")
    assert len(workshop.asked()) == 8
    assert workshop.read("pairs.jsonl") == pairs


@pytest.mark.parametrize(
    "garbage", [*GARBAGE, b'{"stages": {"fetch": {"outputs": [], "key": 3}, "curate": {"outputs": null}}}']
)
def test_garbage_in_a_manifest_is_as_good_as_none(workshop: Workshop, garbage: bytes) -> None:
    manifest = workshop.folder / "builds/lighthouse/manifest.json"
    manifest.write_bytes(garbage)
    assert workshop.build() == []
    assert json.loads(manifest.read_bytes())["stages"].keys() == set(STAGES)
    assert workshop.requests == []


@pytest.mark.slow
def test_garbage_in_the_history_harms_nobody(workshop: Workshop) -> None:
    folder = workshop.store / "builds" / "lighthouse"
    for number, garbage in enumerate(GARBAGE):
        (folder / f"2999-{number}.json").write_bytes(garbage)
    assert workshop.run("lighthouse~0", "--json", verb="show").json["recipe"] == "lighthouse"
    assert workshop.run("--json", verb="gc").json["freed"] == 0


def test_a_full_disk_is_told_in_a_line_and_a_build_goes_on_when_there_is_room(workshop: Workshop) -> None:
    """Files may not grow beyond a limit here, which is refused in the same way."""
    before = {f.name: f.read_bytes() for f in (workshop.folder / "builds/lighthouse").iterdir()}
    workshop.edit("prompts/facts.j2", "facts", "wonders")
    told_in_a_line(workshop.process(first=FULL), 1, r"File too large")
    assert {f.name: f.read_bytes() for f in (workshop.folder / "builds/lighthouse").iterdir()} == before
    assert workshop.damaged() == []
    assert not list((workshop.store / "tmp").iterdir())
    assert workshop.process().ran[0] == "generate"
    assert max(workshop.prompts.values()) == 1, "the replies were small enough to be kept"


@pytest.mark.parametrize("where", ["objects", "actions", "tmp", "replies", "locks"])
def test_a_store_that_cannot_be_written_to_is_told_in_a_line(workshop: Workshop, where: str) -> None:
    """Whoever may do anything can write to what is read-only, but to no folder where a file lies."""
    store = workshop.folder / "another store"
    store.mkdir()
    (store / where).mkdir() if where == "locks" else (store / where).write_bytes(b"in the way")
    told_in_a_line(workshop.run(f"store={store}"), 1, "cannot (write to the store|lock)")
    assert workshop.damaged() == []


@pytest.mark.slow
def test_results_that_cannot_be_written_are_told_in_a_line_and_what_was_made_is_kept(workshop: Workshop) -> None:
    (workshop.folder / "elsewhere").write_bytes(b"in the way")
    told_in_a_line(workshop.run("builds=elsewhere", "train.epochs=3"), 1, "cannot write to elsewhere/lighthouse")
    assert workshop.build("train.epochs=3") == []


def test_a_lock_file_that_cannot_be_written_is_told_in_a_line(workshop: Workshop) -> None:
    (workshop.folder / "file").write_bytes(b"in the way")
    told_in_a_line(workshop.run("lock=file/ftbuild.lock", "train.epochs=3"), 2, "file/ftbuild.lock: cannot be read")


@pytest.mark.parametrize("words", [(), ("check=rebuild",)])
def test_when_all_objects_are_gone_one_build_makes_again_what_is_needed(workshop: Workshop, words: tuple[str, ...]) -> None:
    pairs = workshop.read("pairs.jsonl")
    shutil.rmtree(workshop.store / "objects")
    (workshop.folder / "builds/lighthouse/pairs.jsonl").unlink()
    (workshop.folder / "builds/lighthouse/report.html").unlink()
    assert set(workshop.plan(*words).values()) <= {"run", "run only if its input changes"}
    ran = workshop.run(*words, "--json").ran
    assert ran == [s for s in STAGES if s != "curate"]  # which keeps all pairs: its output is that of generate
    assert workshop.read("pairs.jsonl") == pairs
    assert workshop.asked() == []
    assert workshop.created == 0


def test_when_all_objects_are_gone_and_all_results_are_there_nothing_is_missed(workshop: Workshop) -> None:
    shutil.rmtree(workshop.store / "objects")
    assert workshop.build() == []


def test_what_a_changed_input_brings_to_light_as_gone_is_made_again(workshop: Workshop) -> None:
    (objects(workshop, "structure")["sections.jsonl"]).unlink()
    workshop.edit("texts/article.wikitext", "a comment of the editors", "another comment")
    workshop.edit("prompts/facts.j2", "Write", "Please write")
    assert workshop.build("until=format") == ["fetch", "clean", "structure", "generate", "curate", "format"]
