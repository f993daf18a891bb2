"""The MediaWiki source against a real MediaWiki, which the tests install and serve themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ftbuild import fetching
from ftbuild.errors import ConfigError, SourceError
from ftbuild.fetching import Fetching
from ftbuild.records import Document
from ftbuild.sources.mediawiki import mediawiki
from ftbuild.sources.wikidump import wikidump
from ftbuild.testing import ScriptedProvider
from tests import wiki as wikis
from tests.wiki import Mediawiki
from tests.workshop import Ran, Workshop

pytestmark = pytest.mark.skipif(bool(wikis.lacking()), reason=wikis.lacking() or "there is one")

MANY = 60
PAGES = {
    "Otter": "Der '''Otter''' frisst [[Fisch|Fische]] und lebt am [[Fluss]].\n\n== Bau ==\nSein [[Nest]] liegt am Ufer. "
    "[[:Kategorie:Vögel]] [[Kategorie:Tiere]]",
    "Fischotter": "#WEITERLEITUNG [[Otter]]",
    "Fisch": "Ein Fisch schwimmt im [[Meer]]. [[kategorie: tiere |F]] &lt;!-- [[Kategorie:Entwurf]] --&gt;",
    "Fluss": "Ein Fluss mündet ins [[Meer]]. [[Fischotter]]",
    "Meer": "Das Meer ist salzig. Siehe [[Benutzer:Admin/daten.json]].",
    "Seehund": "Der Seehund ruht auf Sandbänken. [[Category:Wassertiere]]",
    "Kategorie:Tiere": "[[Kategorie:Wassertiere]]",
    "Kategorie:Wassertiere": "Im Wasser. [[Kategorie:Tiere]]",
    **{f"Blatt {n:02}": f"Blatt Nummer {n}. [[Kategorie:Blätter]]" for n in range(1, MANY + 1)},
}


@pytest.fixture(scope="module")
def wiki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mediawiki]:
    """Install a wiki with some pages."""
    made = Mediawiki.install(tmp_path_factory.mktemp("wiki"))
    made.load(PAGES)
    made.edit("Benutzer:Admin/daten.json", '{"salz": 35}')
    yield made
    made.stop()


@pytest.fixture(scope="module")
def url(wiki: Mediawiki) -> str:
    """Serve the wiki, and return its address."""
    return wiki.serve()


def read(url: str, now: Fetching | None = None, /, **given: Any) -> dict[str, Document]:
    """Return the documents of a source by their titles."""
    with fetching.fetching(now or Fetching()):
        documents = list(mediawiki(**{"api": "" if "url" in given else f"{url}/api.php", **given}))
    return {document.title: document for document in documents}


def refused(url: str, /, **given: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read(url, **given)
    return caught.value


def test_a_page_and_what_is_known_of_it(url: str) -> None:
    page = read(url, title="Otter")["Otter"]
    assert page.text == PAGES["Otter"]
    assert {k: v for k, v in page.meta.items() if k not in ("revision", "timestamp", "attribution")} == {
        "url": f"{url}/index.php/Otter",
        "licence": "CC BY-SA 4.0",
        "licence_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "language": "de",
        "site": "Testwiki",
        "categories": ["Tiere"],
    }


def test_a_list_with_redirects_and_titles_as_people_write_them(url: str) -> None:
    found = read(url, titles=("fluss", "Fischotter", "Otter", "category: tiere", "Meer#Tiefe"))
    assert list(found) == ["Fluss", "Otter", "Kategorie:Tiere", "Meer"]
    assert {t: d.meta["redirected_from"] for t, d in found.items() if "redirected_from" in d.meta} == {"Otter": "Fischotter"}


def test_titles_that_there_are_not_are_named_with_those_near_them(url: str) -> None:
    error = refused(url, titles=("Otter", "Seehunt", "Blat 07", "Qqq"))
    assert error.message == f"{url}/api.php: there is no page 'Seehunt', 'Blat 07', 'Qqq'"
    assert "'Seehund'" in error.hint
    assert "'Blatt 07'" in error.hint
    assert refused(url, title="Oter").hint == "did you mean 'Otter'?"


def test_titles_that_there_are_not_may_be_left_out(url: str) -> None:
    told: list[str] = []
    now = Fetching(warn=told.append)
    assert list(read(url, now, titles=("Otter", "Qqq"), missing="skip")) == ["Otter"]
    assert told == ["the wiki has no page 'Qqq'"]
    assert now.skipped == {"missing pages": 1}


def test_a_category_and_its_subcategories_once_each_though_they_hold_each_other(url: str) -> None:
    assert list(read(url, category="Tiere")) == ["Fisch", "Otter"]
    assert list(read(url, category="Kategorie:tiere", depth=5)) == ["Fisch", "Otter", "Seehund"]
    assert list(read(url, category="Category:Tiere", depth=1, namespaces=(14,))) == ["Kategorie:Tiere", "Kategorie:Wassertiere"]


def test_a_category_without_pages_is_an_error_that_names_one_like_it(url: str) -> None:
    error = refused(url, category="Tire")
    assert "the category 'Tire' has no pages" in error.message
    assert error.hint == "did you mean 'Tiere'?"


def test_a_search(url: str) -> None:
    assert list(read(url, search="Sandbänken")) == ["Seehund"]
    assert "finds nothing" in refused(url, search="Xylophon").message


def test_links_to_a_depth_without_those_that_lead_nowhere(url: str) -> None:
    assert list(read(url, links="Otter")) == ["Fisch", "Fluss", "Otter"]
    assert list(read(url, links="Fischotter", depth=2)) == ["Fisch", "Fluss", "Meer", "Otter"]
    assert list(read(url, links="Otter", depth=0)) == ["Otter"]


def test_no_more_pages_than_wanted_and_it_is_said(url: str) -> None:
    told: list[str] = []
    assert len(read(url, Fetching(warn=told.append), category="Blätter", max_pages=7)) == 7
    assert told == ["there are more than max_pages=7 pages; the others are left out"]


def test_what_is_no_text_is_left_out_with_a_word_unless_somebody_names_it(url: str) -> None:
    told: list[str] = []
    now = Fetching(note=told.append)
    assert list(read(url, now, links="Meer", namespaces=(0, 2))) == ["Meer"]
    assert told == ["Benutzer:Admin/daten.json: left out, it is no text but json"]
    named = read(url, title="Benutzer:Admin/daten.json")
    assert [d.format for d in named.values()] == ["text"]


def test_fifty_at_once(wiki: Mediawiki) -> None:
    url = wiki.serve()
    assert len(read(url, titles=tuple(t for t in PAGES if t.startswith("Blatt")))) == MANY
    assert len(wiki.asked(url)) == 2
    assert len(read(url, category="Blätter")) == MANY
    asked = wiki.asked(url)[2:]
    assert [len(a["revids"].split("|")) for a in asked if "revids" in a] == [50, 10]
    assert len(asked) == 4, "the site, the category, the texts in two batches"


def test_long_lists_are_sent_as_forms(url: str) -> None:
    titles = tuple(f"{n}{'魚' * 40}" for n in range(49))
    error = refused(url, titles=("Otter", *titles))
    assert "and 44 more" in error.message


@pytest.mark.parametrize("page", ["index.php/Fluss", "index.php?title=Fluss&action=edit", "index.php/Qqq"])
def test_a_wiki_is_found_by_any_of_its_pages(url: str, page: str) -> None:
    if "Qqq" in page:
        assert list(read(url, url=f"{url}/{page}", title="Otter")) == ["Otter"]
    else:
        assert list(read(url, url=f"{url}/{page}")) == ["Fluss"]


def test_a_wiki_is_found_by_its_own_address(url: str) -> None:
    assert list(read(url, url=url, title="Otter")) == ["Otter"]
    with pytest.raises(ConfigError, match="names no page"):
        read(url, url=f"{url}/load.php")


# ---- what is fetched again ----


def test_only_what_changed_is_fetched_again(wiki: Mediawiki, tmp_path: Path) -> None:
    url = wiki.serve()
    now = Fetching(tmp_path)
    before = read(url, now, category="Blätter")
    wiki.edit("Blatt 33", "Dreiunddreißig. [[Kategorie:Blätter]]")
    seen = len(wiki.asked(url))
    after = read(url, now, category="Blätter")
    changed = str(after["Blatt 33"].meta["revision"])
    asked = wiki.asked(url)[seen:]
    assert [a["revids"] for a in asked if "revids" in a] == [changed]
    assert [t for t in after if after[t] != before[t]] == ["Blatt 33"]
    seen = len(wiki.asked(url))
    assert read(url, now, titles=tuple(after)) == after
    assert len(wiki.asked(url)) == seen + 2, "which revisions are the latest, fifty at once, and nothing else"
    pinned = read(url, now, title="Blatt 33", revisions={"Blatt 33": before["Blatt 33"].meta["revision"]})
    assert pinned["Blatt 33"] == before["Blatt 33"]
    assert len(wiki.asked(url)) == seen + 2


def test_what_was_fetched_before_a_stop_is_kept(wiki: Mediawiki, tmp_path: Path) -> None:
    url, now = wiki.serve(), Fetching(tmp_path)
    with fetching.fetching(now):
        some = mediawiki(api=f"{url}/api.php", category="Blätter")
        next(some)
        some.close()
    read(url, now, category="Blätter")
    assert [len(a["revids"].split("|")) for a in wiki.asked(url) if "revids" in a] == [50, 10]


def test_a_page_that_was_damaged_in_the_store_is_fetched_again(url: str, tmp_path: Path) -> None:
    now = Fetching(tmp_path)
    before = read(url, now, titles=("Otter", "Fluss"))
    files = [f for f in tmp_path.rglob("*.json") if re.fullmatch(r"\d+", f.stem)]
    assert len(files) == 2
    for file in files:
        file.write_text(file.read_text(encoding="utf-8").replace("Otter", "Biber"), encoding="utf-8")
    assert read(url, now, titles=("Otter", "Fluss")) == before


def test_a_dump_of_the_wiki_gives_the_same_as_its_api(wiki: Mediawiki, url: str, tmp_path: Path) -> None:
    (tmp_path / "dump.xml").write_text(wiki.run("dumpBackup.php", "--current", "--quiet"), encoding="utf-8")
    pages = read(url, titles=("Otter", "Fisch", "Fluss", "Meer", "Seehund"))
    dumped = {d.title: d for d in wikidump(path=str(tmp_path / "dump.xml"), titles=tuple(pages))}
    assert dumped.keys() == pages.keys()
    for title, document in dumped.items():
        assert document.text == pages[title].text
        same = ("revision", "timestamp", "language", "site", "categories")
        assert {k: document.meta.get(k) for k in same} == {k: pages[title].meta.get(k) for k in same}
    by_category = {d.title for d in wikidump(path=str(tmp_path / "dump.xml"), category="Blätter")}
    assert by_category == set(read(url, category="Blätter"))


# ---- logging in ----

SECRET = "a0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def private(wiki: Mediawiki) -> str:
    """Serve the wiki to those alone who log in."""
    wiki.bot("reader", SECRET)
    return wiki.serve(private=True)


def test_a_private_wiki_says_how_to_log_in(private: str) -> None:
    error = refused(private, title="Otter")
    assert "readapidenied" in error.message
    assert "password_env" in error.hint


def test_a_bot_password_opens_a_private_wiki(private: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKI_PASSWORD", SECRET)
    who = {"user": "Admin@reader", "password_env": "WIKI_PASSWORD"}
    assert list(read(private, title="Otter", **who)) == ["Otter"]
    assert list(read(private, category="Tiere", depth=1, **who)) == ["Fisch", "Otter", "Seehund"]
    assert list(read(private, url=f"{private}/index.php/Fluss", **who)) == ["Fluss"]


def test_a_wrong_password_is_refused_and_not_told(private: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIKI_PASSWORD", "wrong-" + SECRET)
    error = refused(private, title="Otter", user="Admin@reader", password_env="WIKI_PASSWORD")
    assert "Admin@reader cannot log in: " in error.message
    assert SECRET not in error.message + error.hint
    monkeypatch.delenv("WIKI_PASSWORD")
    with pytest.raises(ConfigError, match="WIKI_PASSWORD is not set"):
        read(private, title="Otter", user="Admin@reader", password_env="WIKI_PASSWORD")


# ---- whole builds ----

RECIPE = """\
# @package _global_
defaults: [override /clean: none, _self_]
source:
  tiere:
    source: mediawiki
    api: "${oc.env:WIKI}/api.php"
    titles: [Fischotter, Seehund]
    user: Admin@reader
    password_env: WIKI_PASSWORD
  wasser:
    source: mediawiki
    url: "${oc.env:WIKI}/index.php/Otter"
    category: Tiere
    user: Admin@reader
    password_env: WIKI_PASSWORD
