"""The command line, as a user meets it in an empty directory: what it says, where, and with which exit code.

Nothing here trains; the recipe's rows come from a function of the user's own, so that no model is asked either.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftbuild import __version__
from ftbuild.cli import main
from ftbuild.config import quoted
from ftbuild.paths import SHIPPED_CONF
from tests.helpers import REPOSITORY

STAGES = ["fetch", "clean", "structure", "generate", "curate", "format", "baseline", "train", "evaluate", "report"]
WORDS = ["anna", "ben", "carl", "dora", "emil", "frieda", "gustav", "hanna", "ida", "jakob", "klara", "ludwig"]
RECIPE = """\
# @package _global_
# Words said aloud.
defaults:
  - _self_

source:
  words: {source: function, function: "functions/aloud.py:aloud", items: words.txt}

evaluate:
  probes:
    first: {question: mia, grade: {grader: exact, answers: [iamay]}}
"""
TEXT_RECIPE = """\
# @package _global_
# A text about a town.
defaults:
  - _self_

source:
  text: {source: file, path: town.txt, title: Town}
"""
TOWN = "== Town ==\nAnna gives Ben a book.\n== River ==\nThe river crosses the town.\n=== Bridge ===\nDora built it.\n"
TEMPLATE = """
prompts:
  mine: {file: mine.j2}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit code, and what it wrote where."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The problems that were told, one a line."""
        return [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def hint(self) -> str:
        """The last line, if it is a hint."""
        last = self.err.splitlines()[-1] if self.err else ""
        return last.removeprefix("  hint: ") if last.startswith("  hint: ") else ""


Ftbuild = Callable[..., Ran]


@pytest.fixture
def ftbuild(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ftbuild:
    """Return a function that runs one command in a user's directory."""
    monkeypatch.setenv("COLUMNS", "200")
    (home / "conf/functions").mkdir(parents=True)
    (home / "conf/functions/aloud.py").write_text("def aloud(word):\n    return word[1:] + word[0] + 'ay'\n")
    (home / "words.txt").write_text("\n".join(WORDS) + "\n")
    (home / "town.txt").write_text(TOWN)
    recipe("words", RECIPE)
    recipe("town", TEXT_RECIPE)

    def run(*argv: str) -> Ran:
        capsys.readouterr()
        try:
            code = main(list(argv))
        except SystemExit as ended:  # from Hydra's own argument parser
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return run


def recipe(name: str, text: str) -> None:
    """Write a recipe of the user's own into the working directory."""
    path = Path("conf/recipe") / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all files of a folder with their contents, and all folders."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def line_of(text: str, word: str) -> int:
    """Return the number of the line on which a word stands."""
    return next(n for n, line in enumerate(text.splitlines(), start=1) if word in line)


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


# ---- help ----


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["help"], ["+recipe=words", "-h"]])
def test_help_teaches(ftbuild: Ftbuild, argv: list[str]) -> None:
    ran = ftbuild(*argv)
    assert (ran.code, ran.err) == (0, "")
    for word in ("+recipe=", "ask", "plan", "recipes", "--json", "train.epochs=2", "./conf/recipe", "./prompts", "Exit codes"):
        assert word in ran.out
    assert max(map(len, ran.out.splitlines())) <= 128


@pytest.mark.parametrize("verb", ["build", "check", "export", "plan", "ask", "recipes", "show", "diff", "gc"])
def test_every_verb_has_a_help_of_its_own(ftbuild: Ftbuild, verb: str) -> None:
    ran = ftbuild(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split("\n")[0].endswith(".")
    assert f"ftbuild {verb} " in ran.out or verb == "build"
    assert f"ftbuild {verb}" in ftbuild("--help").out
    assert max(map(len, ran.out.splitlines())) <= 128


def test_nothing_at_all_shows_the_help_and_fails(ftbuild: Ftbuild) -> None:
    ran = ftbuild()
    assert ran.code == 2
    assert ran.out == ftbuild("--help").out


def test_version(ftbuild: Ftbuild) -> None:
    assert ftbuild("--version") == Ran(0, f"ftbuild {__version__}\n", "")


def test_the_exit_codes_in_the_help_are_those_of_the_errors(ftbuild: Ftbuild) -> None:
    from ftbuild import errors

    told = ftbuild("--help").out.partition("Exit codes:")[2]
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.FtbuildError)}
    assert codes <= {int(code) for code in re.findall(r"\d+", told)}


