"""The plan: which stages have to run.  A key covers what its stage declares to read, and nothing that cannot matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ftbuild import recipe as recipe_module
from ftbuild.console import Console
from ftbuild.execute import execute
from ftbuild.plan import Plan, Step, Verdict, key_of, plan
from ftbuild.recipe import Capabilities, CleanTest, Limits, Recipe, Template
from ftbuild.stage import STAGES, Stage, Task, recipe_fields
from ftbuild.store import Store
from ftbuild.views import last
from tests.helpers import REPOSITORY, compose

LAST = last(Path("nowhere"))
"""What is known where nothing was built: which outputs would be shown."""

ORDER = ["fetch", "clean", "structure", "generate", "curate", "format", "baseline", "train", "evaluate", "report"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Return a shipped recipe whose rows come from a teacher alone."""
    return compose("recipe=agrippina", "kinds=none", "provider.teacher_size=capable")


def changed(part: Any, key: str, value: Any) -> Any:
    """Return a recipe, or a part of it, with the value under a dotted key replaced."""
    name, _, rest = key.partition(".")
    old = part[name] if isinstance(part, Mapping) else getattr(part, name)
    new = changed(old, rest, value) if rest else value
    assert new != old, f"{key} is {value!r} already"
    return {**part, name: new} if isinstance(part, Mapping) else replace(part, **{name: new})


def keys(recipe: Recipe) -> dict[str, str]:
    """Return the keys of all stages as if their inputs were always the same."""
    plan(recipe, Store(Path("nowhere")))
    return {s.name: key_of(s, recipe, dict.fromkeys(s.inputs, "0" * 64)) for s in STAGES.values()}


def different(one: Recipe, other: Recipe) -> set[str]:
    before, after = keys(one), keys(other)
    return {name for name in before if before[name] != after[name]}


def fill(recipe: Recipe, store: Store, *, until: str = "report", mark: str = "") -> None:
    """Publish outputs for every stage that the plan does not find, up to and with `until`."""
    for name in ORDER[: ORDER.index(until) + 1]:
        step = next(s for s in plan(recipe, store).steps if s.stage.name == name)
        if step.verdict is Verdict.RESTORE:
            continue
        assert step.key, f"{name} cannot run before its inputs are known"
        with store.workspace() as folder:
            for output in step.stage.outputs:
                (folder / output).write_text(f"{name} {output} {mark}", encoding="utf-8")
            store.publish(name, step.key, folder, inputs={}, config=None, facts={})


def verdicts(recipe: Recipe, store: Store) -> dict[str, Verdict]:
    return {s.stage.name: s.verdict for s in plan(recipe, store, LAST).steps}


def test_the_stages_run_in_an_order_in_which_every_input_is_made_before_it_is_read(recipe: Recipe) -> None:
    assert [s.stage.name for s in plan(recipe, Store(Path("nowhere"))).steps] == ORDER
    made: set[str] = set()
    for stage in STAGES.values():
        assert set(stage.inputs) <= made
        made |= {f"{stage.name}/{output}" for output in stage.outputs}


