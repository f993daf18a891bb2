"""The MediaWiki source, against a server that replays what the Action API answers.

The answers are small ones of our own in the API's shapes.  Where the project's collection of real answers lies beside the
repository, those are replayed too.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from ftbuild import __version__
from ftbuild.errors import ConfigError, SourceError
from ftbuild.records import Document
from ftbuild.sources.mediawiki import mediawiki
from tests.helpers import REPOSITORY
from tests.web import Answer, Web

TEXT = "'''Otters''' are [[mammal]]s.\n\n== Diet ==\nThey eat ½ of a 魚 a day.\n"
GENERAL = {"sitename": "Ottopedia", "generator": "MediaWiki 1.44.0", "lang": "en"}
RIGHTS = {"url": "https://creativecommons.org/licenses/by-sa/4.0/", "text": "Creative Commons BY-SA 4.0"}


def slot(content: str = TEXT, model: str = "wikitext") -> dict[str, Any]:
    """Return the slots of a revision."""
    return {"main": {"contentmodel": model, "contentformat": "text/x-wiki", "content": content}}


def page(title: str = "Otter", **more: Any) -> dict[str, Any]:
    """Return a page with one revision."""
    revision = {"revid": 4711, "parentid": 4710, "timestamp": "2026-11-01T12:00:00Z", "slots": slot()}
    urls = {"fullurl": f"https://wiki.example/wiki/{title}", "canonicalurl": f"https://wiki.example/wiki/{title}"}
    return {"pageid": 17, "ns": 0, "title": title, **urls, "revisions": [revision], **more}


def reply(*pages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a whole answer of the API."""
    return {"batchcomplete": True, "query": {"pages": list(pages), "general": GENERAL, "rightsinfo": RIGHTS, **more}}


def error(code: str, info: str) -> dict[str, Any]:
    """Return the API's answer to a request that it does not fulfil; its status is 200."""
    return {"error": {"code": code, "info": info, "docref": "See …"}, "servedby": "mw-api-1"}


def fetch(web: Web, **given: Any) -> Document:
    """Fetch the one document of a source."""
    (document,) = mediawiki(api=web.url, **({"title": "Otter"} | given))
    assert isinstance(document, Document)
    return document


def refused(web: Web, **given: Any) -> SourceError:
    """Return the error of a source that cannot be read."""
    with pytest.raises(SourceError) as caught:
        fetch(web, **given)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message
    return caught.value


def test_a_page_by_its_title(web: Web) -> None:
    web.will(reply(page()))
    document = fetch(web)
    assert (document.id, document.title, document.text, document.format) == ("Otter", "Otter", TEXT, "wikitext")
    asked = web.asked[0].query
    assert asked["titles"] == "Otter"
    assert "revids" not in asked
    assert asked["action"] == "query"
    assert asked["formatversion"] == "2"
    assert asked["redirects"] == "1"
    assert asked["maxlag"] == "5"
    assert "content" in asked["rvprop"].split("|")


def test_records_where_the_text_comes_from(web: Web) -> None:
    web.will(reply(page()))
    assert fetch(web).meta == {
        "url": "https://wiki.example/wiki/Otter",
        "revision": 4711,
        "timestamp": "2026-11-01T12:00:00Z",
        "licence": "Creative Commons BY-SA 4.0",
        "licence_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "attribution": "Otter, Ottopedia, revision 4711, https://wiki.example/wiki/Otter",
        "language": "en",
        "site": "Ottopedia",
    }


def test_a_page_by_the_number_of_a_revision(web: Web) -> None:
    web.will(reply(page()))
    assert fetch(web, title="", revision=4711).meta["revision"] == 4711
    assert web.asked[0].query["revids"] == "4711"
    assert "titles" not in web.asked[0].query


def test_titles_are_sent_whole(web: Web) -> None:
    web.will(reply(page("Ranma ½ & 魚+?")))
    assert fetch(web, title="Ranma ½ & 魚+?").title == "Ranma ½ & 魚+?"
    assert web.asked[0].query["titles"] == "Ranma ½ & 魚+?"


def test_a_redirect_is_followed_and_recorded(web: Web) -> None:
    normalised = [{"fromencoded": False, "from": "sea_otter", "to": "Sea otter"}]
    redirects = [{"from": "Sea otter", "to": "Otter"}]
    web.will(reply(page(), normalized=normalised, redirects=redirects))
    document = fetch(web, title="sea_otter")
    assert document.title == "Otter"
    assert document.meta["redirected_from"] == "Sea otter"