# ---- recipes ----


def test_recipes_lists_the_users_and_ours(ftbuild: Ftbuild) -> None:
    ran = ftbuild("recipes")
    assert ran.code == 0
    shown = {line.split()[0]: line for line in ran.out.splitlines() if line.strip()}
    assert "Words said aloud." in shown["words"]
    assert "conf/recipe/words.yaml" in shown["words"]
    assert "shipped" in shown["agrippina"]


def test_recipes_as_json(ftbuild: Ftbuild) -> None:
    ran = ftbuild("recipes", "--json")
    listed = {r["name"]: r for r in json.loads(ran.out)}
    assert listed["words"] == {"name": "words", "file": "conf/recipe/words.yaml", "summary": "Words said aloud."}
    shipped = {p.stem for p in (REPOSITORY / "conf/recipe").glob("*.yaml")}
    assert {name for name, r in listed.items() if r["file"] == "shipped"} == shipped
    assert all(r["summary"] for r in listed.values())


def test_a_users_recipe_shadows_ours(ftbuild: Ftbuild) -> None:
    recipe("agrippina", RECIPE)
    listed = {r["name"]: r for r in json.loads(ftbuild("recipes", "--json").out)}
    assert listed["agrippina"]["file"] == "conf/recipe/agrippina.yaml"
    config = yaml.safe_load(ftbuild("+recipe=agrippina", "--cfg", "job").out)
    assert list(config["source"]) == ["words"]


def test_a_recipe_may_build_on_another(ftbuild: Ftbuild) -> None:
    recipe("louder", "# @package _global_\n# Louder.\ndefaults:\n  - words\n  - _self_\ntrain: {epochs: 9}\n")
    config = yaml.safe_load(ftbuild("+recipe=louder", "--cfg", "job").out)
    assert (list(config["source"]), config["train"]["epochs"]) == (["words"], 9)
    assert ftbuild("plan", "+recipe=louder").code == 0


# ---- plan ----


def test_plan_shows_every_stage_and_touches_nothing(ftbuild: Ftbuild, home: Path) -> None:
    before = everything(home)
    ran = ftbuild("plan", "+recipe=words")
    assert ran.code == 0
    firsts = [line.split()[0] for line in ran.out.splitlines() if line.strip()]
    assert firsts[: len(STAGES) + 1] == ["Stage", *STAGES]
    assert everything(home) == before


def test_plan_as_json(ftbuild: Ftbuild, home: Path) -> None:
    before = everything(home)
    ran = ftbuild("plan", "+recipe=words", "--json")
    steps = json.loads(ran.out)["stages"]
    assert [s["stage"] for s in steps] == STAGES
    assert steps[0]["verdict"] == "run"
    assert re.fullmatch("[0-9a-f]{64}", steps[0]["key"])
    assert {s["verdict"] for s in steps[1:]} == {"run only if its input changes", "run"}
    assert everything(home) == before


def test_a_plan_of_a_sweep_leaves_nothing_behind(ftbuild: Ftbuild, home: Path) -> None:
    before = everything(home)
    ran = ftbuild("plan", "-m", "+recipe=words", "train.epochs=2,4")
    assert ran.code == 0
    assert ran.out.count("structure") == 2
    assert re.findall("^job .*", ran.err, re.MULTILINE) == [
        f"job {n}      recipe=words train.epochs={2 + 2 * n}" for n in (0, 1)
    ]
    assert everything(home) == before


def test_a_plan_of_a_sweep_is_one_document_and_tells_what_failed(ftbuild: Ftbuild) -> None:
    ran = ftbuild("plan", "-m", "+recipe=words", "train.epochs=2,x,3", "--json")
    assert (ran.code, ran.errors) == (1, ["command line: train.epochs: expected a whole number, got 'x'"])
    assert [[step["stage"] for step in plan["stages"]] for plan in json.loads(ran.out)] == [STAGES, STAGES]