@pytest.mark.parametrize("name", ORDER)
def test_a_stage_declares_parts_that_a_recipe_has_and_says_what_it_does(name: str) -> None:
    assert set(STAGES[name].reads) <= recipe_fields(Recipe)
    assert STAGES[name].summary.endswith(".")


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [
        ("train.epochs", 7, {"train", "report"}),
        ("train.suffix", "other", {"train", "report"}),
        ("train.learning_rate", 0.5, {"train", "report"}),
        ("name", "other", {"report"}),
        ("source.article.params", {"path": "texts/agrippina.wikitext", "title": "x"}, {"fetch", "report"}),
        ("clean.rules", {}, {"clean", "report"}),
        ("structure.select", ("Music",), {"structure", "report"}),
        ("structure.levels", 2, {"structure", "report"}),
        ("prompts.basic.pairs", 3, {"generate", "report"}),
        ("prompts.basic.seed", 3, {"generate", "report"}),
        ("teacher.model", "other", {"generate", "report"}),
        ("teacher.provider.base_url", "http://other/v1", {"generate", "report"}),
        ("curate.hold_out", 5, {"curate", "report"}),
        ("curate.filters", {}, {"curate", "report"}),
        ("format.stop", " END", {"format", "baseline", "evaluate", "report"}),
        ("vars.subject", "another opera", {"generate", "format", "baseline", "evaluate", "report"}),
        ("trainer.base_model", "other", {"format", "baseline", "train", "evaluate", "report"}),
        ("train.checkpoint", 2, {"evaluate"}),
        ("trainer.provider.training", {"trainingType": "standard"}, {"train"}),
        ("trainer.provider.deployments", {"smollm2-135m-instruct": "mine"}, {"baseline"}),
        ("evaluate.max_tokens", 8, {"curate", "baseline", "evaluate", "report"}),
    ],
)
def test_a_changed_value_changes_the_keys_of_the_stages_that_read_it(
    recipe: Recipe, key: str, value: object, stages: set[str]
) -> None:
    assert different(recipe, changed(recipe, key, value)) == stages


@pytest.mark.parametrize("who", ["provider", "teacher.provider", "trainer.provider"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("api_key_env", "ANOTHER_KEY"),
        ("concurrency", 1),
        ("timeout", 1.0),
        ("retries", 0),
        ("limits", Limits(60, 10_000)),
        ("models", {"teacher": "x", "base": "y"}),
        ("teacher_size", "whatever"),
        ("trains", False),
        ("trains_until", "2024-01-06"),
        ("rows", ("chat",)),
        ("shutdown", {"some-model": "2024-01-06"}),
        ("service", {"resource": "mine"}),
        ("batch.requests", 7),
        ("prices.batch", 0.3),
    ],
)
def test_how_a_provider_is_spoken_to_changes_no_key(recipe: Recipe, who: str, key: str, value: object) -> None:
    assert different(recipe, changed(recipe, f"{who}.{key}", value)) == set()


@pytest.mark.parametrize(("who", "stages"), [("teacher", {"generate"}), ("trainer", set[str]()), ("judge", set[str]())])
def test_structured_output_changes_what_the_teacher_is_asked(recipe: Recipe, who: str, stages: set[str]) -> None:
    able = changed(recipe, f"{who}.provider.capabilities", Capabilities("json_schema"))
    article = changed(able, "prompts", {"facts": Template("basic.j2", pairs=20)})
    assert different(changed(recipe, "prompts", {"facts": Template("basic.j2", pairs=20)}), article) == stages


@pytest.mark.parametrize(("key", "value"), [("teacher.mode", "batch"), ("budget.usd", 5.0), ("budget.sweep.tokens", 9)])
def test_how_a_teacher_is_asked_and_what_that_may_cost_change_no_key(recipe: Recipe, key: str, value: object) -> None:
    assert different(recipe, changed(recipe, key, value)) == set()


def test_how_often_a_job_is_asked_about_changes_no_key(recipe: Recipe) -> None:
    assert different(recipe, changed(recipe, "trainer.poll_seconds", 30.0)) == set()
    assert different(recipe, changed(recipe, "teacher.max_failed", 0.0)) == set()


@pytest.mark.parametrize(("key", "value"), [("jobs", 7), ("tests", {"x": CleanTest("a", "b")})])
def test_how_many_clean_and_what_is_tested_changes_no_key(recipe: Recipe, key: str, value: object) -> None:
    assert different(recipe, changed(recipe, f"clean.{key}", value)) == set()


def test_an_input_or_a_new_version_of_a_stage_changes_its_key(recipe: Recipe) -> None:
    stage, inputs = STAGES["clean"], {"fetch/documents.jsonl": "0" * 64}
    key = key_of(stage, recipe, inputs)
    assert key_of(stage, recipe, {"fetch/documents.jsonl": "1" * 64}) != key
    assert key_of(replace(stage, version=stage.version + 1), recipe, inputs) != key
    assert key_of(replace(stage, name="other"), recipe, inputs) != key
    assert key_of(stage, recipe, inputs) == key