def test_a_page_that_is_no_wikitext_is_plain_text(web: Web) -> None:
    revision = {"revid": 1, "timestamp": "2026-11-01T12:00:00Z", "slots": slot("return {}", "Scribunto")}
    web.will(reply(page(revisions=[revision])))
    assert fetch(web).format == "text"


def test_continue_is_followed_to_the_end(web: Web) -> None:
    bare = {k: v for k, v in page().items() if k != "revisions"}
    first = {"continue": {"rvcontinue": "20261101|4711", "continue": "||info"}, "query": {"pages": [bare]}}
    second = {"continue": {"sicontinue": 3, "continue": "-||"}, "query": {"pages": [page()]}}
    third = {"batchcomplete": True, "query": {"general": GENERAL, "rightsinfo": RIGHTS}}
    web.will(first, second, third)
    document = fetch(web)
    assert document.text == TEXT
    assert document.meta["licence"] == "Creative Commons BY-SA 4.0"
    assert document.meta["url"] == "https://wiki.example/wiki/Otter"
    asked = [{k: a.query.get(k) for k in ("titles", "rvcontinue", "sicontinue", "continue")} for a in web.asked]
    assert asked == [
        {"titles": "Otter", "rvcontinue": None, "sicontinue": None, "continue": None},
        {"titles": "Otter", "rvcontinue": "20261101|4711", "sicontinue": None, "continue": "||info"},
        {"titles": "Otter", "rvcontinue": None, "sicontinue": "3", "continue": "-||"},
    ]


def test_a_continue_that_never_ends_is_an_error(web: Web) -> None:
    web.will({"continue": {"rvcontinue": "1", "continue": "||"}, "query": {"pages": [page()]}})
    assert "again and again" in refused(web).message
    assert len(web.asked) == 2


def test_a_missing_page(web: Web) -> None:
    web.will(reply({"ns": 0, "title": "Ottar", "missing": True}))
    caught = refused(web, title="Ottar")
    assert caught.message == f"{web.url}: there is no page 'Ottar'"
    assert "exact" in caught.hint


def test_a_missing_revision(web: Web) -> None:
    web.will({"batchcomplete": True, "query": {"badrevids": {"99": {"revid": 99, "missing": True}}}})
    assert refused(web, title="", revision=99).message == f"{web.url}: there is no revision 99"


def test_a_hidden_revision(web: Web) -> None:
    hidden = {"revid": 5, "timestamp": "2026-11-01T12:00:00Z", "slots": {"main": {"texthidden": True}}}
    web.will(reply(page(revisions=[hidden])))
    assert refused(web).message == f"{web.url}: 'Otter' has no readable text"


def test_an_invalid_title(web: Web) -> None:
    reason = 'The requested page title contains invalid characters: "[".'
    web.will(reply({"title": "a[b", "invalidreason": reason, "invalid": True}))
    assert refused(web, title="a[b").message == f"{web.url}: 'a[b' is no title: {reason}"


def test_a_title_of_another_wiki(web: Web) -> None:
    web.will({"batchcomplete": True, "query": {"interwiki": [{"title": "fr:Loutre", "iw": "fr"}]}})
    caught = refused(web, title="fr:Loutre")
    assert caught.message == f"{web.url}: 'fr:Loutre' is a page of another wiki (fr)"
    assert "a source of its own" in caught.hint


def test_an_api_error(web: Web) -> None:
    web.will(error("readapidenied", "You need read permission to use this module."))
    caught = refused(web)
    assert caught.message == f"{web.url}: readapidenied: You need read permission to use this module."
    assert len(web.asked) == 1


@pytest.mark.parametrize("code", ["maxlag", "ratelimited", "readonly"])
def test_a_busy_wiki_is_asked_again(web: Web, code: str) -> None:
    web.will(Answer(error(code, "Waiting for 10.64.0.1: 6 seconds lagged."), headers={"Retry-After": "0"}), reply(page()))
    assert fetch(web).text == TEXT
    assert len(web.asked) == 2


def test_a_wiki_that_stays_busy_is_given_up(web: Web) -> None:
    web.will(Answer(error("maxlag", "6 seconds lagged."), headers={"Retry-After": "0"}))
    assert refused(web, attempts=3).message == f"{web.url}: maxlag: 6 seconds lagged. (3 attempts)"
    assert len(web.asked) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(web: Web, status: int) -> None:
    web.will(Answer("<h1>Too many</h1>", status, {"Retry-After": "0"}), reply(page()))
    assert fetch(web).text == TEXT
    assert len(web.asked) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_stays_busy_is_given_up(web: Web, status: int) -> None:
    web.will(Answer("<h1>Too many</h1>", status, {"Retry-After": "0"}))
    assert refused(web, attempts=2).message == f"{web.url}: HTTP {status} (2 attempts)"