def test_a_verb_in_the_wrong_place_builds_no_sweep(ftbuild: Ftbuild, home: Path) -> None:
    before = everything(home)
    ran = ftbuild("-m", "plan", "+recipe=words", "train.epochs=2,4")
    assert (ran.code, ran.errors) == (2, ["'plan' is neither an override nor a verb"])
    assert everything(home) == before


@pytest.mark.parametrize("plus", ["", "+"])
def test_a_recipe_may_be_named_with_or_without_a_plus(ftbuild: Ftbuild, plus: str) -> None:
    assert ftbuild("plan", f"{plus}recipe=words") == ftbuild("plan", "+recipe=words")
    assert ftbuild("plan", f"{plus}recipe=words").code == 0


def test_any_key_of_a_recipe_can_be_set(ftbuild: Ftbuild) -> None:
    given = ["train.epochs=7", "format=chat", "format.system=Speak up.", "train.options.note=x", "~evaluate.probes.first"]
    ran = ftbuild("+recipe=words", *given, "--cfg", "job")
    config = yaml.safe_load(ran.out)
    assert (config["train"]["epochs"], config["train"]["options"]) == (7, {"note": "x"})
    assert (config["format"]["kind"], config["format"]["system"]) == ("chat", "Speak up.")
    assert config["evaluate"]["probes"] == {}
    assert ftbuild("plan", "+recipe=words", *given).code == 0


@pytest.mark.usefixtures("ftbuild")
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--info", "searchpath"], "file://{home}/conf"),
        (["+recipe=words", "--cfg", "job", "--package", "train"], "epochs: "),
        (["-sc", "install=bash"], "hydra_bash_completion"),
        (["--hydra-help"], "hydra/launcher"),
    ],
    ids=["info", "cfg", "completion", "help"],
)
def test_hydras_own_flags_work(home: Path, argv: list[str], said: str) -> None:
    before = everything(home)
    command = [sys.executable, "-m", "ftbuild", *argv]  # a process of its own: some of them change the logging for good
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.format(home=home) in done.stdout
    assert everything(home) == before


# ---- one JSON document, and nothing else on stdout ----


@pytest.mark.parametrize(
    "argv", [["recipes"], ["plan", "+recipe=words"], ["plan", "+recipe=agrippina"], ["--version"], ["--help"], ["plan", "-h"]]
)
def test_json_is_one_document(ftbuild: Ftbuild, argv: list[str]) -> None:
    ran = ftbuild(*argv, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)


@pytest.mark.parametrize(
    "argv", [["plan"], ["plan", "+recipe=wrods"], ["plna", "+recipe=words"], ["ask", "+recipe=words", "hi"]]
)
def test_errors_leave_stdout_alone(ftbuild: Ftbuild, argv: list[str]) -> None:
    ran = ftbuild(*argv, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors


# ---- what is wrong with a command ----


def test_an_unknown_verb(ftbuild: Ftbuild) -> None:
    ran = ftbuild("plna", "+recipe=words")
    assert (ran.code, ran.errors) == (2, ["there is no verb 'plna'; did you mean 'plan'?"])
    assert "--help" in ran.hint


def test_an_unknown_flag(ftbuild: Ftbuild) -> None:
    ran = ftbuild("plan", "+recipe=words", "--jsno")
    assert (ran.code, ran.errors) == (2, ["there is no option '--jsno'"])
    assert "--help" in ran.hint


@pytest.mark.parametrize("argv", [["+recipe=words", "please"], ["plan", "+recipe=words", "please"]])
def test_a_stray_word(ftbuild: Ftbuild, argv: list[str]) -> None:
    ran = ftbuild(*argv)
    assert (ran.code, ran.errors) == (2, ["'please' is neither an override nor a verb"])


@pytest.mark.parametrize("argv", [["plan"], ["plan", "train.epochs=2"], ["ask", "Who?"], ["train.epochs=2"]])
def test_no_recipe(ftbuild: Ftbuild, argv: list[str]) -> None:
    ran = ftbuild(*argv)
    assert (ran.code, ran.errors) == (2, ["no recipe was named"])
    assert "+recipe=NAME" in ran.hint
    assert "agrippina" in ran.hint
    assert "words" in ran.hint


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+recipe=wrods", "recipe: there is no option 'wrods'; did you mean 'words'?"),
        ("recipe=", "recipe: there is no option ''; one of: "),
        ("format=chta", "format: there is no option 'chta'; did you mean 'chat'?"),
        ("train=3", "train (command line): there is no option '3'; one of: default"),
        ("trian=default", "command line: trian: unknown key; did you mean 'train'?"),
    ],
)
def test_an_unknown_option_of_a_group(ftbuild: Ftbuild, override: str, said: str) -> None:
    ran = ftbuild("plan", *([] if "recipe" in override else ["+recipe=words"]), override)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert ran.errors[0].startswith(said)


