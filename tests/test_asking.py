"""How a model is asked: how fast, what happens when it says no, what is counted, and that nothing is lost or paid for twice."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

from ftbuild.console import Console
from ftbuild.errors import BudgetError, ConfigError, FtbuildError, SourceError
from ftbuild.grammar.language import Language
from ftbuild.pace import Bucket, Pace
from ftbuild.recipe import Capabilities, Limits, Provider, Template
from ftbuild.recipe import Teacher as TeacherOfRecipe
from ftbuild.records import Section
from ftbuild.services import Services
from ftbuild.signals import duration, told_to_wait, used_up
from ftbuild.store import Store
from ftbuild.teacher import Once, Reply, Request
from ftbuild.teaching import ENDS
from ftbuild.testing import INSUFFICIENT_QUOTA, ScriptedProvider, Status
from ftbuild.testing import Reply as Said
from ftbuild.testing import Request as Seen
from tests.helpers import run_stage

MODEL = "scripted-teacher"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GOOD = '{"prompt": "What is it?", "completion": "It is a lamp."}'


# ---- what headers say ----


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("6m0s", 360), ("1s", 1), ("20ms", 0.02), ("1h2m3.5s", 3723.5), ("7", 7), ("0.5", 0.5), ("1d", 86400)],
        *[("soon", None), ("", None), ("5 6", None), ("1m2", None), ("-1s", None)],
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Wed, 25 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms", "x-ratelimit-remaining-requests": "5"},
            0.02,
        ),
        ({"retry-after": "whenever"}, None),
        ({}, None),
    ],
)
def test_how_long_a_refusal_says_to_wait(headers: Mapping[str, str], seconds: float | None) -> None:
    assert told_to_wait(headers, NOW) == (pytest.approx(seconds) if seconds is not None else None)


def test_what_is_not_used_up_needs_no_waiting() -> None:
    assert used_up({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}) is None
    assert used_up({"x-ratelimit-remaining-requests": "0"}) is None


# ---- how fast ----


@pytest.mark.parametrize("limit", [1, 7, 60, 500, 30_000])
def test_no_minute_holds_more_than_the_limit(limit: int) -> None:
    now = 0.0
    bucket = Bucket(limit, lambda: now)
    sent: list[float] = []
    while now < 150:
        if (wait := bucket.wait(1)) > 0:
            now += wait
            continue
        bucket.take(1)
        sent.append(now)
    first = 0
    for last, at in enumerate(sent):
        while at - sent[first] >= 60 - 1e-6:
            first += 1
        assert last - first + 1 <= limit
    assert len(sent) >= 2 * limit


def test_the_number_at_once_doubles_until_somebody_refuses_and_then_stays_at_what_was_taken() -> None:
    pace = Pace(200)
    assert pace.limit == 32
    for number in (64, 128):
        tickets = _enter(pace, number // 2)
        for ticket in tickets:
            pace.answered(ticket)
        for ticket in tickets:
            pace.leave(ticket)
        assert pace.limit == number
    tickets = _enter(pace, 128)
    for ticket in tickets[100:]:
        pace.push_back(ticket, 1)
        pace.leave(ticket)
    assert pace.limit == 100
    for ticket in tickets[:100]:
        pace.answered(ticket)
        pace.leave(ticket)
    assert 100 <= pace.limit < 101, "one more is tried only after several rounds"


def _enter(pace: Pace, count: int) -> list[Any]:
    import asyncio

    async def enter() -> list[Any]:
        return [await pace.enter() for _ in range(count)]

    return asyncio.run(enter())


# ---- a real server ----


@contextlib.contextmanager
def model_server() -> Iterator[str]:
    """Run the model server of the benchmark, which is quick and behaves as the name of the model says."""
    script = Path(__file__).parent / "benchmarks" / "peers" / "model.py"
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.communicate()


def counts(url: str) -> Counter[str]:
    with urlopen(f"{url}/counts") as told:
        return Counter(json.loads(told.read()))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with model_server() as url:
        yield url


def generate(folder: Path, provider: Provider, model: str, units: int, **teacher: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the stage over so many sections, each of which is to give two pairs."""
    (folder / "prompts").mkdir(exist_ok=True)
    (folder / "prompts/lamps.j2").write_text("Write {{ pairs }} pairs about:\n{{ text }}", encoding="utf-8")
    parts = {
        "prompts": {"lamps": Template("lamps.j2", pairs=2, max_tokens=100)},
        "kinds": {},
        "teacher": TeacherOfRecipe(provider, model, **teacher),
        "language": Language("en"),
        "vars": {},
    }
    sections = [Section(str(n), "d", "Lamps", (f"Room {n}",), f"In room {n} there are {n} lamps.") for n in range(units)]
    with contextlib.chdir(folder):
        return run_stage("generate", folder, parts, {"structure/sections.jsonl": sections})


