"""Training at hosted providers, each on loopback and in the words of its documentation (`tests/providers/`).

The teacher is somebody else in all of them: a recipe names one server to ask and another to train at.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ftbuild import paths
from ftbuild.providers import answering
from ftbuild.recipe import Provider
from ftbuild.testing import Reply, Request, ScriptedProvider, Status, Training
from tests.helpers import option
from tests.providers.azure import Azure
from tests.providers.dashscope import DashScope
from tests.providers.dialect import Dialect, rows_of
from tests.providers.fireworks import Fireworks
from tests.providers.nebius import Nebius
from tests.providers.together import Together
from tests.providers.zhipu import Zhipu
from tests.workshop import PAIRS, SECTIONS, TEACHER, Ran, Workshop, answer, wait_for

KEEPER = "Maud Trevanion"
BASE = "base-1"
ROWS = 2 * SECTIONS * PAIRS
NEAR = ("trainer.poll_seconds=0.01", "trainer.provider.retries=0")


@dataclass(frozen=True)
class Known:
    """How a provider is chosen, and with which base model and settings of its own."""

    name: str
    dialect: type[Dialect]
    base: str = BASE
    words: tuple[str, ...] = ()
    deploys: bool = False
    checkpoints: bool = True
    options: dict[str, Any] = field(default_factory=dict)


_OF = {"subscription": "SUB", "resource_group": "GROUP", "resource": "RES"}
AZURE = tuple(f"trainer.provider.service.{k}={v}" for k, v in _OF.items())
PROVIDERS = [
    Known("openai", Dialect),
    Known("azure", Azure, words=(*AZURE, "train.suffix=salt.mere"), deploys=True),
    Known("nebius", Nebius, deploys=True, words=("train.method=lora", "train.learning_rate=1e-5")),
    Known("dashscope", DashScope, deploys=True, words=("train.method=lora", "train.learning_rate=1e-5")),
    Known("zhipu", Zhipu, checkpoints=False),
    Known("together", Together, words=("train.method=lora",)),
    Known(
        "fireworks",
        Fireworks,
        "accounts/fireworks/models/base-1",
        ("trainer.provider.service.account=acme",),
        deploys=True,
        checkpoints=False,
    ),
]
EACH = pytest.mark.parametrize("known", PROVIDERS, ids=lambda known: known.name)


@dataclass
class Two:
    """A project whose teacher is at one server and whose trainer at another."""

    workshop: Workshop
    trainer: Dialect
    known: Known

    def words(self, *more: str) -> list[str]:
        """Return what chooses the trainer on the command line."""
        name, url = self.known.name, self.trainer.base_url
        words = [
            f"trainer={name}",
            f"trainer.provider.base_url={url}",
            "trainer.provider.api_key_env=TRAINER_KEY",
            "format=chat",
        ]
        words += [f"trainer.base_model={self.known.base}", *NEAR, *self.known.words]
        if isinstance(self.trainer, Azure):
            words.append(f"+trainer.provider.service.control={self.trainer.control.base_url}")
        return [*words, *more]

    def run(self, *more: str, verb: str = "build") -> Ran:
        """Run ftbuild, and see to it that no key was printed or written."""
        ran = self.workshop.run(*self.words(*more), verb=verb)
        self.no_keys(ran)
        return ran

    def no_keys(self, ran: Ran) -> None:
        """Fail if a key is anywhere in the project or in what was printed."""
        keys = [self.workshop.provider.api_key, self.trainer.api_key]
        keys += [self.trainer.token] if isinstance(self.trainer, Azure) else []
        files = [f for f in self.workshop.folder.rglob("*") if f.is_file()]
        for key in keys:
            assert key not in ran.out + ran.err
            assert [str(f) for f in files if key.encode() in f.read_bytes()] == []

    @property
    def model(self) -> Any:
        """What the stage train left of its model."""
        return json.loads(self.workshop.read("model.json"))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Callable[[Known], Two]]:
    """Return a function that lays out the project for a provider."""
    with contextlib.ExitStack() as stack:

        def made(known: Known) -> Two:
            teacher = stack.enter_context(ScriptedProvider(answer, models=(TEACHER,)))
            trainer = stack.enter_context(
                known.dialect(_nobody, tuned_reply=KEEPER, models=(known.base, f"{known.base}-other"))
            )
            workshop = Workshop.at(tmp_path / known.name, teacher)
            workshop.environment["TRAINER_KEY"] = trainer.api_key
            if isinstance(trainer, Azure):
                stack.enter_context(trainer.control)
                workshop.environment["AZURE_MANAGEMENT_TOKEN"] = trainer.token
            return Two(workshop, trainer, known)

        yield made


def _nobody(_: Request) -> Reply:
    return "Nobody knows."


# ---- from rows to answers ----


@EACH
def test_a_recipe_trains_there_and_asks_what_came_of_it(known: Known, two: Callable[[Known], Two]) -> None:
    """And a job that was created, but answered with an error, is found rather than created again."""
    project, lost = two(known), [1]

    def losing(request: Request) -> Status | None:
        creating = request.method == "POST" and re.search(
            r"/(fine_tuning/jobs|fine-tunes|supervisedFineTuningJobs)$", request.path
        )
        if not (creating and lost):
            return None
        lost.clear()
        return Status(500, message="lost on the way")

    project.trainer.lost = losing
    ran = project.run("trainer.provider.retries=1")
    assert ran.code == 0, ran.err
    assert lost == []
    teacher, trainer = project.workshop.provider, project.trainer
    assert {r.model for r in teacher.asked} == {TEACHER}
    assert teacher.jobs == []
    assert len(trainer.jobs) == 1
    (rows,) = rows_of(trainer)
    assert len(rows) == ROWS
    assert {message["role"] for row in rows for message in row["messages"]} == {"user", "assistant"}
    assert trainer.jobs[0]["hyperparameters"]["n_epochs"] == 2
    before, after = (json.loads(project.workshop.read(name).splitlines()[0]) for name in ("baseline.jsonl", "answers.jsonl"))
    assert (before["right"], after["right"], after["answer"]) == (False, True, KEEPER)
    asked = {r.model for r in trainer.asked}
    assert len(asked) == 2
    assert known.base in asked
    assert (project.model["model"] in asked) is (not known.deploys or known.name == "fireworks")
    sent = len(trainer.requests) + len(teacher.requests)
    assert project.run("trainer.provider.retries=1").code == 0
    assert len(trainer.requests) + len(teacher.requests) == sent, "nothing to do, nothing sent"


OWN = {"dashscope", "together", "fireworks", "zhipu"}
OWN_WORDS = [pytest.param(k, marks=() if k.name in OWN else pytest.mark.slow) for k in PROVIDERS]


@pytest.mark.parametrize("known", OWN_WORDS, ids=lambda known: known.name)
def test_a_job_that_fails_says_why_and_the_next_build_creates_another(known: Known, two: Callable[[Known], Two]) -> None:
    project = two(known)
    project.trainer.training = Training(fails="the rows make no sense")
    ran = project.run("until=train")
    assert ran.code == 1
    assert "the rows make no sense" in ran.err
    project.trainer.training = Training()
    assert project.run("until=train").code == 0
    assert [j["status"] for j in project.trainer.jobs] == ["failed", "succeeded"]
    assert len(rows_of(project.trainer)) == 1, "the rows are there already"


@EACH
def test_a_wrong_key_is_found_out_before_anything_is_sent(known: Known, two: Callable[[Known], Two]) -> None:
    project = two(known)
    assert project.run("until=format").code == 0
    project.workshop.environment["TRAINER_KEY"] = "sk-of-somebody-else-0123456789"
    ran = project.run("until=train")
    assert ran.code == 2, ran.err
    assert "401" in ran.err
    assert rows_of(project.trainer) == []


@pytest.mark.parametrize(
    "known", [k for k in PROVIDERS if k.name in ("openai", "azure", "together", "fireworks")], ids=lambda k: k.name
)
def test_a_model_that_is_not_trained_there_is_named_before_anything_is_sent(known: Known, two: Callable[[Known], Two]) -> None:
    project = two(known)
    ran = project.run(
        "until=train", f"trainer.base_model={known.base}x", f"+trainer.provider.deployments={{{known.base}x: {known.base}}}"
    )
    assert ran.code == 2, ran.err
    assert f"{known.base}x" in ran.err
    assert "trainer.base_model" in ran.err
    assert rows_of(project.trainer) == []


def test_teacher_trainer_and_judge_may_be_three_servers_with_three_keys(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[3])
    with ScriptedProvider(lambda _: '{"why": "so she was", "right": true}', models=("wise",)) as judge:
        project.workshop.environment["JUDGE_KEY"] = judge.api_key
        words = ["judge=openai_compatible", f"judge.provider.base_url={judge.base_url}", "judge.provider.api_key_env=JUDGE_KEY"]
        words += ["judge.provider.models.teacher=wise", "judge.provider.models.base=none"]
        project.workshop.edit(
            "conf/recipe/lighthouse.yaml",
            "{grader: contains, any_of: [Maud Trevanion]}",
            "{grader: judge, reference: Maud Trevanion}",
        )
        ran = project.run(*words)
        assert ran.code == 0, ran.err
        files = [f for f in project.workshop.folder.rglob("*") if f.is_file()]
        assert judge.api_key not in ran.out + ran.err
        assert [str(f) for f in files if judge.api_key.encode() in f.read_bytes()] == []
    assert {r.model for r in judge.asked} == {"wise"}
    assert {r.model for r in project.workshop.provider.asked} == {TEACHER}
    assert TEACHER not in {r.model for r in project.trainer.asked}


# ---- checkpoints and deployments ----


@pytest.mark.parametrize("known", [k for k in PROVIDERS if k.checkpoints], ids=lambda k: k.name)
def test_a_checkpoint_is_chosen_without_training_again(known: Known, two: Callable[[Known], Two]) -> None:
    project = two(known)
    project.trainer.training = Training(checkpoints=3)
    ran = project.run()
    assert ran.code == 0, ran.err
    kept = project.model["checkpoints"]
    assert [c["step"] for c in kept] == [1, 2, 3]
    shown = project.workshop.call("show", "lighthouse")
    assert kept[1]["model"] in shown.out
    before = {r.model for r in project.trainer.asked}
    ran = project.run("train.checkpoint=2", "--json")
    assert ran.ran == ["evaluate"], "the answers are the same, so that is where it ends"
    assert len(project.trainer.jobs) == 1
    (asked,) = {r.model for r in project.trainer.asked} - before
    assert project.trainer.deployed.get(asked, asked).endswith("step-2") or asked.endswith(":2") or known.name == "nebius"
    again = project.run('train.checkpoint="step 2"', "--json")
    assert again.code == 0
    assert {r.model for r in project.trainer.asked} - before == {asked}
    ran = project.run("train.checkpoint=7")
    assert ran.code == 2
    assert "there are: 1 (step 1)" in ran.err


@pytest.mark.parametrize("known", [k for k in PROVIDERS if k.deploys], ids=lambda k: k.name)
def test_what_was_deployed_and_sent_is_taken_off_again_on_request(known: Known, two: Callable[[Known], Two]) -> None:
    project = two(known)
    project.trainer.training = Training(checkpoints=1)
    assert project.run().code == 0
    assert len(project.trainer.deployed) == 1
    shown = project.workshop.call("gc", "remote=true")
    assert shown.code == 0, shown.err
    assert "nothing was removed" in shown.out
    assert len(project.trainer.deployed) == len(rows_of(project.trainer)) == 1
    done = project.workshop.call("gc", "remote=true", "apply=true", "--json")
    project.no_keys(done)
    assert {"file", "deployment"} <= {p["kind"] for p in done.json["pieces"]} <= {"file", "deployment", "result"}
    assert project.trainer.deployed == {}
    left = [f["purpose"] for f in project.trainer._trainer.files.values()]
    assert left == ([] if known.name in ("azure", "nebius") else ["fine-tune-results"]), "others do not offer files of results"
    assert "nothing" in project.workshop.call("gc", "remote=true").out
    ran = project.run("Who was it?", verb="ask")
    assert (ran.code, ran.out.strip()) == (0, KEEPER), "it is deployed again for whoever asks it"
    assert len(project.trainer.deployed) == 1


def test_a_deployment_is_not_made_where_all_answers_are_kept(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[1])
    assert project.run().code == 0
    assert project.workshop.call("gc", "remote=true", "apply=true").code == 0
    ran = project.run("evaluate.probes.keeper.grade.any_of=[Maud]", "--json")
    assert "evaluate" in ran.ran
    assert project.trainer.deployed == {}


# ---- particulars ----


def test_azure_is_sent_what_it_wants(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[1])
    ran = project.run("trainer.provider.training.trainingType=globalstandard", "until=train")
    assert ran.code == 0, ran.err
    assert isinstance(project.trainer, Azure)
    (body,) = project.trainer.created
    assert (body["trainingType"], body["suffix"]) == ("globalstandard", "salt-mere")
    assert project.run("trainer.provider.training.trainingType=standard", "until=train").code == 0
    assert len(project.trainer.jobs) == 2, "where it trains is part of what the model is"


def test_azure_without_a_token_is_told_before_anything_is_sent(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[1])
    del project.workshop.environment["AZURE_MANAGEMENT_TOKEN"]
    ran = project.run("until=train")
    assert ran.code == 2
    assert "AZURE_MANAGEMENT_TOKEN is not set" in ran.err
    assert "az account get-access-token" in ran.err
    assert rows_of(project.trainer) == []


def test_a_key_that_a_provider_repeats_is_not_told_on(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[1])
    trainer = project.trainer
    assert isinstance(trainer, Azure)
    said = Status(400, message=f"the key {trainer.api_key} may not do this")
    trainer.fault = lambda r: said if (r.method, r.path) == ("POST", "/fine_tuning/jobs") else None
    ran = project.run("until=train")
    assert ran.code == 1
    assert "the key … may not do this" in ran.err
    trainer.fault = None
    trainer.control.fault = lambda _: Status(403, message=f"the token {trainer.token} has no role for this")
    ran = project.run()
    assert ran.code == 2
    assert "the token … has no role for this" in ran.err


def test_who_answers_depends_on_the_address_and_the_deployment() -> None:
    one = Provider("azure", "https://one.example/openai/v1/", "SOME_KEY")
    assert answering(one, BASE) == {"provider": "azure at https://one.example/openai/v1/"}
    assert answering(replace(one, base_url="https://two.example/openai/v1/"), BASE) != answering(one, BASE)
    deployed = replace(one, deployments={BASE: "mine"})
    assert answering(deployed, BASE) == {**answering(one, BASE), "deployment": "mine"}
    assert answering(deployed, "another") == answering(one, "another")
    assert answering(replace(one, api_key_env="OTHER_KEY", service={"resource": "x"}), BASE) == answering(one, BASE)


def test_together_s_price_is_told_and_its_limit_kept(two: Callable[[Known], Two]) -> None:
    project = two(PROVIDERS[5])
    ran = project.run("until=train")
    assert "the job costs $4.2000" in ran.err
    assert isinstance(project.trainer, Together)
    project.trainer.limit = 1.0
    ran = project.run("until=train", "train.epochs=9")
    assert ran.code == 4
    assert "limit is $1.0" in ran.err
    assert len(project.trainer.jobs) == 1


# ---- what ends, and what is refused ----


def test_a_model_that_was_shut_down_is_refused_and_one_that_will_be_is_shown(tmp_path: Path) -> None:
    with ScriptedProvider(
        answer, models=(TEACHER, "old", "late"), shutdown={"old": "2024-01-04", "late": "2999-12-31"}
    ) as provider:
        workshop = Workshop.at(tmp_path, provider)
        ran = workshop.run("trainer.base_model=old", "until=train")
        assert ran.code == 2
        assert "the model old was shut down on 2024-01-04" in ran.err
        ran = workshop.run("trainer.base_model=late", "until=train")
        assert ran.code == 0, ran.err
        assert "shuts the model late down on 2999-12-31" in ran.err
        ran = workshop.run(
            "trainer.base_model=late", "train.epochs=5", "+provider.shutdown={late: '2024-01-05'}", "until=train"
        )
        assert ran.code == 0, "what the provider itself says comes first"
        assert sum(r.path == "/files" for r in provider.requests) == 1


def test_a_provider_that_stopped_training_is_told_of_before_anything_is_sent(tmp_path: Path) -> None:
    with ScriptedProvider(answer) as provider:
        workshop = Workshop.at(tmp_path, provider)
        ran = workshop.run("provider.trains_until='2024-01-06'", "until=train")
        assert ran.code == 2
        assert "takes no new fine-tuning jobs since 2024-01-06" in ran.err
        assert not any(r.path == "/files" for r in provider.requests)


def test_who_may_train_nothing_is_told_who_does_and_the_printed_words_work(tmp_path: Path) -> None:
    refused = Status(403, "training_not_available", "OpenAI is winding down the fine-tuning platform.")
    with (
        ScriptedProvider(answer, training=Training(refused=refused)) as provider,
        DashScope(_nobody, tuned_reply=KEEPER, models=(BASE,)) as other,
    ):
        workshop = Workshop.at(tmp_path, provider)
        mine = option("provider", "dashscope") | {
            "base_url": other.base_url,
            "api_key_env": "OTHER_KEY",
            "models": {"base": BASE},
        }
        workshop.write("conf/provider/elsewhere.yaml", json.dumps(mine))
        workshop.write(
            "conf/trainer/elsewhere.yaml",
            "defaults: [{/provider@provider: elsewhere}]\nbase_model: ${.provider.models.base}\npoll_seconds: 0.01\n",
        )
        ran = workshop.run()
        assert ran.code == 2
        assert "training_not_available" not in ran.out
        assert "winding down" in ran.err
        assert "the uploaded file was removed again" in ran.err
        assert provider._trainer.files == {}
        words = re.search(r"(trainer=elsewhere format=chat) \(needs OTHER_KEY\)", ran.err)
        assert words, ran.err
        assert "trainer=local" in ran.err
        assert "trainer=deepseek" not in ran.err
        workshop.environment["OTHER_KEY"] = other.api_key
        ran = workshop.run(*words[1].split())
        assert ran.code == 0, ran.err
        assert len(other.jobs) == 1
        assert json.loads(workshop.read("score.json"))["after"] == 1.0


def test_a_model_that_did_not_pass_the_safety_checks_is_told_with_the_categories(tmp_path: Path) -> None:
    with ScriptedProvider(answer, training=Training(blocked=("hate/threatening", "violence"))) as provider:
        ran = Workshop.at(tmp_path, provider).run("until=train")
    assert ran.code == 1
    assert "blocked: hate/threatening, violence" in ran.err


def test_a_paused_job_is_told_of_and_waited_for(tmp_path: Path) -> None:
    statuses = ("validating_files", "running", "pausing", "paused", "resuming", "running_again")
    with ScriptedProvider(answer, training=Training(statuses=statuses)) as provider:
        ran = Workshop.at(tmp_path, provider).run("until=train")
    assert ran.code == 0, ran.err
    assert "is paused; it goes on when it is resumed at the provider" in ran.err
    assert "is running_again" in ran.err


# ---- the options ----


@pytest.mark.parametrize("name", paths.options("provider"))
def test_every_provider_can_be_a_teacher_a_judge_and_a_trainer_by_its_name(name: str) -> None:
    told = option("provider", name)
    trains = told.get("trains", True)
    assert option("teacher", name)["model"] == option("judge", name)["model"] == "${.provider.models.teacher}"
    assert (name in paths.options("trainer")) is trains
    if trains:
        assert option("trainer", name)["base_model"] == "${.provider.models.base}"
    assert {"teacher", "base"} <= set(told["models"])


def test_one_key_of_a_provider_may_be_set_once_the_trainer_has_one_of_its_own(tmp_path: Path) -> None:
    with ScriptedProvider(answer) as provider:
        workshop = Workshop.at(tmp_path, provider)
        ran = workshop.run("trainer.provider.timeout=3", verb="plan")
        assert ran.code == 2
        assert "trainer=NAME" in ran.err
        assert workshop.run("trainer=together", "trainer.provider.timeout=3", verb="plan").code == 0


def test_who_could_never_train_a_recipe_is_told_before_a_teacher_is_paid(tmp_path: Path) -> None:
    with ScriptedProvider(answer) as provider:
        workshop = Workshop.at(tmp_path, provider)
        for words, said in (("trainer=openai", "format=chat"), ("provider.trains=false", "does not train")):
            ran = workshop.run(words)
            assert ran.code == 2
            assert said in ran.err
            assert provider.requests == []
            assert said in workshop.run(words, verb="plan").err
            assert workshop.run(words, "until=format").code == 0, "rows may be made for whoever trains"
            provider.requests.clear()
            workshop = Workshop.at(tmp_path / "another", provider)


def test_a_trainer_without_a_key_is_told_before_a_teacher_is_paid(tmp_path: Path) -> None:
    with ScriptedProvider(answer) as provider:
        workshop = Workshop.at(tmp_path, provider)
        ran = workshop.run("trainer=together")
        assert ran.code == 2
        assert "TOGETHER_API_KEY is not set" in ran.err
        assert provider.requests == []
        assert workshop.run("trainer=together", "until=format").code == 0, "rows may be made for whoever trains"


# ---- the network ----


class Wire:
    """A TCP relay to a server, which can be cut and mended: while it is cut, nobody listens at its port."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = listening.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Close the port and all connections."""
        for end in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def mend(self) -> None:
        """Listen again at the same port."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()


def test_a_network_that_is_gone_for_a_while_is_waited_for(tmp_path: Path) -> None:
    with ScriptedProvider(answer, training=Training(hold=True)) as provider:
        wire = Wire(int(provider.base_url.rsplit(":", 1)[1].split("/")[0]))
        workshop = Workshop.at(tmp_path, provider)
        workshop.environment["SCRIPTED_URL"] = f"http://127.0.0.1:{wire.port}/v1"

        def cutting() -> None:
            wait_for(lambda: provider.jobs and provider.jobs[0]["status"] == "running")
            wire.cut()
            seen = len(provider.requests)
            time.sleep(1.0)
            assert len(provider.requests) <= seen + 1
            provider.training = Training()
            wire.mend()

        helper = threading.Thread(target=cutting)
        helper.start()
        ran = workshop.run("until=train")
        helper.join()
        wire.cut()
    assert ran.code == 0, ran.err
    assert "lost the connection" in ran.err
    assert len(provider.jobs) == 1


@pytest.mark.slow
def test_the_embedded_trainer_keeps_its_checkpoints_if_one_is_wanted(tmp_path: Path, tiny_model: Path) -> None:
    with ScriptedProvider(answer, models=(TEACHER,)) as provider:
        workshop = Workshop.at(tmp_path, provider)
        words = ["trainer=local", f"trainer.base_model={tiny_model}", "train.epochs=3", "--json"]
        first = workshop.run(*words, "train.checkpoint=1").json
        assert len(first["model"]["checkpoints"]) == 3
        second = workshop.run(*words, "train.checkpoint=2")
    assert "train" not in second.ran
    assert second.json["model"] == first["model"]