@pytest.mark.parametrize("word", ["train.epochs=[1,2", "train.suffix='x"])
def test_an_override_that_cannot_be_read(ftbuild: Ftbuild, word: str) -> None:
    ran = ftbuild("plan", "+recipe=words", word)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "YAML file" in ran.hint


@pytest.mark.parametrize(
    "word",
    [
        "provider.api_key=SECRET",
        "+api_key=SECRET",
        "++provider.apikey=SECRET",
        "vars.token=SECRET",
        "+vars={token: SECRET}",
        "provider.password=SECRET",
        "provider.api_key_env=sk-SECRETSECRETSECRET",
        "+teacher.provider.api_key='SECRET'",
    ],
)
def test_secrets_are_refused_and_not_repeated(ftbuild: Ftbuild, home: Path, word: str) -> None:
    before = everything(home)
    ran = ftbuild("plan", "+recipe=words", word)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "key on the command line" in ran.errors[0]
    assert "environment variable" in ran.hint
    assert "SECRET" not in ran.out + ran.err
    assert everything(home) == before


@pytest.mark.parametrize(
    "word", ["provider.api_key_env=MY_KEY", "+vars.title=The secret life of otters", "evaluate.max_tokens=9"]
)
def test_what_only_looks_like_a_secret_is_fine(ftbuild: Ftbuild, word: str) -> None:
    assert ftbuild("plan", "+recipe=words", word).code == 0


def test_a_missing_key_is_named_by_its_variable(ftbuild: Ftbuild) -> None:
    ran = ftbuild("+recipe=words", "provider=nebius")
    assert ran.code == 2
    assert ran.errors == ["provider.api_key_env: the environment variable NEBIUS_API_KEY is not set"]


def test_a_model_that_has_to_be_said_is_named_with_where_to_say_it(ftbuild: Ftbuild) -> None:
    ran = ftbuild("plan", "+recipe=words", "teacher=vllm")
    assert ran.code == 2
    (said,) = ran.errors
    assert said.endswith("teacher.provider.models.teacher has to be said")
    assert "teacher.provider.models.teacher=…" in ran.err


def test_a_key_where_the_name_of_its_variable_belongs_is_not_shown(ftbuild: Ftbuild) -> None:
    hosted = RECIPE.replace("  - _self_", "  - override /provider: nebius\n  - _self_")
    recipe("leaky", hosted + "provider: {api_key_env: k-SECRET}\n")
    ran = ftbuild("+recipe=leaky")
    assert ran.code == 2
    assert "is not the name of an environment variable" in ran.errors[0]
    assert "SECRET" not in ran.out + ran.err


