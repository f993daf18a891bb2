"""Reply parsers: pairs out of whatever a teacher wraps them in; what is not used is kept, with its line and why."""

from __future__ import annotations

import json

import pytest

from ftbuild.parsers import Found, Parsed, Unused
from ftbuild.registries import PARSERS

ONE = '{"prompt": "Who?", "completion": "Nero"}'
TWO = '{"prompt": "Where?", "completion": "Rome"}'


def parse(reply: str, parser: str = "pairs") -> Parsed:
    parsed = PARSERS[parser](reply)
    assert isinstance(parsed, Parsed)
    return parsed


def found(reply: str) -> list[tuple[str, str]]:
    return [(f.prompt, f.completion) for f in parse(reply).found]


def reasons(reply: str) -> list[tuple[int, str]]:
    return [(u.line, u.reason) for u in parse(reply).unused]


@pytest.mark.parametrize(
    "reply",
    [
        f"{ONE}\n{TWO}",
        f"{ONE}\n\n\n{TWO}\n",
        f"{ONE}\r\n{TWO}\r\n",
        f"{ONE} {TWO}",
        f"{ONE},\n{TWO},",
        f"[{ONE}, {TWO}]",
        json.dumps([json.loads(ONE), json.loads(TWO)], indent=2),
        f"```json\n{ONE}\n{TWO}\n```",
        f"```jsonl\n{ONE}\n{TWO}\n```\n",
        f"```\n[\n{ONE},\n{TWO}\n]\n```",
        f"~~~json\n{ONE}\n{TWO}\n~~~",
        f'{{"pairs": [{ONE}, {TWO}]}}',
        json.dumps({"pairs": [json.loads(ONE), json.loads(TWO)], "note": "two"}, indent=4),
        ONE.replace("prompt", "question").replace("completion", "answer") + TWO.replace("completion", "Answer"),
        ONE.replace("prompt", "Q").replace("completion", "A") + TWO,
        ONE.replace("prompt", "问题").replace("completion", "答案") + TWO.replace("completion", "回答"),
        ONE.replace("}", ', "id": 7, "tags": ["x"]}') + TWO,
    ],
)
def test_pairs_are_found_in_every_usual_form_with_nothing_left_over(reply: str) -> None:
    assert parse(reply).found != []
    assert found(reply) == [("Who?", "Nero"), ("Where?", "Rome")]
    assert parse(reply).unused == []


@pytest.mark.parametrize("prompt", ["prompt", "question", "q", "instruction", "input", "问题", "问", "Question", " Q "])
@pytest.mark.parametrize("completion", ["completion", "answer", "a", "response", "output", "答案", "回答", "答", "A "])
def test_keys_are_known_under_their_usual_names(prompt: str, completion: str) -> None:
    assert found(json.dumps({completion: "Nero", prompt: "Who?"})) == [("Who?", "Nero")]


def test_chatter_around_the_pairs_is_kept_with_its_line() -> None:
    parsed = parse(f"Sure! Here you are:\n\n{ONE}\n{TWO}\n\nI hope this helps.")
    assert [f.line for f in parsed.found] == [3, 4]
    assert parsed.unused == [
        Unused(1, "Sure! Here you are:", "no JSON object"),
        Unused(6, "I hope this helps.", "no JSON object"),
    ]


def test_chatter_on_a_pair_s_own_line_costs_the_chatter_only() -> None:
    reply = f"1. {ONE}\n2. {TWO} (from act 1)"
    assert found(reply) == [("Who?", "Nero"), ("Where?", "Rome")]
    assert [(u.line, u.raw) for u in parse(reply).unused] == [(1, "1."), (2, "2."), (2, "(from act 1)")]


@pytest.mark.parametrize(
    "bad",
    [
        '{"prompt": "He said "no"", "completion": "x"}',
        '{"prompt": "Why?", completion: "x"}',
        '{"prompt": "Why?" "completion": "x"}',
        "{'prompt': 'Why?', 'completion': 'x'}",
        '{"prompt": "Why?", "completion": "never closed}',
    ],
)
def test_one_bad_line_among_good_ones_costs_that_line_only(bad: str) -> None:
    parsed = parse(f"{ONE}\n{bad}\n{TWO}")
    assert [(f.line, f.completion) for f in parsed.found] == [(1, "Nero"), (3, "Rome")]
    assert [(u.line, u.raw) for u in parsed.unused] == [(2, bad)]
    assert parsed.unused[0].reason.startswith("not JSON: ")


@pytest.mark.parametrize("end", ['{"prompt": "Wh', '{"prompt": "Why?", "completion": "Becau', '{"prompt"', "{"])
def test_a_reply_that_is_cut_off_loses_its_last_pair_only(end: str) -> None:
    assert found(f"{ONE}\n{TWO}\n{end}") == [("Who?", "Nero"), ("Where?", "Rome")]
    assert reasons(f"{ONE}\n{TWO}\n{end}") == [(3, "cut off in the middle")]
    assert found(f"[{ONE},\n{TWO},\n{end}") == [("Who?", "Nero"), ("Where?", "Rome")]