def test_a_changed_prompt_changes_the_key_of_generate_alone(recipe: Recipe, home: Path) -> None:
    before = keys(recipe)
    text = (REPOSITORY / "prompts" / "basic.j2").read_text(encoding="utf-8")
    (home / "prompts").mkdir()
    (home / "prompts" / "basic.j2").write_text(text, encoding="utf-8")
    assert keys(recipe) == before
    (home / "prompts" / "basic.j2").write_text(text + "Be brief.\n", encoding="utf-8")
    assert {name for name, key in keys(recipe).items() if key != before[name]} == {"generate"}


def test_a_changed_source_file_changes_the_key_of_fetch_alone(recipe: Recipe, home: Path) -> None:
    before = keys(recipe)
    (home / "texts").mkdir()
    (home / "texts" / "agrippina.wikitext").write_text("another article", encoding="utf-8")
    assert {name for name, key in keys(recipe).items() if key != before[name]} == {"fetch"}


def test_keys_do_not_depend_on_where_one_stands_or_where_the_store_lies(recipe: Recipe, home: Path) -> None:
    one, other = plan(recipe, Store(home / "a")).steps, plan(recipe, Store(home / "b" / "c")).steps
    assert [s.key for s in one] == [s.key for s in other]


def test_in_an_empty_store_the_first_stage_runs_and_the_others_wait(recipe: Recipe, home: Path) -> None:
    planned = plan(recipe, Store(home / "store"))
    assert [s.verdict for s in planned.steps] == [Verdict.RUN] + [Verdict.MAYBE] * 9
    assert [bool(s.key) for s in planned.steps] == [True] + [False] * 9
    assert not planned.fresh
    assert list(home.iterdir()) == []