# ---- what is wrong with a recipe ----


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("train: {epocs: 2}", "train.epocs", "unknown key; did you mean 'epochs'?"),
        ("train:\n  suffix: x\n  epocs: 2", "train.epocs", "unknown key; did you mean 'epochs'?"),
        ("trian: {}", "trian", "unknown key; did you mean 'train'?"),
        ("train: {epochs: two}", "train.epochs", "expected a whole number, got 'two'"),
        ("train: {epochs: 2.5}", "train.epochs", "expected a whole number, got 2.5"),
        ("train: {epochs: yes}", "train.epochs", "expected a whole number, got True"),
        ("train: {method: fulll}", "train.method", "'fulll' is not a choice here; did you mean 'full'?"),
        ("structure: {select: Town}", "structure.select", "expected a list, got 'Town'"),
        ("clean: {rules: {a: {rule: unescap}}}", "clean.rules.a.rule", "there is no rule 'unescap'; did you mean 'unescape'?"),
        ("clean: {rules: {a: {rule: regex}}}", "clean.rules.a.pattern", "missing: rule 'regex' needs it"),
        (
            "curate: {filters: {length: {most_word: 3}}}",
            "curate.filters.length.most_word",
            "filter 'length' has no parameter 'most_word'; did you mean 'most_words'?",
        ),
        ("source: {words: {item: x}}", "source.words.item", "source 'function' has no parameter 'item'; did you mean 'items'?"),
        ("format: {separator: '\\n###'}", "format.separator", "holds a backslash and an n; write it in double quotes in YAML"),
        ("vars: {a: '${vars.b}'}", "vars.a", "Interpolation key 'vars.b' not found"),
    ],
)
def test_a_mistake_is_told_with_its_file_line_and_key(ftbuild: Ftbuild, home: Path, text: str, key: str, said: str) -> None:
    whole = merged(RECIPE, text)
    recipe("wrong", whole)
    before = everything(home)
    ran = ftbuild("+recipe=wrong")
    assert ran.code == 2
    (problem,) = ran.errors
    place, _, rest = problem.partition(": ")
    assert rest.startswith(f"{key}: {said}")
    file, _, number = place.rpartition(":")
    assert file == "conf/recipe/wrong.yaml"
    last = key.rpartition(".")[2]
    wanted = last if last in text else key.split(".")[-2]
    assert wanted in whole.splitlines()[int(number) - 1]
    assert everything(home) == before


def merged(recipe: str, text: str) -> str:
    """Return a recipe with a part of it said again; YAML has no two keys of one name."""
    key = text.partition(":")[0]
    if key == "source":
        return recipe.replace("items: words.txt", "items: words.txt, item: x")
    return f"{recipe}{text}\n"


def test_every_mistake_is_told_at_once(ftbuild: Ftbuild) -> None:
    recipe("wrong", RECIPE + "train: {epocs: 2, seed: x}\nformat: {promt: a}\n")
    ran = ftbuild("plan", "+recipe=wrong", "trian.epochs=2")
    keys = [line.split(": ")[1] for line in ran.errors]
    assert sorted(keys) == ["format.promt", "train.epocs", "train.seed", "trian"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epocs=2", "command line: train.epocs: unknown key; did you mean 'epochs'?"),
        ("train.epochs=two", "command line: train.epochs: expected a whole number, got 'two'"),
        ("train.epochs=null", "command line: train.epochs: expected a whole number, got nothing"),
        ("train.learning_rate=fast", "command line: train.learning_rate: expected a number"),
        ("format.prompt=5", "command line: format.prompt: expected text (put it in quotes"),
        ("train=null", "train (command line): there is no option 'null'"),
    ],
)
def test_a_mistake_on_the_command_line_says_so(ftbuild: Ftbuild, override: str, said: str) -> None:
    ran = ftbuild("plan", "+recipe=words", override)
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert ran.errors[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("train: [1\n", 12),
        ("train: {epochs: 1\nformat: {}\n", 12),
        ("x: Who gives Ben a book?: {\n", 11),
        ("train:\n\tepochs: 2\n", 12),
        ('format: {stop: "open}\n', 12),
        ("format: {stop: \x07}\n", None),
    ],
)
def test_broken_yaml_is_told_with_its_file_and_line(ftbuild: Ftbuild, text: str, line: int | None) -> None:
    recipe("broken", RECIPE + text)
    ran = ftbuild("plan", "+recipe=broken")
    assert (ran.code, len(ran.errors)) == (2, 1)
    match = re.match(r"(\S*conf/recipe/broken\.yaml)(?::(\d+))?: not YAML: \S", ran.errors[0])
    assert match is not None
    assert line is None or abs(int(match[2]) - line) <= 1


def test_broken_yaml_does_not_stop_other_recipes(ftbuild: Ftbuild) -> None:
    recipe("broken", "train: [1\n")
    Path("conf/recipe/latin.yaml").write_bytes(b"# caf\xe9\n")
    assert ftbuild("plan", "+recipe=words").code == 0
    assert {"broken", "latin", "words"} <= {r["name"] for r in json.loads(ftbuild("recipes", "--json").out)}
    ran = ftbuild("plan", "+recipe=latin")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "UTF-8" in ran.errors[0]