def test_a_reply_that_is_cut_off_inside_an_object_of_several_lines_says_so() -> None:
    reply = json.dumps([json.loads(ONE), json.loads(TWO)], indent=2)
    assert found(reply[: reply.index("Rome")]) == [("Who?", "Nero")]
    assert reasons(reply[: reply.index("Rome")]) == [(6, "cut off in the middle")]


def test_a_reply_that_opens_bracket_after_bracket_is_only_not_json() -> None:
    parsed = parse(f"{ONE}\n" + '{"prompt": ' + "[" * 200_000)
    assert [f.completion for f in parsed.found] == ["Nero"]
    assert [u.line for u in parsed.unused] == [2]


def test_objects_of_several_lines_are_known_by_the_line_on_which_they_begin() -> None:
    reply = json.dumps([json.loads(ONE), json.loads(TWO)], indent=2)
    assert [f.line for f in parse(reply).found] == [2, 6]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ('{"prompt": "Why?"}', "has no completion"),
        ('{"completion": "Rome"}', "has no prompt"),
        ("{}", "has no prompt"),
        ('{"prompt": "", "completion": "x"}', "its prompt is empty"),
        ('{"prompt": "Why?", "completion": "  "}', "its completion is empty"),
        ('{"prompt": "Why?", "completion": null}', "its completion is not text"),
        ('{"prompt": "Why?", "completion": true}', "its completion is not text"),
        ('{"prompt": "Why?", "completion": ["a"]}', "its completion is not text"),
        ('{"prompt": {"text": "Why?"}, "completion": "x"}', "its prompt is not text"),
    ],
)
def test_an_object_that_is_no_pair_is_kept_with_the_reason(reply: str, reason: str) -> None:
    parsed = parse(f"{ONE}\n{reply}")
    assert [f.prompt for f in parsed.found] == ["Who?"]
    assert [(u.line, u.reason) for u in parsed.unused] == [(2, reason)]
    assert json.loads(parsed.unused[0].raw) == json.loads(reply)


def test_numbers_are_answers_too_and_white_space_around_texts_is_not() -> None:
    reply = '{"prompt": " When? ", "completion": 1709}\n{"prompt": "How long?\\n", "completion": 2.5}'
    assert found(reply) == [("When?", "1709"), ("How long?", "2.5")]


def test_line_breaks_and_quotes_inside_texts_are_kept() -> None:
    assert found('{"prompt": "Who said \\"no\\"?", "completion": "a\\nb"}') == [('Who said "no"?', "a\nb")]
    assert found('{"prompt": "Who?", "completion": "a\nb"}') == [("Who?", "a\nb")]


def test_braces_inside_texts_are_text() -> None:
    reply = '{"prompt": "What is {x}?", "completion": "a set } of { braces"}'
    assert found(reply) == [("What is {x}?", "a set } of { braces")]


@pytest.mark.parametrize("reply", ["", "\n\n", "[]", "```json\n```", "[\n]\n"])
def test_an_empty_reply_gives_nothing_at_all(reply: str) -> None:
    assert parse(reply) == Parsed([], [])


def test_a_reply_in_prose_gives_no_pairs_and_keeps_every_line() -> None:
    assert parse("I cannot do that.\nSorry.") == Parsed(
        [], [Unused(1, "I cannot do that.", "no JSON object"), Unused(2, "Sorry.", "no JSON object")]
    )


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("Who is the emperor?", "Who is the emperor?"),
        ("\n  Who is the emperor?\nClaudius.", "Who is the emperor?"),
        ("Q: Who is the emperor?", "Who is the emperor?"),
        ("Question: Who is the emperor?", "Who is the emperor?"),
        ("1. Who is the emperor?\n2. Who is not?", "Who is the emperor?"),
        ("- Who is the emperor?", "Who is the emperor?"),
        ("Let me think.\nWho is the emperor?", "Who is the emperor?"),
        ("谁是皇帝？", "谁是皇帝？"),
    ],
)
def test_question_takes_the_first_question_and_leaves_the_answer_to_the_passage(reply: str, question: str) -> None:
    (one,) = parse(reply, "question").found
    assert (one.prompt, one.completion) == (question, "")


def test_question_knows_its_line_and_keeps_the_other_lines() -> None:
    assert parse("Well.\nWho?\nWhy?", "question") == Parsed(
        [Found(2, "Who?", "")], [Unused(1, "Well.", "not a question"), Unused(3, "Why?", "after the question")]
    )


@pytest.mark.parametrize("reply", ["", "The emperor is Claudius.", "Who is the emp"])
def test_question_finds_none_where_there_is_none(reply: str) -> None:
    assert parse(reply, "question").found == []


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("apple, pear,plum", ["apple", "pear", "plum"]),
        ("apple, pear.\nand more", ["apple", "pear"]),
        ("\n\napple; pear", ["apple", "pear"]),
        ("apple, , apple, pear", ["apple", "pear"]),
        ("苹果，梨、桃", ["苹果", "梨", "桃"]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_words_are_a_list_without_repetitions(reply: str, words: list[str]) -> None:
    parsed = parse(reply, "words")
    assert [(f.line, f.prompt, f.completion) for f in parsed.found] == [(1, word, "") for word in words]
