"""Budgets: no request and no training passes a limit, what was answered is kept, and what was spent is remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ftbuild.accounts import runs
from ftbuild.budget import Amount, Purse
from ftbuild.errors import BudgetError, Reserved
from ftbuild.recipe import Allowance
from ftbuild.store import Store
from ftbuild.testing import Batching
from tests import workshop as workshops
from tests.workshop import REQUESTS, Workshop

PRICED = """
  prices:
    date: "2026-11-01"
    models:
      scripted-teacher: {input: 10, output: 100}
      scripted-base: {input: 1, output: 1, training: 1000}
      ft:scripted-base: {input: 2, output: 2}
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workshop]:
    with workshops.provider() as provider:
        made = Workshop.at(tmp_path, provider)
        recipe = workshops.RECIPE.replace("  retries: 0\n", "  retries: 0" + PRICED)
        made.write("conf/recipe/lighthouse.yaml", recipe)
        yield made


def facts(place: Workshop, stage: str) -> dict[str, Any]:
    told = json.loads(place.read("manifest.json"))
    return dict(told["stages"][stage]["facts"])


# ---- the purse ----


def test_what_is_under_way_counts_at_its_worst_until_it_is_settled() -> None:
    purse = Purse("budget", Allowance(tokens=100))
    purse.take(Amount(tokens=60), "the next request")
    with pytest.raises(Reserved):
        purse.take(Amount(tokens=60), "the next request")
    purse.settle(Amount(tokens=60), Amount(tokens=10))
    purse.take(Amount(tokens=60), "the next request")
    purse.settle(Amount(tokens=60), Amount(tokens=60))
    with pytest.raises(BudgetError) as error:
        purse.take(Amount(tokens=60), "the next request")
    assert not isinstance(error.value, Reserved)
    assert error.value.message == "budget.tokens=100: 70 tokens spent, and the next request may take up to 60 tokens"
    assert purse.spent() == Amount(tokens=70)


def test_purses_of_one_file_are_one_purse(tmp_path: Path) -> None:
    one, other = (Purse("budget.sweep", Allowance(requests=10), tmp_path / "spending.json") for _ in range(2))
    one.take(Amount(requests=6), "it")
    one.settle(Amount(requests=6), Amount(requests=6))
    other.take(Amount(requests=4), "it")
    with pytest.raises(BudgetError):
        one.take(Amount(requests=1), "it")
    other.settle(Amount(requests=4), Amount(usd=0.25, requests=3))
    one.take(Amount(requests=1), "it")
    assert other.spent() == Amount(0.25, 0, 9)