@pytest.mark.parametrize("text", ["train: {epochs: 2}\n", "", "just words\n", "# Otters.\n"])
def test_a_recipe_without_its_first_line(ftbuild: Ftbuild, text: str) -> None:
    recipe("bare", text)
    ran = ftbuild("plan", "+recipe=bare")
    assert (ran.code, ran.errors) == (2, ["conf/recipe/bare.yaml:1: a recipe begins with the line '# @package _global_'"])


def test_a_recipe_without_a_source(ftbuild: Ftbuild) -> None:
    recipe("empty", "# @package _global_\ntrain: {epochs: 2}\n")
    ran = ftbuild("plan", "+recipe=empty")
    assert ran.code == 2
    assert any("the recipe names no source" in line for line in ran.errors)


def test_an_unknown_group_or_option_in_the_defaults(ftbuild: Ftbuild) -> None:
    recipe("group", RECIPE.replace("- _self_", "- override /fromat: chat\n  - _self_"))
    ran = ftbuild("plan", "+recipe=group")
    assert ran.code == 2
    assert ran.errors == ["fromat (a recipe's defaults): nothing here to override; did you mean 'format'?"]
    recipe("option", RECIPE.replace("- _self_", "- override /format: chta\n  - _self_"))
    ran = ftbuild("plan", "+recipe=option")
    assert (ran.code, ran.errors) == (2, ["format: there is no option 'chta'; did you mean 'chat'?"])


def test_a_missing_prompt_file(ftbuild: Ftbuild, home: Path) -> None:
    recipe("asking", TEXT_RECIPE + TEMPLATE)
    before = everything(home)
    ran = ftbuild("+recipe=asking")
    line = line_of(TEXT_RECIPE + TEMPLATE, "mine.j2")
    assert ran.code == 2
    (problem,) = ran.errors
    place = f"conf/recipe/asking.yaml:{line}: prompts.mine.file"
    assert problem.startswith(f"{place}: there is no prompt template 'mine.j2' (looked in ")
    assert everything(home) == before
    (home / "prompts").mkdir()
    (home / "prompts/mine.j2").write_text("Ask about {{ text }}")
    assert ftbuild("plan", "+recipe=asking").code == 0


@pytest.mark.parametrize("missing", ["words.txt", "conf/functions/aloud.py"])
def test_a_missing_source_file(ftbuild: Ftbuild, home: Path, missing: str) -> None:
    (home / missing).unlink()
    before = everything(home)
    ran = ftbuild("+recipe=words")
    assert ran.code == 2
    (problem,) = ran.errors
    assert problem.startswith(f"conf/recipe/words.yaml:{line_of(RECIPE, 'words.txt')}: source.words: there is no file ")
    assert everything(home) == before


# ---- what goes wrong while building; nothing is left half done ----


def left_behind(home: Path) -> list[str]:
    """Return what a build that failed must not leave: results, work in progress, files of its own beside the user's."""
    here = [p.relative_to(home).as_posix() for p in home.rglob("*")]
    expected = ("conf", "words.txt", "town.txt", ".ftbuild")
    return [p for p in here if not p.startswith(expected) or p.startswith(".ftbuild/tmp/")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('format: {separator: " ANN "}\n', None),
        ('format: {separator: "ann"}\n', "format.separator: 'ann' occurs inside a prompt: 'anna'"),
        ('format: {stop: " enbay"}\n', "format.stop: 'enbay' occurs inside a row: 'ben' → 'enbay'"),
        ('format: {stop: " hanna"}\n', "format.stop: 'hanna' occurs inside a row: 'hanna' → 'annahay'"),
    ],
)
def test_a_separator_or_stop_inside_the_data(ftbuild: Ftbuild, home: Path, text: str, said: str | None) -> None:
    recipe("cut", RECIPE + text)
    ran = ftbuild("+recipe=cut", "provider=nebius")  # without a key: where rows are right, the next stage says so
    assert ran.code == 2
    assert ran.errors == [said or "provider.api_key_env: the environment variable NEBIUS_API_KEY is not set"]
    assert left_behind(home) == []