def test_a_server_that_takes_twenty_at_once_refuses_few_and_loses_none(server: str, tmp_path: Path) -> None:
    counts(server)
    provider = Provider(base_url=f"{server}/v1", concurrency=200, retries=0)
    files, facts = generate(tmp_path, provider, "twenty-50", 500)
    told = counts(server)
    assert (facts["ok"], facts["failed"], len(files["pairs.jsonl"])) == (500, 0, 1000)
    assert told["good"] == 500
    assert told["refused"] <= 0.05 * 500
    assert told["most at once"] == 20


def test_every_unit_is_accounted_for_whatever_goes_wrong(server: str, tmp_path: Path) -> None:
    counts(server)
    provider = Provider(base_url=f"{server}/v1", concurrency=40, retries=5)
    files, facts = generate(tmp_path, provider, "faulty-0", 400)
    told, units = counts(server), files["units.jsonl"]
    assert [u["path"] for u in units] == [[f"Room {n}"] for n in range(400)], "each once, in order"
    ends = Counter(u["end"] for u in units)
    assert sum(ends.values()) == facts["requests"] == 400
    assert {end: facts[end] for end in ENDS} == {end: ends[end] for end in ENDS}
    assert ends["repaired"] > 0
    assert min(told[fault] for fault in ("malformed", "empty", "error", "dropped", "cut off")) > 0
    assert facts["sent"] == told["good"] + told["malformed"] + told["empty"] + told["cut off"], "each reply is counted"
    assert told["sent"] == facts["sent"] + told["error"] + told["dropped"]
    assert len(files["pairs.jsonl"]) == sum(u["pairs"] for u in units)
    assert all((u["problem"] == "") == (u["pairs"] > 0) for u in units)
    assert sum(r["origin"]["line"] == 0 for r in files["rejected.jsonl"]) == ends["failed"]
    again = tmp_path / "again"
    again.mkdir()
    (tmp_path / "store").rename(again / "store")
    same, facts = generate(again, provider, "faulty-0", 400)
    assert counts(server)["sent"] <= 3 * ends["failed"], "repairs are kept, too"
    assert facts["cached"] == 400 - ends["failed"]
    if not ends["failed"]:
        assert same == files


# ---- a scripted one ----


class Sent:
    """A provider that answers `good` to all but what `script` says, and remembers when it was asked."""

    def __init__(self, *script: Said | Any) -> None:
        self.script, self.times, self.seen = list(script), list[float](), list[Seen]()
        self._lock = threading.Lock()

    def __call__(self, request: Seen) -> Any:
        """Answer a request, or leave it to the provider."""
        with self._lock:
            self.times.append(time.monotonic())
            self.seen.append(request)
            return self.script.pop(0) if self.script else None


@contextlib.contextmanager
def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, *script: Any, **given: Any) -> Iterator[SimpleNamespace]:
    """Yield what asks a scripted provider: `ask(count)` returns replies, or raises."""
    sent = Sent(*script)
    with ScriptedProvider(GOOD, fault=sent) as server, Services(Store(folder), console := Console(quiet=True)) as services:
        monkeypatch.setenv("SOME_KEY", server.api_key)
        provider = Provider(base_url=server.base_url, api_key_env="SOME_KEY", **{"concurrency": 4, "retries": 2} | given)

        def ask(count: int, *, meter: Any = None, model: str = MODEL, **body: Any) -> list[Reply]:
            replies: list[Reply] = []
            requests = [
                Request("chat", {"model": model, "messages": [{"role": "user", "content": f"{n}?"}], **body})
                for n in range(count)
            ]
            teacher = services.teacher(provider, meter=meter)
            teacher.ask(map(Once, requests), lambda _, said: replies.append(said[-1]))
            return replies

        yield SimpleNamespace(ask=ask, sent=sent, server=server, console=console)


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        (Status(429, retry_after=0.4), 0.4),
        (Status(429, headers={"retry-after-ms": "300"}), 0.3),
        (Status(429, headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}), 0.3),
        (Status(503, retry_after=0.3), 0.3),
        (Status(500, retry_after=0.3), 0.3),
    ],
)
def test_whoever_is_told_to_wait_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, seconds: float) -> None:
    with scripted(tmp_path, monkeypatch, status) as to:
        (reply,) = to.ask(1)
    assert reply.text == GOOD
    assert to.sent.times[1] - to.sent.times[0] >= seconds


def test_a_limit_that_an_answer_tells_of_is_kept_to(server: str, tmp_path: Path) -> None:
    counts(server)
    provider = Provider(base_url=f"{server}/v1", concurrency=1)
    _, facts = generate(tmp_path, provider, "telling-0", 3)
    told = counts(server)
    assert facts["ok"] == told["good"] == 3
    assert told["shortest gap"] >= 300, "milliseconds, as the headers of each answer said"


def test_requests_a_minute_are_spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(tmp_path, monkeypatch, limits=Limits(requests_per_minute=600)) as to:
        assert len(to.ask(8)) == 8
    assert to.sent.times[-1] - to.sent.times[0] >= 7 * 0.1 - 0.05