def test_a_page_instead_of_an_api(web: Web) -> None:
    web.will(Answer("<!doctype html><title>Otter – Ottopedia</title>"))
    caught = refused(web)
    assert caught.message == f"{web.url}: the reply is not JSON (text/html; charset=utf-8)"
    assert caught.hint == "is this the address of an API?"


@pytest.mark.parametrize(
    "value",
    [[], "Otter", 1, None, {"message": "hello"}, {"error": "no"}, {"query": []}, {"query": {"pages": {"17": page()}}}],
    ids=["list", "text", "number", "null", "no answer", "error is text", "query is a list", "formatversion 1"],
)
def test_json_that_no_mediawiki_sends(web: Web, value: Any) -> None:
    web.will(Answer(json.dumps(value)))
    assert refused(web).message.startswith(f"{web.url}: ")


def test_a_wiki_that_cannot_be_reached(web: Web) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/w/api.php"
    with pytest.raises(SourceError) as caught:
        list(mediawiki(api=url, title="Otter", attempts=1))
    assert caught.value.message.startswith(f"{url}: ConnectError")
    assert web.asked == []


def test_says_who_asks_and_whom_to_write_to(web: Web) -> None:
    web.will(reply(page()))
    fetch(web)
    fetch(web, contact="otters@wiki.example")
    first, second = (a.headers["User-Agent"] for a in web.asked)
    assert first.startswith(f"ftbuild/{__version__} ")
    assert second == f"{first} otters@wiki.example"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs one of title, titles, category, search, links, revision, or the url of a page"),
        ({"title": "Otter", "category": "Animals"}, "title and category are two ways"),
        ({"titles": ("Otter",), "revision": 1}, "titles and revision are two ways"),
        ({"title": "Otter", "url": "https://wiki.example/wiki/Otter"}, "keep one"),
        ({"title": "Otter", "depth": 1}, "only a category or links have a depth"),
        ({"title": "Otter", "user": "Me@bot"}, "password_env"),
        ({"titles": ("Otter", " ")}, "one of the titles is empty"),
    ],
)
def test_says_which_parameters_do_not_go_together(web: Web, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(mediawiki(api=web.url, **given))
    assert web.asked == []


def test_a_session_that_ends_meanwhile_is_begun_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKI_PASSWORD", "otters in the river")
    token = {"query": {"tokens": {"logintoken": "abc+\\"}}}
    success = Answer({"login": {"result": "Success", "lgusername": "Me"}}, headers={"Set-Cookie": "session=1; path=/"})
    web.will(token, success, error("assertuserfailed", "You are no longer logged in."), token, success, reply(page()))
    assert fetch(web, user="Me@bot", password_env="WIKI_PASSWORD").text == TEXT
    posted = [a for a in web.asked if a.form]
    assert [a.form for a in posted] == [{"lgname": "Me@bot", "lgpassword": "otters in the river", "lgtoken": "abc+\\"}] * 2
    assert [a.query.get("assert") for a in web.asked] == [None, None, "user", None, None, "user"]
    assert all("otters in" not in str(a.query) for a in web.asked), "a password stands in no address"
    assert "session=1" in web.asked[-1].headers["Cookie"]


def test_a_revision_of_a_page_by_its_title(web: Web) -> None:
    web.will(reply(page()))
    assert fetch(web, revision=4711).title == "Otter"
    assert web.asked[0].query["revids"] == "4711"


def test_titles_converted_between_scripts_are_found(web: Web) -> None:
    web.will(reply(page("柏林"), converted=[{"from": "柏琳", "to": "柏林"}]))
    assert fetch(web, title="柏琳").title == "柏林"
    assert web.asked[0].query["converttitles"] == "1"


def real_answers() -> list[Path]:
    """Return the real answers that lie beside the repository, if any do."""
    return sorted((REPOSITORY.parent / "shared" / "mediawiki-api").glob("*.json"))


def test_real_answers_are_read(web: Web) -> None:
    for file in real_answers():
        answer = json.loads(file.read_text(encoding="utf-8"))
        (told,) = answer["query"]["pages"]
        web.will(answer)
        if told.get("missing"):
            assert "there is no page" in refused(web, title=told["title"]).message
            continue
        document = fetch(web, title=told["title"])
        assert (document.title, document.format) == (told["title"], "wikitext")
        assert document.text == told["revisions"][0]["slots"]["main"]["content"]
        for redirect in answer["query"].get("redirects", []):
            assert document.meta["redirected_from"] == redirect["from"]