def test_an_unreachable_source(ftbuild: Ftbuild, home: Path) -> None:
    api = f"http://127.0.0.1:{unused_port()}/w/api.php"
    recipe("wiki", f"# @package _global_\nsource:\n  page: {{source: mediawiki, api: '{api}', title: Otter, attempts: 1}}\n")
    ran = ftbuild("+recipe=wiki")
    assert ran.code == 3
    assert ran.errors[0].startswith(f"{api}: ConnectError: ")
    assert "network" in ran.hint
    assert left_behind(home) == []


def test_an_unreachable_provider(ftbuild: Ftbuild, home: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}/v1"
    given = [f"provider.base_url={url}", "provider.models.teacher=a", "provider.models.base=b", "provider.retries=0"]
    ran = ftbuild("+recipe=words", "provider=openai_compatible", *given)
    assert ran.code == 3
    assert ran.errors[0].startswith(f"{url}/: cannot be reached: ")
    assert left_behind(home) == []


def test_a_file_that_is_not_utf_8(ftbuild: Ftbuild, home: Path) -> None:
    (home / "town.txt").write_bytes(b"== Caf\xe9 ==\nAnna.\n")
    ran = ftbuild("+recipe=town")
    assert (ran.code, ran.errors) == (3, ["town.txt: is not UTF-8 (byte 6)"])
    assert left_behind(home) == []


def test_a_failing_function_names_item_and_line(ftbuild: Ftbuild, home: Path) -> None:
    (home / "conf/functions/aloud.py").write_text("def aloud(word):\n    return {}[word] if word > 'c' else word\n")
    ran = ftbuild("+recipe=words")
    assert ran.code == 3
    assert ran.errors == ["words.txt:3: functions/aloud.py:aloud failed on 'carl': KeyError: 'carl'"]
    assert left_behind(home) == []


def test_a_selection_that_selects_nothing_lists_the_sections(ftbuild: Ftbuild, home: Path) -> None:
    ran = ftbuild("+recipe=town", "structure.select=[Synopsis,Plot]")
    assert (ran.code, ran.errors) == (2, ["structure.select: no section is called Synopsis, Plot"])
    assert ran.hint == "the document has: Town, River, River/Bridge"
    assert left_behind(home) == []


def test_cleaning_that_leaves_nothing(ftbuild: Ftbuild, home: Path) -> None:
    recipe("bald", TEXT_RECIPE + "clean: {rules: {all: {rule: regex, pattern: '.'}}}\n")
    ran = ftbuild("+recipe=bald")
    assert (ran.code, ran.errors) == (3, ["Town: the cleaning rules left nothing of it (all: nothing is left of it)"])
    assert left_behind(home) == []


def test_nothing_to_train_on(ftbuild: Ftbuild, home: Path) -> None:
    ran = ftbuild("+recipe=town")
    assert (ran.code, ran.errors) == (1, ["there are no pairs to train on"])
    assert left_behind(home) == []


@pytest.mark.parametrize("store", ["words.txt/store", "/dev/null/store"])
def test_a_store_that_cannot_be_written(ftbuild: Ftbuild, home: Path, store: str) -> None:
    before = everything(home)
    ran = ftbuild("+recipe=words", f"store={store}")
    assert (ran.code, ran.errors) == (1, [f"cannot write to the store {store}: Not a directory"])
    assert ran.hint == "choose another with store=DIRECTORY"
    assert everything(home) == before
    assert ftbuild("plan", "+recipe=words", f"store={store}").code == 0


def test_what_was_done_before_an_error_is_kept(ftbuild: Ftbuild) -> None:
    assert ftbuild("+recipe=words", "provider=nebius").code == 2
    planned = ftbuild("plan", "+recipe=words", "provider=nebius", "--json")
    steps: dict[str, Any] = {s["stage"]: s["verdict"] for s in json.loads(planned.out)["stages"]}
    done = STAGES[: STAGES.index("baseline")]
    assert [name for name, verdict in steps.items() if verdict == "restore"] == done
    again = ftbuild("+recipe=words", "provider=nebius")
    assert [line.split()[0] for line in again.err.splitlines() if line.startswith(tuple(STAGES))] == ["baseline"]