def test_tokens_a_minute_are_spaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(tmp_path, monkeypatch, limits=Limits(tokens_per_minute=60_000), concurrency=1) as to:
        assert len(to.ask(3, max_tokens=400)) == 3
    assert to.sent.times[-1] - to.sent.times[0] < 60, "what was not used is given back"


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (INSUFFICIENT_QUOTA, SourceError, "no credit left"),
        (Status(402, message="Insufficient Balance"), SourceError, "no credit left"),
        (Status(401, "invalid_api_key", "wrong key"), ConfigError, "key in the environment variable"),
        (Status(404, "model_not_found", "no such model"), ConfigError, "does the provider have this model"),
        (Status(400, "model_not_found", "no such model"), ConfigError, "does the provider have this model"),
    ],
)
def test_what_asking_on_cannot_mend_ends_it_at_once_and_keeps_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: Status, kind: type[FtbuildError], told: str
) -> None:
    with scripted(tmp_path, monkeypatch, None, None, None, status, concurrency=1) as to:
        with pytest.raises(kind) as error:
            to.ask(50)
        assert told in error.value.hint
        assert len(to.sent.times) == 4
        to.sent.times.clear()
        assert len(to.ask(50)) == 50
        assert len(to.sent.times) == 47, "three are known"


def test_a_request_that_is_never_answered_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Status(500, retry_after=0.0)
    with scripted(tmp_path, monkeypatch) as to:
        to.server.fault = lambda request: broken if request.prompt == "2?" else None
        replies = to.ask(4)
        assert [r.lost for r in replies] == [False, False, True, False]
        assert "HTTP 500: scripted error (3 attempts)" in replies[2].problem
        to.server.fault = None
        before = len(to.server.asked)
        assert not any(r.lost for r in to.ask(4))
        assert len(to.server.asked) == before + 1, "only that one is asked again"


def test_a_provider_that_answers_nobody_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(tmp_path, monkeypatch, *[Status(500, retry_after=0.0)] * 1000, concurrency=1) as to:
        with pytest.raises(SourceError, match="HTTP 500"):
            to.ask(500)
        assert len(to.sent.times) < 60


def test_structured_output_is_given_up_where_the_provider_does_not_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = Status(400, message="'response_format' is not supported by this model")

    def fault(request: Seen) -> Status | None:
        return refusal if request.body and "response_format" in request.body else None

    with scripted(tmp_path, monkeypatch, concurrency=1) as to:
        to.server.fault = fault
        assert [r.text for r in to.ask(3, response_format={"type": "json_object"})] == [GOOD] * 3
        assert len(to.server.asked) <= 2 + 3, "refused to those under way, and then not sent any more"
    assert "without structured output" in capsys.readouterr().err


def test_the_schema_of_the_rows_is_sent_and_its_replies_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = [{"prompt": f"What is {n}?", "completion": f"It is {n}."} for n in range(2)]
    with ScriptedProvider(json.dumps({"pairs": two})) as server:
        monkeypatch.setenv("SOME_KEY", server.api_key)
        capable = Capabilities(structured="json_schema")
        provider = Provider(base_url=server.base_url, api_key_env="SOME_KEY", capabilities=capable)
        files, facts = generate(tmp_path, provider, MODEL, 1)
        (request,) = server.asked
    form = request.body["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["properties"]["pairs"]["items"]["required"] == ["prompt", "completion"]
    assert [(p["prompt"], p["completion"]) for p in files["pairs.jsonl"]] == [(p["prompt"], p["completion"]) for p in two]
    assert facts["ok"] == 1
    assert '{"pairs": [' in request.body["messages"][-1]["content"], "a schema is told in words as well"


class Counted:
    """A meter that lets so many requests go."""

    def __init__(self, most: int) -> None:
        self.most, self.before_, self.after_ = most, 0, list[Mapping[str, int]]()

    def before(self, request: Request) -> None:  # noqa: ARG002 - the protocol
        """Count a sending."""
        if self.before_ >= self.most:
            raise BudgetError("enough")
        self.before_ += 1

    def after(self, request: Request, usage: Mapping[str, int]) -> None:  # noqa: ARG002
        """Count an end."""
        self.after_.append(usage)


def test_a_meter_hears_of_every_sending_and_may_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(tmp_path, monkeypatch, Status(500, retry_after=0.0), concurrency=4) as to:
        meter = Counted(10)
        with pytest.raises(BudgetError, match="enough"):
            to.ask(40, meter=meter)
        assert len(to.server.asked) == 10 == meter.before_ == len(meter.after_)
        assert sum(bool(usage) for usage in meter.after_) == 9, "an answer with an error has no tokens"
        meter = Counted(100)
        assert len(to.ask(40, meter=meter)) == 40
        assert meter.before_ == 31, "what was answered is kept"