def test_many_at_once_never_pass_a_limit(tmp_path: Path) -> None:
    got, lock = [0], threading.Lock()

    def spend(_: int) -> None:
        purse = Purse("budget.sweep", Allowance(requests=50), tmp_path / "spending.json")
        try:
            purse.take(Amount(requests=1), "it")
        except BudgetError:
            return
        with lock:
            got[0] += 1
        purse.settle(Amount(requests=1), Amount(requests=1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(spend, range(200)))
    assert got == [50]


# ---- builds ----


def test_a_build_stops_at_its_limit_and_goes_on_with_another_allowance(place: Workshop) -> None:
    ran = place.run("budget.requests=5", "until=curate", "--json")
    assert (ran.code, len(place.asked())) == (4, 5)
    assert "budget.requests=5: 5 requests spent" in ran.err
    assert "what was answered is kept; the same command goes on with another 5 requests" in ran.err
    (account,) = runs(Store(place.store), "lighthouse")
    assert account["outcome"].startswith("BudgetError")
    assert account["stages"]["generate"]["requests"] == 5
    again = place.run("budget.requests=5", "until=curate", "--json")
    assert again.code == 0
    assert (len(place.asked()), len(place.prompts)) == (REQUESTS, REQUESTS)
    assert facts(place, "generate")["spent"]["requests"] == REQUESTS, "what both runs have paid"
    assert json.loads(again.out)["ran"] == ["generate", "curate"]


def test_dollars_are_never_passed_and_the_message_says_what_is_next(place: Workshop) -> None:
    """A reply of three pairs takes about 36 words, at 100 dollars a million; one may be as long as 200."""
    short = ("prompts.facts.max_tokens=200", "prompts.reasons.max_tokens=200", "until=generate")
    ran = place.run("budget.usd=0.025", *short)
    assert ran.code == 4
    assert 0 < len(place.asked()) < REQUESTS
    (account,) = runs(Store(place.store), "lighthouse")
    assert account["stages"]["generate"]["usd"] <= 0.025
    assert "spent, and the next request (scripted-teacher) may take up to $0.02" in ran.err
    assert "left of the build, by its quote: about $" in ran.err


def test_requests_under_way_are_waited_for_where_the_worst_of_all_would_not_fit(place: Workshop) -> None:
    """One request at its worst takes 4,000 tokens and more, so that only one is under way; all of them take 600."""
    ran = place.run("budget.tokens=5000", "until=generate", "--json")
    assert ran.code == 0, ran.err
    assert len(place.asked()) == REQUESTS


def test_training_is_refused_before_anything_is_uploaded(place: Workshop) -> None:
    ran = place.run("budget.usd=0.45", "train.epochs=2")
    assert ran.code == 4
    assert "training on about" in ran.err
    assert "this step alone needs budget.usd=" in ran.err
    assert (place.created, [r for r in place.requests if r.path == "/files"]) == (0, [])
    assert place.run("budget.usd=9", "train.epochs=2").code == 0
    assert len(place.prompts) == REQUESTS
    assert set(place.prompts.values()) == {1}


def test_a_limit_in_dollars_needs_prices(tmp_path: Path) -> None:
    with workshops.provider() as provider:
        place = Workshop.at(tmp_path, provider)
        ran = place.run("budget.usd=5")
        assert (ran.code, place.asked()) == (2, [])
        assert "nobody says what scripted-teacher costs" in ran.err


def test_a_budget_is_part_of_no_key(place: Workshop) -> None:
    assert place.build("until=generate")
    assert place.build("until=generate", "budget.usd=1", "budget.sweep.tokens=2", "teacher.mode=batch") == []


@pytest.mark.parametrize("words", ["budget.usd=-1", "budget.requests=many", "budget.dollars=5"])
def test_a_budget_that_makes_no_sense_is_told(place: Workshop, words: str) -> None:
    ran = place.run(words)
    assert ran.code == 2
    assert "budget" in ran.err


def test_the_jobs_of_a_sweep_share_a_budget(place: Workshop) -> None:
    words = ("-m", "prompts.facts.seed=1,11,12", "until=generate", "--json")
    ran = place.run(*words, "budget.sweep.requests=10")
    assert ran.code == 1
    assert len(place.asked()) == 10
    assert sum(bool(job["error"]) for job in json.loads(ran.out)["jobs"]) == 2
    assert "budget.sweep.requests=10: 10 requests spent" in ran.err
    assert place.run(*words, "budget.sweep.requests=10").code == 0, "another run has another allowance"
    assert len(place.asked()) == 2 * REQUESTS


# ---- by the batch ----


def test_a_batch_holds_what_fits_and_costs_half(place: Workshop) -> None:
    batch = ("teacher.mode=batch", "provider.batch.poll_seconds=0.01", "until=generate")
    ran = place.run(*batch, "budget.requests=5")
    assert ran.code == 4
    assert [b["request_counts"]["completed"] for b in place.provider.batches] == [5]
    assert place.run(*batch).code == 0
    assert place.asked() == []
    spent = facts(place, "generate")["spent"]
    assert spent["requests"] == REQUESTS
    full = (spent["prompt_tokens"] * 10 + spent["completion_tokens"] * 100) / 1e6
    assert spent["usd"] == pytest.approx(full / 2)


def test_a_batch_that_was_left_is_paid_for_by_the_run_that_takes_it(place: Workshop) -> None:
    batch = ("teacher.mode=batch", "provider.batch.poll_seconds=0.01", "until=generate")
    place.provider.batching = Batching(fails=({"code": "token_limit_exceeded", "message": "Enqueued token limit reached."},))
    ran = place.run(*batch)
    assert ran.code == 3
    assert "does not fit into the provider's queue: Enqueued token limit reached." in ran.err
    place.provider.batching = Batching()
    assert place.run(*batch).code == 0


# ---- what is remembered ----


def test_the_quote_is_written_down_before_the_first_request_and_set_against_what_was_spent(place: Workshop) -> None:
    seen: list[int] = []
    place.provider.fault = lambda _: seen.append(len(list(runs(Store(place.store), "lighthouse"))))
    ran = place.run()
    assert ran.code == 0
    assert "  cost     $" in ran.out
    assert "; quoted at about $" in ran.out
    assert set(seen) == {1}
    told = json.loads(place.read("manifest.json"))
    assert set(told["quoted"]) == {"generate", "baseline", "train", "evaluate"}
    for stage in ("generate", "baseline", "evaluate"):
        quoted, spent = facts(place, stage)["quoted"], facts(place, stage)["spent"]
        assert quoted["to_send"] == spent["requests"] > 0
    train = facts(place, "train")
    assert train["quoted"]["trained_tokens"] > 0
    assert train["spent"]["usd"] == pytest.approx(train["spent"]["trained_tokens"] / 1000)
    assert told["paid"] == told["spent"]
    assert told["spent"]["usd"] == pytest.approx(sum(facts(place, s)["spent"]["usd"] for s in told["quoted"]))
    page = place.read("report.html")
    assert "What it cost" in page
    assert "Prices of 2026-11-01" in page


def test_a_plan_says_whether_the_quote_fits_and_what_was_spent_before(place: Workshop) -> None:
    told = place.run("--json", "budget.requests=3", "budget.tokens=1000000", verb="plan").json["quote"]
    assert told["budget"][0].startswith("budget.tokens=1e+06: the quote fits, even at most")
    assert told["budget"][1].startswith("budget.requests=3: the quote does not fit")
    assert told["spent_before"]["runs"] == 0
    place.run("until=generate")
    shown = place.run("prompts.facts.seed=5", verb="plan").out
    assert "Spent on this recipe before, in 1 run: $0.0" in shown
    assert "generate, as long as earlier ones" in shown
    assert "Prices of 2026-11-01" in shown


def test_old_prices_are_pointed_out(place: Workshop) -> None:
    ran = place.run("provider.prices.date=2020-01-01", verb="plan")
    assert "days old; look them up again" in ran.err