def test_a_plus_before_a_key_that_there_is_already_does_no_harm(ftbuild: Ftbuild) -> None:
    assert ftbuild("plan", "+recipe=words", "+curate.hold_out=3") == ftbuild("plan", "+recipe=words", "curate.hold_out=3")
    assert ftbuild("plan", "+recipe=words", "+curate.hold_out=3").code == 0


def test_asking_nothing_gives_no_document(ftbuild: Ftbuild) -> None:
    ran = ftbuild("ask", "+recipe=words", "--json")
    assert (ran.code, ran.out, ran.errors) == (2, "", ["--json needs a question"])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.epochs=0", "train.epochs: expected 1 or more, got 0"),
        ("train.batch_size=-1", "train.batch_size: expected 1 or more, got -1"),
        ("curate.hold_out=-1", "curate.hold_out: expected 0 or more, got -1"),
        ("teacher.attempts=0", "teacher.attempts: expected 1 or more, got 0"),
        ("train.learning_rate=-0.1", "train.learning_rate: expected 0 or more, got -0.1"),
        ("train.learning_rate=nan", "train.learning_rate: expected 0 or more, got nan"),
    ],
)
def test_a_number_that_cannot_be_is_refused_before_any_work(ftbuild: Ftbuild, word: str, said: str) -> None:
    ran = ftbuild("plan", "+recipe=words", word)
    assert (ran.code, ran.errors) == (2, [f"command line: {said}"])


@pytest.mark.parametrize(
    "url", ["http://me:SECRET@localhost/v1", "https://SECRET@localhost:8000/v1", "http://localhost/v1?api-key=SECRET"]
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(ftbuild: Ftbuild, home: Path, url: str) -> None:
    before = everything(home)
    ran = ftbuild("plan", "+recipe=words", f"provider.base_url='{url}'")
    assert (ran.code, len(ran.errors)) == (2, 1)
    assert "provider.base_url: the address holds a password or a key" in ran.errors[0]
    assert "SECRET" not in ran.out + ran.err
    assert everything(home) == before


def test_asking_before_building_says_what_to_do(ftbuild: Ftbuild, home: Path) -> None:
    before = everything(home)
    ran = ftbuild("ask", "+recipe=words", "Who?")
    assert ran.code == 2
    assert ran.errors == ["the recipe 'words' has no tuned model yet, or was changed since it was built"]
    assert ran.hint == "build it first: ftbuild +recipe=words"
    assert everything(home) == before


def test_one_key_of_a_provider_that_is_only_a_reference_is_refused(ftbuild: Ftbuild) -> None:
    ran = ftbuild("plan", "+recipe=agrippina", "trainer.provider.base_url=http://localhost:1/v1")
    assert ran.code == 2
    assert ran.errors == ["trainer.provider.base_url (command line): the trainer's provider is the recipe's own"]
    assert "trainer=NAME" in ran.err


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("vars.subject=井盐", "vars.subject='井盐'"),
        ("vars.subject=自贡 井盐", "vars.subject='自贡 井盐'"),
        ("vars.subject=甲,乙", "vars.subject='甲','乙'"),
        ("structure.select=[历史/*,'工 艺']", "structure.select=['历史/*','工 艺']"),
        ('vars.subject="井\'盐"', 'vars.subject="井\'盐"'),
        ("vars.subject=salt", "vars.subject=salt"),
    ],
)
def test_words_beyond_ascii_need_no_quotes(typed: str, given: str) -> None:
    assert quoted(typed) == given


def test_a_recipe_may_have_a_name_and_values_in_chinese(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = (SHIPPED_CONF / "recipe/jingyan.yaml").read_text(encoding="utf-8")
    (home / "conf/recipe").mkdir(parents=True)
    (home / "conf/recipe/井盐.yaml").write_text(recipe, encoding="utf-8")
    assert main(["-m", "+recipe=井盐", "vars.subject=甲,乙", "until=format", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "vars.subject=甲" in json.dumps(told, ensure_ascii=False)
    assert "关于乙（" in (next(home.glob("builds/sweep-*/1/dataset.jsonl"))).read_text(encoding="utf-8")
