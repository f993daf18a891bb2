"""The store: results appear whole or not at all, are found by their key, and not found once tampered with."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ftbuild.digest import digest_bytes
from ftbuild.errors import FtbuildError
from ftbuild.store import Action, Store, read_json, write_json, write_text


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "store")


def publish(store: Store, key: str = "k1", **files: str) -> Action:
    with store.workspace() as folder:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return store.publish("clean", key, folder, inputs={"fetch/a": "d1"}, config={"x": 1}, facts={"n": 2})


def everything(store: Store) -> list[str]:
    return sorted(p.relative_to(store.root).as_posix() for p in store.root.rglob("*") if p.is_file())


def test_what_is_published_is_found_by_its_key(store: Store) -> None:
    action = publish(store, out="text", other="more")
    assert store.find("clean", "k1") == action
    assert action.outputs == {"other": digest_bytes(b"more"), "out": digest_bytes(b"text")}
    assert (action.stage, action.key, action.inputs, action.config, action.facts) == (
        "clean",
        "k1",
        {"fetch/a": "d1"},
        {"x": 1},
        {"n": 2},
    )
    assert store.object(action.outputs["out"]).read_text(encoding="utf-8") == "text"


def test_another_key_or_stage_is_not_found(store: Store) -> None:
    publish(store, out="text")
    assert store.find("clean", "k2") is None
    assert store.find("fetch", "k1") is None
    assert Store(store.root / "elsewhere").find("clean", "k1") is None


def test_asking_touches_nothing(store: Store) -> None:
    assert store.find("clean", "k1") is None
    assert not store.root.exists()


def test_the_same_content_is_kept_once_and_read_only(store: Store) -> None:
    first, second = publish(store, "k1", a="text"), publish(store, "k2", b="text")
    assert first.outputs["a"] == second.outputs["b"]
    kept = store.object(first.outputs["a"])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o444
    assert len([name for name in everything(store) if name.startswith("objects/")]) == 1


def test_nothing_of_a_result_is_found_before_all_of_it_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, value: object) -> None:  # noqa: ARG001 - stands in for write_json
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("ftbuild.store.write_json", fail)
        with pytest.raises(FtbuildError, match="No space left on device") as caught:
            publish(store, out="text")
    assert caught.value.hint
    assert store.find("clean", "k1") is None
    assert publish(store, out="text") == store.find("clean", "k1")


@pytest.mark.parametrize("damage", ["gone", "shorter", "longer", "empty"])
def test_a_result_whose_file_was_tampered_with_is_not_found_and_can_be_made_again(store: Store, damage: str) -> None:
    action = publish(store, out="text")
    kept = store.object(action.outputs["out"])
    kept.chmod(0o644)
    match damage:
        case "gone":
            kept.unlink()
        case "shorter":
            kept.write_text("tex", encoding="utf-8")
        case "longer":
            kept.write_text("text!", encoding="utf-8")
        case "empty":
            kept.write_text("", encoding="utf-8")
    assert store.lacks(action) == ["out"]
    assert publish(store, out="text") == action
    assert store.find("clean", "k1") == action
    assert store.lacks(action) == []
    assert kept.read_text(encoding="utf-8") == "text"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stage": "clean"}', "\xff"])
def test_a_record_that_cannot_be_read_is_as_good_as_none(store: Store, text: str) -> None:
    publish(store, out="text")
    record = store.root / "actions" / "clean" / "k1.json"
    record.write_text(text, encoding="latin-1")
    assert store.find("clean", "k1") is None
    publish(store, out="text")
    assert store.find("clean", "k1") is not None


def test_a_workspace_is_empty_and_gone_afterwards(store: Store) -> None:
    with store.workspace() as folder:
        assert list(folder.iterdir()) == []
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x", encoding="utf-8")
        assert folder.is_relative_to(store.root)
    assert not folder.exists()


def test_a_workspace_is_gone_after_an_error_and_nothing_is_published(store: Store) -> None:
    def work() -> None:
        with store.workspace() as folder:
            (folder / "half").write_text("x", encoding="utf-8")
            assert everything(store) != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert list((store.root / "tmp").iterdir()) == []
    assert everything(store) == []


def test_two_workspaces_are_two_folders(store: Store) -> None:
    with store.workspace() as one, store.workspace() as other:
        assert one != other


def test_a_store_that_cannot_be_written_to_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FtbuildError, match="cannot write to the store") as caught, Store(tmp_path / "file").workspace():
        pass
    assert caught.value.hint == "choose another with store=DIRECTORY"


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "old é")
    assert target.read_text(encoding="utf-8") == "old é"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644

    def fail(handle: int) -> None:
        raise OSError(5, f"the disk is gone ({handle})")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "old é"
    assert [p.name for p in target.parent.iterdir()] == ["file.txt"]


def test_json_is_sorted_readable_and_comes_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": ["é"], "a": None})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": null,\n "b": [\n  "é"\n ]\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": None, "b": ["é"]}
    assert read_json(tmp_path / "absent.json") is None
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert read_json(tmp_path / "bad.json") is None


def test_a_record_is_json_that_a_person_can_read(store: Store) -> None:
    publish(store, out="text")
    record = json.loads((store.root / "actions" / "clean" / "k1.json").read_text(encoding="utf-8"))
    assert record["outputs"] == {"out": digest_bytes(b"text")}
    assert str(store.root) not in json.dumps(record)