"""


@pytest.fixture
def project(private: str, tmp_path: Path) -> Workshop:
    """Lay out a project with documents from the private wiki."""
    nobody = SimpleNamespace(api_key="", base_url="http://127.0.0.1:9")  # no stage up to `structure` asks a provider
    variables = {"WIKI": private, "WIKI_PASSWORD": SECRET}
    made = Workshop(tmp_path / "project", cast("ScriptedProvider", nobody), environment=variables)
    made.write("conf/recipe/tiere.yaml", RECIPE)
    return made


def build(project: Workshop, *words: str) -> Ran:
    return project.call("build", "+recipe=tiere", "until=structure", *words, "--json")


def test_locked_builds_give_the_locked_revisions_of_pages_that_have_changed(project: Workshop, wiki: Mediawiki) -> None:
    assert build(project).code == 0
    lock = (project.folder / "ftbuild.lock").read_text(encoding="utf-8")
    assert re.search(r'(?m)^"revision tiere/Fischotter" = "\d+"$', lock)
    assert re.search(r'(?m)^"revision wasser/Fisch" = "\d+"$', lock)
    wiki.edit("Seehund", "Ganz anders.")
    wiki.edit("Fisch", "Ganz anders, und in keiner Kategorie.")
    wiki.edit("Neuling", "Neu. [[Kategorie:Tiere]]")
    wiki.move("Otter", "Lutra")
    made = build(project, "locked=true", "store=elsewhere", "builds=other")
    assert made.code == 0, made.err
    assert (project.folder / "ftbuild.lock").read_text(encoding="utf-8") == lock
    offline = build(project, "locked=true", "store=elsewhere", "builds=other", "offline=true", "force=[fetch]")
    assert offline.code == 0, offline.err
    again = build(project, "force=[fetch]")
    assert again.code == 0
    assert (project.folder / "ftbuild.lock").read_text(encoding="utf-8") != lock
    for file in (f for f in project.folder.rglob("*") if f.is_file()):
        assert SECRET.encode() not in file.read_bytes()
    told = project.call("gc", "keep=1", "--json").json
    assert {Path(p["path"]).stem for p in told["pieces"] if p["kind"] == "page"} >= set(
        re.findall(r'"revision tiere/Seehund" = "(\d+)"', lock)
    )
    nothing = build(project, "offline=true", "store=third")
    assert nothing.code == 3
    assert "offline=true" in nothing.err