def test_after_a_build_there_is_nothing_to_do(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    planned = plan(recipe, store)
    assert planned.fresh
    assert {s.verdict for s in planned.steps} == {Verdict.RESTORE}, "it was made, and nobody has been shown it"
    assert all(s.action for s in planned.steps)


def test_another_number_of_epochs_runs_training_again_and_what_comes_after_it(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    other = changed(recipe, "train.epochs", 7)
    assert verdicts(other, store) == {
        **dict.fromkeys(ORDER[:7], Verdict.RESTORE),
        "train": Verdict.RUN,
        "evaluate": Verdict.MAYBE,
        "report": Verdict.MAYBE,
    }
    fill(other, store, mark="again")
    assert plan(other, store).fresh
    assert plan(recipe, store).fresh, "going back runs nothing"


def test_a_stage_that_gives_the_same_output_again_leaves_what_follows_fresh(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    other = changed(recipe, "structure.levels", 2)
    assert verdicts(other, store)["structure"] is Verdict.RUN
    fill(other, store, until="structure")
    assert {name: verdict for name, verdict in verdicts(other, store).items() if verdict is not Verdict.RESTORE} == {
        "report": Verdict.RUN
    }


def lose(recipe: Recipe, store: Store, stage: str, output: str) -> None:
    """Remove an output of a stage from the store."""
    action = next(s.action for s in plan(recipe, store).steps if s.stage.name == stage)
    assert action is not None
    store.object(action.outputs[output]).unlink()


def test_a_lost_output_that_nobody_reads_is_not_missed(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    lose(recipe, store, "generate", "pairs.jsonl")
    assert set(verdicts(recipe, store).values()) == {Verdict.RESTORE}


def test_a_lost_output_that_a_later_stage_reads_is_made_again(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    lose(recipe, store, "generate", "pairs.jsonl")
    found = verdicts(changed(recipe, "curate.hold_out", 3), store)
    assert (found["structure"], found["generate"], found["curate"]) == (Verdict.RESTORE, Verdict.RUN, Verdict.RUN)
    assert {s.stage.name: bool(s.key) for s in plan(changed(recipe, "curate.hold_out", 3), store, LAST).steps}[
        "curate"
    ] is False


def test_a_lost_output_that_is_to_be_shown_is_made_again(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    fill(recipe, store)
    lose(recipe, store, "curate", "rejected.jsonl")
    steps = {s.stage.name: s for s in plan(recipe, store, LAST).steps}
    assert (steps["generate"].verdict, steps["curate"].verdict) == (Verdict.RESTORE, Verdict.RUN)
    assert [str(r) for r in steps["curate"].reasons] == ["rejected.jsonl is gone from the store"]
    assert {steps[name].verdict for name in ("format", "baseline", "train", "report")} == {Verdict.MAYBE}


def peek(task: Task) -> None:
    """Read what the stage did not declare."""
    (task.out / "out").write_text(str(task.recipe.train) + str(task.recipe.evaluate), encoding="utf-8")


def made(run: Any, *, reads: tuple[str, ...], outputs: tuple[str, ...] = ("out",)) -> Stage:
    return Stage("peek", run, reads, (), outputs, 1, (), lambda _: {}, None, reproducible=True, quick=lambda _: False)


def run(stage: Stage, recipe: Recipe, store: Store) -> None:
    execute(Plan((Step(stage, Verdict.RUN, "k1"),)), recipe, store, Console(quiet=True))


def test_a_stage_that_reads_a_part_it_did_not_declare_fails_and_publishes_nothing(recipe: Recipe, home: Path) -> None:
    store = Store(home / "store")
    with pytest.raises(AttributeError, match="the stage 'peek' reads 'evaluate' of the recipe, but does not declare"):
        run(made(peek, reads=("train",)), recipe, store)
    assert store.find("peek", "k1") is None
    assert list((store.root / "tmp").iterdir()) == []
    run(made(peek, reads=("train", "evaluate")), recipe, store)
    assert store.find("peek", "k1") is not None


@pytest.mark.parametrize("outputs", [("out", "more"), ("other",), ()])
def test_a_stage_makes_exactly_the_files_that_it_declares(recipe: Recipe, home: Path, outputs: tuple[str, ...]) -> None:
    store = Store(home / "store")
    stage = made(peek, reads=("train", "evaluate"), outputs=outputs)
    with pytest.raises(Exception, match=r"the stage 'peek' made \['out'\], but declares"):
        run(stage, recipe, store)
    assert store.find("peek", "k1") is None


def test_what_a_stage_sees_of_the_recipe_is_what_its_key_covers(recipe: Recipe) -> None:
    for stage in STAGES.values():
        view = stage.view(recipe)
        for name in recipe_fields(Recipe):
            assert (name in stage.slice(recipe) or name in stage.sees) is hasattr(view, name)


def test_a_slice_is_plain_data_without_what_has_no_part_in_the_identity(recipe: Recipe) -> None:
    provider = STAGES["train"].slice(recipe)["trainer"]["provider"]
    assert set(provider) == {"kind", "base_url", "extras"}

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or isinstance(value, str | int | float)

    assert all(plain(stage.slice(recipe)) for stage in STAGES.values())


def test_every_aside_field_of_a_recipe_is_one_of_those_tried_here() -> None:
    """A new field that stays out of the keys belongs into the tests above, too."""
    kinds = [k for k in vars(recipe_module).values() if isinstance(k, type) and is_dataclass(k)]
    names = {f.name for kind in kinds for f in fields(kind) if not f.metadata.get("identity", True)}
    asking = {"concurrency", "timeout", "retries", "limits", "capabilities", "max_failed", "mode", "batch"}
    hosted = {"trains", "trains_until", "rows", "shutdown", "deployments", "training", "service", "checkpoint"}
    assert names == {
        "api_key_env",
        "models",
        "teacher_size",
        "poll_seconds",
        "prices",
        "budget",
        "jobs",
        "tests",
        *asking,
        *hosted,
    }
