"""Questions by grammar: what statements tell, asked as a person would, with answers that are right by construction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ftbuild.errors import ConfigError
from ftbuild.grammar.gaps import Gap, gaps
from ftbuild.grammar.language import Language, spoken
from ftbuild.grammar.parsing import model_of, model_version, parse
from ftbuild.grammar.people import People
from ftbuild.grammar.verbs import inflected, participle, past, third_person
from ftbuild.records import Section
from ftbuild.registries import KINDS
from ftbuild.schema import Problem, build
from tests.helpers import option


def language(**changes: Any) -> Language:
    problems: list[Problem] = []
    made = build(Language, option("language", "en"), problems)
    assert problems == []
    return replace(spoken(made), **changes)


ENGLISH = language()
SILENT = language(synonyms={})


def told(*paragraphs: str, within: Language = SILENT) -> list[Gap]:
    docs = [parse(paragraph, within) for paragraph in paragraphs]
    return [gap for found in gaps(docs, People.of(docs, within)) for gap in found]


def asked(*paragraphs: str) -> dict[str, str]:
    """Return the answers by the questions, in all their wordings."""
    return {question: gap.answer for gap in told(*paragraphs) for question in gap.questions}


def statements(*paragraphs: str) -> list[str]:
    return list(dict.fromkeys(gap.whole for gap in told(*paragraphs)))


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        # who and whom
        ("Otho saved Claudius from drowning.", "Who saved Claudius from drowning?", "Otho"),
        ("Otho saved Claudius from drowning.", "Who did Otho save from drowning?", "Claudius"),
        ("Otho saved Claudius from drowning.", "By whom was Claudius saved from drowning?", "Otho"),
        ("Poppaea hides Otho behind a curtain.", "By whom is Otho hidden behind a curtain?", "Poppaea"),
        (
            "Agrippina plots to secure the throne for her son.",
            "Who plots to secure the throne for her son?",
            "Agrippina",
        ),
        ("The captain sold the ship.", "Who sold the ship?", "the captain"),
        ("Anna gave the money to Otto.", "Who did Anna give the money to?", "Otto"),
        ("Anna gave the money to Otto.", "To whom did Anna give the money?", "Otto"),
        # what
        ("Anna finds a letter.", "What does Anna find?", "a letter"),
        ("The council built a new bridge.", "What did the council build?", "a new bridge"),
        ("The bridge fell in March.", "What fell in March?", "the bridge"),
        ("Agrippina has lost the help of the freedmen.", "What has Agrippina lost?", "the help of the freedmen"),
        ("Anna wants to leave the village.", "What does Anna want to do?", "leave the village"),
        ("Lesbus announced that the Emperor was alive.", "What did Lesbus announce?", "the Emperor was alive"),
        ("Anna sold twelve clocks.", "How many clocks did Anna sell?", "twelve clocks"),
        ("The bridge was unsafe.", "What was the bridge like?", "unsafe"),
        # where, when, why, how
        ("Anna finds a letter in the garden.", "Where does Anna find a letter?", "in the garden"),
        ("Poppaea hides Otho behind a curtain.", "Where does Poppaea hide Otho?", "behind a curtain"),
        ("Anna pardoned Bruno after the storm.", "When did Anna pardon Bruno?", "after the storm"),
        ("Anna sold the clock on Monday.", "When did Anna sell the clock?", "on Monday"),
        (
            "Otto finds the letter because the dog digs for bones.",
            "Why does Otto find the letter?",
            "because the dog digs for bones",
        ),
        ("Anna saved the money by selling the boat.", "How did Anna save the money?", "by selling the boat"),
        # several at once, and the passive
        ("Anna and Otto live in Vienna.", "Who lives in Vienna?", "Anna and Otto"),
        ("Anna and Otto live in Vienna.", "Where do Anna and Otto live?", "in Vienna"),
        ("The two sisters own a small shop.", "Who owns a small shop?", "the two sisters"),
        ("Otto was saved from the fire by Bruno.", "Who was Otto saved from the fire by?", "Bruno"),
        ("Otto was saved from the fire by Bruno.", "Who saved Otto from the fire?", "Bruno"),
        ("Otto was saved from the fire by Bruno.", "Who did Bruno save from the fire?", "Otto"),
        ("Everybody loves Anna.", "Who loves Anna?", "everybody"),
    ],
)
def test_a_statement_is_turned_into_the_question_that_a_person_would_ask(text: str, question: str, answer: str) -> None:
    # the second paragraph shows who is a person, as the rest of a real text would
    found = asked(text, "Otho met Poppaea. Agrippina asked Lesbus. Claudius left. Anna met Otto. Bruno laughed.")
    assert found.get(question) == answer, list(found)


def test_one_statement_gives_these_questions_and_no_others() -> None:
    assert asked("The servant hides the letter behind a curtain.") == {
        "Who hides the letter behind a curtain?": "the servant",
        "Who hides the letter?": "the servant",
        "By whom is the letter hidden behind a curtain?": "the servant",
        "What does the servant hide behind a curtain?": "the letter",
        "Where does the servant hide the letter?": "behind a curtain",
    }


def test_the_reason_is_told_by_the_answer_and_not_by_the_question() -> None:
    found = asked("Otto finds the letter because the dog digs for bones. Otto laughs.")
    assert not [q for q in found if "because" in q]
    assert found["Who finds the letter?"] == "Otto"


def test_pronouns_are_filled_in_with_whom_they_mean() -> None:
    story = "Anna bought a boat. She sold her house. Otto repaired the boat for Anna. He wanted no money."
    found = asked(story)
    assert found["Who sold her house?"] == "Anna"
    assert found["What did Anna sell?"] == "her house"
    assert found["Who wanted no money?"] == "Otto"


def test_a_plural_pronoun_means_both() -> None:
    found = asked("Anna and Otto live in Vienna. They keep a small shop.")
    assert found["Who keeps a small shop?"] == "Anna and Otto"
    assert found["What do Anna and Otto keep?"] == "a small shop"


def test_nobody_is_said_to_do_to_himself_what_a_pronoun_does_to_him() -> None:
    story = "Bruno is a fisherman. Bruno met Anna. He loves Anna. Otto met Anna. He tells Anna that the boat is old."
    assert "Anna loves Anna." not in statements(story)
    assert not [s for s in statements(story) if s.startswith("Anna tells Anna")]


def test_a_pronoun_of_which_nobody_can_tell_the_meaning_gives_no_question() -> None:
    assert asked("It was cold. They left.") == {}


def test_an_apposition_is_a_statement_of_its_own() -> None:
    found = asked("Anna, the wife of Otto, sends for Bruno. Otto waits.")
    assert found["Who is Anna?"] == "the wife of Otto"
    assert found["Who is the wife of Otto?"] == "Anna"


def test_what_an_apposition_sets_off_is_left_out_of_the_statement() -> None:
    assert "Anna sends for Bruno." in statements("Anna, the wife of Otto, sends for Bruno. Otto waits.")


def test_clauses_that_are_joined_are_taken_apart() -> None:
    assert statements("The servant hides the letter and calls Anna.") == [
        "The servant hides the letter.",
        "The servant calls Anna.",
    ]


def test_what_is_only_claimed_asked_or_wished_is_not_told_as_a_fact() -> None:
    text = "The captain said that the ship was lost. Did the captain sell the ship? Anna hopes that Otto wins."
    claimed = statements(text)
    assert not [s for s in claimed if s.startswith(("The ship", "The captain did", "The captain sell", "Otto"))]
    learned = statements("The captain learned that the ship was lost.")
    assert "The ship was lost." in learned


def test_a_denial_stays_one() -> None:
    assert statements("The captain did not sell the house.") == ["The captain did not sell the house."]
    assert asked("The captain did not sell the house.")["Who did not sell the house?"] == "the captain"


def test_nothing_is_asked_twice() -> None:
    pairs = [(g.questions[0], g.answer) for g in told("Anna loves Otto. Anna loves Otto.", "Anna loves Otto.")]
    assert len(pairs) == len(set(pairs)) > 0


def test_every_gap_knows_its_sentence_and_its_statement() -> None:
    one, other = "The servant hides the letter and calls Anna.", "The captain sold the house."
    found = {(gap.whole, gap.sentence) for gap in told(f"{one} {other}")}
    assert found == {("The servant hides the letter.", one), ("The servant calls Anna.", one), (other, other)}


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        # what stands before a semicolon is told by itself
        ("The council came late; Anna sold the boat at last.", "Who sold the boat?", "Anna"),
        ("The council came late; Anna sold the boat at last.", "Who came late?", "the council"),
        # what a sentence stresses
        ("It was salt that helped the farmers.", "What helped the farmers?", "salt"),
        # participles
        ("Otto fled to Vienna, taking the money.", "What did Otto take?", "the money"),
        ("Ruined by the delay, Otto fled to Vienna.", "Who was ruined by the delay?", "Otto"),
        ("Anna woke the people by ringing the bell.", "What did Anna ring?", "the bell"),
        # what is conceded is told as well
        ("Although Bruno had surveyed the route, the council refused to pay.", "Who had surveyed the route?", "Bruno"),
        # numbers and sums
        ("Twelve cottages were swept away.", "How many cottages were swept away?", "twelve cottages"),
        ("The council sold the bridge for £400.", "For how much did the council sell the bridge?", "£400"),
        # verbs whose plain form the parser misses
        ("Anna hopes to win the prize.", "What does Anna hope to do?", "win the prize"),
    ],
)
def test_every_part_of_a_sentence_that_tells_something_is_asked_for(text: str, question: str, answer: str) -> None:
    found = asked(text, "Otto met Anna. Bruno met Otto. Anna laughed. Bruno laughed at Otto.")
    assert found.get(question) == answer, list(found)


def test_a_title_and_a_trade_say_whom_he_and_she_mean() -> None:
    story = "Mr Varley met Lady Strake at the harbour. She lent the money. He bought a boat."
    found = asked(story)
    assert found["Who lent the money?"] == "Strake"
    assert found["Who bought a boat?"] == "Varley"


def test_questions_begin_in_several_ways() -> None:
    story = "The money was lent by Edmund Varley, a banker. Varley opened the bridge in 1858. Anna met Varley."
    framed = {question: gap.answer for gap in told(story) for question in gap.framed}
    assert framed["Which banker opened the bridge in 1858?"] == "Varley"
    assert framed["Which person opened the bridge in 1858?"] == "Varley"
    assert framed["In which year did Varley open the bridge?"] == "in 1858"
    assert framed["What did the banker open in 1858?"] == "the bridge"
    assert not [q for q, answer in framed.items() if "the banker" in q and answer == "a banker"]


def test_questions_are_put_in_other_words_of_the_same_meaning() -> None:
    within = language(synonyms={"verbs": {"hide": ["conceal"]}, "nouns": {"letter": ["note"]}})
    (gap,) = [g for g in told("The servant hides a letter.", within=within) if g.answer == "the servant"]
    assert gap.questions == ("Who hides a letter?", "By whom is a letter hidden?")
    assert gap.reworded == ("Who conceals a note?", "By whom is a note concealed?")


def test_other_words_are_put_into_the_right_form() -> None:
    phrases = {"love": "be in love with", "find": "come upon", "lose": "be deprived of", "want": "wish for"}
    within = language(synonyms={"verbs": {verb: [phrase] for verb, phrase in phrases.items()}})
    story = (
        "Anna and Otto live here. They love Vienna. Otto found the letter. Bruno has lost the boat. "
        "Anna wants to leave. Otto loves Anna."
    )
    reworded = {question for gap in told(story, within=within) for question in gap.reworded}
    assert {"Who is in love with Vienna?", "Who came upon the letter?", "Who is in love with Anna?"} <= reworded
    wrong = ("withed", "uponed", "withs", "been deprived", "wish for to", "wishes for to")
    assert [question for question in reworded if any(word in question for word in wrong)] == []


@pytest.mark.parametrize(
    ("lemma", "third", "before", "done", "doing"),
    [
        ("hide", "hides", "hid", "hidden", "hiding"),
        ("carry", "carries", "carried", "carried", "carrying"),
        ("play", "plays", "played", "played", "playing"),
        ("save", "saves", "saved", "saved", "saving"),
        ("go", "goes", "went", "gone", "going"),
        ("have", "has", "had", "had", "having"),
        ("catch", "catches", "caught", "caught", "catching"),
        ("stop", "stops", "stopped", "stopped", "stopping"),
        ("beg", "begs", "begged", "begged", "begging"),
        ("open", "opens", "opened", "opened", "opening"),
        ("repair", "repairs", "repaired", "repaired", "repairing"),
        ("help", "helps", "helped", "helped", "helping"),
        ("see", "sees", "saw", "seen", "seeing"),
        ("lie", "lies", "lay", "lain", "lying"),
        ("overhear", "overhears", "overheard", "overheard", "overhearing"),
        ("undergo", "undergoes", "underwent", "undergone", "undergoing"),
        ("steal", "steals", "stole", "stolen", "stealing"),
        ("write", "writes", "wrote", "written", "writing"),
        ("flee", "flees", "fled", "fled", "fleeing"),
        ("forgive", "forgives", "forgave", "forgiven", "forgiving"),
    ],
)
def test_verbs_regular_and_irregular(lemma: str, third: str, before: str, done: str, doing: str) -> None:
    assert (third_person(lemma), past(lemma, ENGLISH), participle(lemma, ENGLISH)) == (third, before, done)
    assert [inflected(f"{lemma} upon", tag, ENGLISH) for tag in ("VBZ", "VBD", "VBN", "VBG", "VB")] == [
        f"{form} upon" for form in (third, before, done, doing, lemma)
    ]


def test_every_irregular_verb_has_a_past_and_a_participle() -> None:
    assert len(ENGLISH.irregular) > 80
    assert {lemma: forms for lemma, forms in ENGLISH.irregular.items() if len(forms) != 2} == {}


def test_the_kind_of_rows_takes_some_wordings_and_knows_where_they_come_from() -> None:
    sections = [
        Section("1", "doc", "Title", ("Plot", "Act 1"), "Anna hides the letter.\nOtto finds the letter."),
        Section("2", "other", "Title", ("Plot",), "Anna hides the letter."),
    ]
    kind = KINDS.use("questions", rows=1)
    pairs = list(kind(sections, ENGLISH))
    assert [(p.prompt, p.completion, p.origin.document, p.origin.path, p.origin.passage) for p in pairs][:2] == [
        ("Who hides the letter?", "Anna", "doc", ("Plot", "Act 1"), "Anna hides the letter."),
        ("What does Anna hide?", "the letter", "doc", ("Plot", "Act 1"), "Anna hides the letter."),
    ]
    assert {p.origin.document for p in pairs} == {"doc", "other"}
    assert len(list(KINDS.use("questions", rows=999)(sections, ENGLISH))) > len(pairs)
    whole = list(KINDS.use("questions", rows=1, answer="statement")(sections, ENGLISH))
    assert {p.completion for p in whole} == {"Anna hides the letter.", "Otto finds the letter."}


def test_without_a_parser_the_recipe_is_wrong_and_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"^language\.models: none of the parsers no_such_model is") as caught:
        model_of(language(models=["no_such_model"]))
    assert "pip install" in caught.value.hint
    with pytest.raises(ConfigError, match="no parser is named"):
        model_of(Language("xx"))
    assert model_version(ENGLISH).startswith(model_of(ENGLISH))


# ---- the language's file of words ----


def test_what_a_recipe_says_itself_comes_before_the_file(home: Path) -> None:
    (home / "words.yaml").write_text("plural: [they]\nneuter: [it]\n", encoding="utf-8")
    found = spoken(Language("xx", words="words.yaml", neuter=("thing",)))
    assert (found.plural, found.neuter) == (("they",), ("thing",))
    assert spoken(Language("xx", neuter=("thing",))).neuter == ("thing",)


@pytest.mark.parametrize(
    ("text", "said"),
    [("plurals: [they]\n", "words.yaml: plurals: unknown key; did you mean 'plural'?"), ("a: [", "words.yaml: not YAML")],
)
def test_a_mistake_in_a_file_of_words_is_told(home: Path, text: str, said: str) -> None:
    (home / "words.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        spoken(Language("xx", words="words.yaml"))
    assert caught.value.message.startswith(said)
