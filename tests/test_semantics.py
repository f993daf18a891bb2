"""What must hold of builds, row by row of the table in the README: what runs again after what, and what never does.

Processes are real, and so are their ends: builds are started, killed and run beside each other as by their users.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ftbuild.testing import Reply, Request
from tests import workshop as workshops
from tests.workshop import REQUESTS, SECTIONS, STAGES, TEACHER, Workshop, answer, finish, wait_for

COMMENT = ("a comment of the editors", "a longer comment of the editors")


# ---- the table ----


def test_touch_an_input_and_no_stage_runs(workshop: Workshop) -> None:
    os.utime(workshop.folder / "texts" / "article.wikitext")
    os.utime(workshop.folder / "prompts" / "facts.j2")
    assert workshop.process().ran == []
    assert workshop.requests == []


def test_edit_an_input_so_that_clean_gives_the_same_and_two_stages_run(workshop: Workshop) -> None:
    workshop.edit("texts/article.wikitext", *COMMENT)
    assert workshop.process().ran == ["fetch", "clean"]
    assert workshop.requests == []


def test_go_back_to_the_old_input_and_no_stage_runs(workshop: Workshop) -> None:
    pairs, report = workshop.read("pairs.jsonl"), workshop.read("report.html")
    workshop.edit("texts/article.wikitext", "thirty metres", "forty metres")
    assert workshop.process().ran == [s for s in STAGES if s != "baseline"]
    assert workshop.read("pairs.jsonl") != pairs
    workshop.forget()
    workshop.edit("texts/article.wikitext", "forty metres", "thirty metres")
    assert workshop.process().ran == []
    assert workshop.requests == []
    assert (workshop.read("pairs.jsonl"), workshop.read("report.html")) == (pairs, report)


def test_delete_an_intermediate_output_and_no_stage_runs_and_it_is_back(workshop: Workshop) -> None:
    pairs = workshop.read("pairs.jsonl")
    (workshop.folder / "builds/lighthouse/pairs.jsonl").unlink()
    assert workshop.process().ran == []
    assert workshop.read("pairs.jsonl") == pairs
    assert workshop.requests == []


@pytest.mark.parametrize("how", ["same size", "truncated", "a directory is in the way of nothing"])
def test_tamper_with_a_final_output_and_no_stage_runs_and_it_is_restored(workshop: Workshop, how: str) -> None:
    file = workshop.folder / "builds/lighthouse/report.html"
    report = workshop.read("report.html")
    match how:
        case "same size":
            file.write_text(report.replace("Saltmere", "Saltmore"), encoding="utf-8")
        case "truncated":
            file.write_text(report[:100], encoding="utf-8")
        case _:
            file.unlink()
            file.symlink_to("nowhere")
    assert workshop.process().ran == []
    assert workshop.read("report.html") == report
    assert workshop.damaged() == []
    assert workshop.requests == []


class Gate:
    """A teacher who answers so many requests and then holds all others until he is let go on."""

    def __init__(self, at_once: int) -> None:
        self.answers, self.held, self.open = at_once, 0, threading.Event()
        self._lock = threading.Lock()

    def reply(self, request: Request) -> Reply:
        """Answer, at once or later."""
        if request.model == TEACHER:
            with self._lock:
                self.answers -= 1
                held = self.answers < 0
                self.held += held
            if held:
                self.open.wait(120)
        return answer(request)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Callable[[int], tuple[Workshop, Gate]]]:
    """Return a function that lays out the project, not built yet, before a teacher who answers only so many requests."""
    gate = Gate(0)
    with workshops.provider(gate.reply) as provider:

        def lay_out(answers: int) -> tuple[Workshop, Gate]:
            gate.answers = answers
            return Workshop.at(tmp_path / "project", provider), gate

        yield lay_out
        gate.open.set()


def test_kill_inside_generate_and_no_truncated_file_is_visible_and_the_same_command_goes_on_at_the_next_record(
    gated: Callable[[int], tuple[Workshop, Gate]],
) -> None:
    workshop, gate = gated(5)
    with workshop.start("+recipe=lighthouse", "provider.concurrency=2") as process:
        wait_for(lambda: gate.held == 2)  # both who ask have put down their last answer
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert workshop.damaged() == []
    assert not (workshop.folder / "builds").exists(), "nothing is shown before it is whole"
    assert len(workshop.asked()) == 5 + 2
    gate.open.set()
    assert workshop.process().ran == list(STAGES[3:])
    assert len(workshop.prompts) == REQUESTS
    assert Counter(workshop.prompts.values()) == {1: REQUESTS - 2, 2: 2}, "only what was in flight is asked again"
    assert workshop.damaged() == []


@pytest.mark.slow
def test_kill_a_later_build_and_the_results_of_the_earlier_one_stay_whole(workshop: Workshop) -> None:
    before = {f.name: f.read_bytes() for f in (workshop.folder / "builds/lighthouse").iterdir()}
    hold, arrived = threading.Event(), threading.Event()

    def fault(request: Request) -> None:
        if request.path == "/files" and request.method == "POST":
            arrived.set()
            hold.wait(120)

    workshop.provider.fault = fault
    workshop.edit("prompts/facts.j2", "facts", "curious facts")
    with workshop.start("+recipe=lighthouse") as process:
        assert arrived.wait(60)
        process.kill()
        process.communicate(timeout=60)
    hold.set()
    assert {f.name: f.read_bytes() for f in (workshop.folder / "builds/lighthouse").iterdir()} == before
    assert workshop.damaged() == []
    assert workshop.process().ran == ["train", "evaluate", "report"]


@pytest.mark.slow
def test_kill_at_any_moment_and_the_end_is_the_same(built_workshop: Workshop, tmp_path: Path) -> None:
    expected = built_workshop.read("dataset.jsonl")
    workshop = Workshop.at(tmp_path / "project", built_workshop.provider)
    for moment in range(4, 40, 2):  # tenths of a second
        with workshop.start("+recipe=lighthouse", "train.epochs=9") as process:
            try:
                process.communicate(timeout=moment / 10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate(timeout=60)
        assert workshop.damaged() == []
    workshop.process("train.epochs=9").json  # noqa: B018 - checks that it ended well
    assert workshop.read("dataset.jsonl") == expected
    assert workshop.created == 1
    assert len(workshop.prompts) == REQUESTS


def test_two_builds_at_once_run_each_stage_once_and_both_succeed(gated: Callable[[int], tuple[Workshop, Gate]]) -> None:
    workshop, gate = gated(0)
    with workshop.start("+recipe=lighthouse", "--json") as one:
        wait_for(lambda: gate.held)  # it is inside generate
        with workshop.start("+recipe=lighthouse", "--json") as other:
            assert other.stderr is not None
            said = ""
            while "another build is at this already" not in said:
                line = other.stderr.readline()
                assert line, said
                said += line
            gate.open.set()
            both = [finish(one), finish(other)]
    assert sorted(both[0].ran + both[1].ran) == sorted(STAGES)
    assert both[0].json["stages"] == both[1].json["stages"]
    assert both[0].json["model"] == both[1].json["model"]
    assert set(workshop.prompts.values()) == {1}
    assert workshop.created == 1
    assert workshop.damaged() == []
    assert workshop.process().ran == []


@pytest.mark.slow
def test_two_builds_at_once_in_two_projects_with_one_store_run_each_stage_once(
    built_workshop: Workshop, tmp_path: Path
) -> None:
    one, other = (Workshop.at(tmp_path / name, built_workshop.provider) for name in ("one", "other"))
    started = [w.start("+recipe=lighthouse", f"store={tmp_path / 'store'}", "--json") for w in (one, other)]
    both = [finish(process) for process in started]
    assert sorted(both[0].ran + both[1].ran) == sorted(STAGES)
    assert (one.created, one.read("model.json")) == (1, other.read("model.json"))
    assert set(one.prompts.values()) == {1}
    assert one.folder.joinpath("ftbuild.lock").read_bytes() == other.folder.joinpath("ftbuild.lock").read_bytes()


def test_what_another_build_made_between_the_plan_and_the_lock_is_taken(workshop: Workshop) -> None:
    """The other build is over before this one reaches the lock, which it gets without waiting."""
    from ftbuild.locks import Locks

    words, hold, others = ("train.epochs=5",), Locks.hold, list[list[str]]()

    def late(self: Locks, key: str, **how: object) -> object:
        if key.startswith("train ") and not others:
            others.append([])
            others[0] += workshop.process(*words).ran
        return hold(self, key, **how)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Locks, "hold", late)
        assert workshop.build(*words) == []
    assert others == [["train", "evaluate", "report"]]
    assert workshop.created == 1


# ---- plan says what will run ----

Change = Callable[[Workshop], tuple[str, ...]]


def edit(name: str, old: str, new: str, *words: str) -> Change:
    def change(workshop: Workshop) -> tuple[str, ...]:
        workshop.edit(name, old, new)
        return words

    return change


def say(*words: str) -> Change:
    return lambda _: words


RECIPE = "conf/recipe/lighthouse.yaml"
AFTER_GENERATE = tuple(s for s in STAGES[3:] if s != "baseline")  # it asks the probes alone, which stay the same
ALL = (*STAGES[:3], *AFTER_GENERATE)
CHANGES: dict[str, tuple[Change, tuple[str, ...], int]] = {
    "nothing": (say(), (), 0),
    "comments and the layout of YAML": (
        edit(RECIPE, "train:\n  suffix: saltmere\n  epochs: 2", 'train: {"epochs": 2, suffix: "saltmere"}  # as before'),
        (),
        0,
    ),
    "the epochs": (say("train.epochs=3"), ("train", "evaluate", "report"), 0),
    "the suffix": (say("train.suffix=other"), ("train", "evaluate", "report"), 0),
    "one word in one prompt": (edit("prompts/facts.j2", "facts", "surprises"), AFTER_GENERATE, SECTIONS),
    "one section of the article": (edit("texts/article.wikitext", "granite", "basalt"), ALL, 2),
    "a comment in the article": (edit("texts/article.wikitext", *COMMENT), ("fetch", "clean"), 0),
    "a rule that finds nothing": (
        edit(RECIPE, "prompts:", "clean: {rules: {nothing: {rule: regex, pattern: 'xyzzy'}}}\nprompts:"),
        ("clean", "report"),
        0,
    ),
    "a filter that rejects nothing": (say("curate.filters.length.most_words=399"), ("curate", "report"), 0),
    "the order of the filters": (
        edit(RECIPE, "prompts:", "curate: {filters: {duplicates: null, again: {filter: duplicates}}}\nprompts:"),
        ("curate", "report"),
        0,
    ),
    "the separator": (edit(RECIPE, "###", "==="), STAGES[5:], 0),
    "the sections": (say("structure.drop=[Tower]"), ("structure", *AFTER_GENERATE), 0),
    "only so far": (edit("texts/article.wikitext", "granite", "basalt", "until=curate"), STAGES[:5], 2),
    "one forced": (say("force=[curate]"), ("curate",), 0),
    "a temperature, and the replies are the same": (
        say("prompts.facts.temperature=0.1"),
        ("generate", "curate", "format", "report"),
        SECTIONS,
    ),
}


OFTEN = {"nothing", "comments and the layout of YAML", "one word in one prompt", "a comment in the article"}


@pytest.mark.parametrize("change", [c if c in OFTEN else pytest.param(c, marks=pytest.mark.slow) for c in CHANGES])
def test_plan_says_what_will_run(workshop: Workshop, change: str) -> None:
    alter, expected, asked = CHANGES[change]
    words = alter(workshop)
    before = workshop.files()
    told = workshop.run(*words, "--json", verb="plan").json["stages"]
    assert workshop.files() == before
    assert workshop.requests == []
    verdicts = {step["stage"]: step["verdict"] for step in told}
    ran = workshop.build(*words)
    surely = [name for name, verdict in verdicts.items() if verdict == "run"]
    perhaps = [name for name, verdict in verdicts.items() if verdict.startswith("run")]
    assert ran == list(expected)
    assert [name for name in ran if name in surely] == surely, "what was to run did"
    assert [name for name in perhaps if name in ran] == ran, "and nothing else but what was left open"
    asking = surely[-1:] and surely[-1] in ("generate", "train")
    assert asking or perhaps == surely == ran, "and nothing is left open but what follows a teacher or a trainer"
    assert len(workshop.asked()) == asked
    quote = next((step["quote"] for step in told if step["stage"] == "generate" and step["quote"]), None)
    assert (quote["to_send"] if quote else 0) == asked
