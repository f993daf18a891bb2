"""The command line: from argv to a verb, and from a verb to its end.

    ftbuild +recipe=agrippina            a bare word before the overrides is a verb; no verb means build
    ftbuild ask +recipe=agrippina "Who …?"

In: argv.  Out: an exit code.  This is where errors become lines; nothing below prints them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild import __version__
from ftbuild.console import Console
from ftbuild.errors import ConfigError, FtbuildError, Interrupted

if TYPE_CHECKING:
    from ftbuild.memo import Composed

USAGE = """\
ftbuild: make for fine-tuned models.  A recipe and its prompts go in; a domain-expert model, its training data and a report
of what it learned come out.

  ftbuild +recipe=NAME [KEY=VALUE …]            build; what is done already is not done again
  ftbuild ask +recipe=NAME "QUESTION"           ask the tuned model; without a question, talk to it
  ftbuild plan +recipe=NAME                     show what would run, and why, without touching anything
  ftbuild clean +recipe=NAME --diff             what each cleaning rule takes out of the documents, and what is left
  ftbuild recipes                               list the recipes, yours and ours
  ftbuild new NAME --from FILE_OR_URL           write a recipe of your own that builds at once
  ftbuild -m +recipe=NAME train.epochs=2,4      build every combination (a Hydra multirun)

  ftbuild show BUILD                            where a build comes from: commit, digests, models, tokens, cost
  ftbuild diff A B                              two builds compared: keys, pairs, answers, scores
  ftbuild check FILE                            what is wrong with training rows, before they are sent; --fix mends it
  ftbuild export TOOL +recipe=NAME              the dataset and a config for trl, axolotl, llamafactory, unsloth or hf
  ftbuild serve                                 an OpenAI-compatible server that trains and answers on this machine
  ftbuild gc                                    what the store holds that nobody needs; apply=true removes it

Any key of a recipe can be set: train.epochs=2, format=chat, source=wikipedia, provider=openai.
`ftbuild VERB --help` says more about a verb.
  until=curate, force=[generate], check=rebuild, offline=true, locked=true      (ftbuild build --help)
  --json           print one JSON document on stdout, and nothing else there
  --cfg job        print the whole configuration
  --version        print the version
  --hydra-help     what else Hydra understands

Your own recipes lie in ./conf/recipe/NAME.yaml and their prompts in ./prompts; both may use and shadow the shipped ones.
Exit codes: 0 done, 1 a stage failed, 2 recipe or command line, 3 source or network, 4 budget, 5 lock, 130 interrupted.
"""

_HYDRA_WITH_VALUE = frozenset(
    {
        "--cfg",
        "-c",
        "--info",
        "-i",
        "--config-name",
        "-cn",
        "--config-dir",
        "-cd",
        "--config-path",
        "-cp",
        "--package",
        "-p",
    }
)
_HYDRA_ALONE = frozenset({"-m", "--multirun", "-r", "--run", "--hydra-help", "--resolve", "--shell-completion", "-sc"})


@dataclass
class Arguments:
    """argv, taken apart."""

    verb: str = "build"
    overrides: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    options: dict[str, str] = field(default_factory=dict)
    as_json: bool = False

    def settings(self, **known: str) -> dict[str, str]:
        """Return the settings of a verb that needs no recipe: these defaults, and what the command line says.

        ConfigError for one that the verb does not know.
        """
        from ftbuild.schema import nearest

        if "store" in known:
            known["store"] = os.environ.get("FTBUILD_STORE") or known["store"]
        for override in self.overrides:
            key, _, value = override.lstrip("+").partition("=")
            if key not in known:
                raise ConfigError(f"{key} (command line): {self.verb} does not know this; {nearest(key, known)}")
            known[key] = value
        return known

    @property
    def names_a_recipe(self) -> bool:
        """Whether the overrides choose a recipe."""
        return any(o.lstrip("+").startswith("recipe=") for o in self.overrides)

    @classmethod
    def parse(
        cls, argv: Sequence[str], verbs: Sequence[str], options: Mapping[str, Mapping[str, bool]] | None = None
    ) -> Arguments:
        """Take argv apart.  ConfigError for a verb or a flag that there is not.

        `options` are the flags of single verbs, such as `--model`, and whether they take a value.
        """
        made = cls()
        waiting = list(argv)
        if waiting and _is_verb(waiting[0]):
            made.verb = waiting.pop(0)
            if made.verb not in verbs:
                from ftbuild.schema import nearest

                raise ConfigError(
                    f"there is no verb {made.verb!r}; {nearest(made.verb, verbs)}", hint="ftbuild --help lists them"
                )
        while waiting:
            word = waiting.pop(0)
            if word == "--json":
                made.as_json = True
            elif word in _HYDRA_ALONE or word.startswith("hydra."):
                (made.overrides if "=" in word else made.flags).append(word)
            elif word in _HYDRA_WITH_VALUE:
                made.flags += [word, *waiting[:1]]
                waiting = waiting[1:]
            elif (flag := word.partition("=")[0]) in (own := (options or {}).get(made.verb, {})):
                made.options[flag.lstrip("-")] = _value(word, waiting, takes=own[flag])
            elif word.startswith("-") and len(word) > 1:
                raise ConfigError(f"there is no option {word!r}", hint="ftbuild --help shows what there is")
            elif word[:1] in "+~" or _is_override(word):
                made.overrides.append(word)
            else:
                made.words.append(word)
        return made


def _value(word: str, waiting: list[str], *, takes: bool) -> str:
    """Return the value of a verb's own flag: `--model=NAME`, `--model NAME`, or `true` for one that takes none."""
    flag, equals, value = word.partition("=")
    if not takes and equals:
        raise ConfigError(f"{flag} takes no value")
    if takes and not equals:
        if not waiting or waiting[0].startswith("-"):
            raise ConfigError(f"{flag} needs a value: {flag} …")
        return waiting.pop(0)
    return value if equals else "true"


def _is_verb(word: str) -> bool:
    return word[:1].isalpha() and "=" not in word and "/" not in word and " " not in word


def _is_override(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and " " not in key and "?" not in key


def main(argv: Sequence[str] | None = None) -> int:
    """Run ftbuild with these arguments, or those of the process, and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    console = Console(as_json="--json" in given)
    if not given or given[0] == "help" or {"-h", "--help"} & set(given):
        usage = _usage(next((word for word in given if word not in ("help", "--json") and word.isalpha()), ""))
        console.json({"usage": usage}) if console.as_json else console.result(usage.rstrip())
        return 0 if given else 2
    if given[0] in ("--version", "-V"):
        console.json({"version": __version__}) if console.as_json else console.result(f"ftbuild {__version__}")
        return 0
    try:
        return run(given, console)
    except FtbuildError as error:
        console.error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        console.error("interrupted", "the same command goes on where this one stopped")
        return Interrupted.exit_code


def _usage(verb: str) -> str:
    """Return the help text of a verb, or of all of ftbuild."""
    import inspect

    if not verb:
        return USAGE
    from ftbuild import verbs

    known = verb in {**verbs.VERBS, **verbs.WITHOUT_RECIPE, **verbs.EITHER}
    return inspect.getdoc(verbs.verb(verb)) or "" if known else USAGE


def run(argv: Sequence[str], console: Console) -> int:
    """Run one command.  Raises FtbuildError for whatever goes wrong."""
    from ftbuild.verbs import EITHER, OPTIONS, VERBS, WITHOUT_RECIPE, verb

    arguments = Arguments.parse(argv, [*VERBS, *WITHOUT_RECIPE, *EITHER], OPTIONS)
    if arguments.verb in WITHOUT_RECIPE or (arguments.verb in EITHER and not arguments.names_a_recipe):
        return int(verb(arguments.verb)(arguments, console))
    from ftbuild import composing, config, memo

    completion = {"-sc", "--shell-completion"} & set(arguments.flags)  # `-sc install=bash` is no override
    overrides = arguments.overrides if completion else config.rewrite(arguments.overrides)
    if composing.sweeps([*arguments.flags, *overrides]):
        return _sweep(arguments, overrides, console)
    code = 0

    key = None if arguments.flags else memo.key_of(overrides)

    def job(composed: Composed) -> Any:
        nonlocal code
        code, objective = verb(arguments.verb, of_recipe=True)(config.build_from(composed, key), arguments, console)
        return objective

    kept = memo.recall(_store(overrides), key) if key else None
    composing.run_hydra(job, [*arguments.flags, *overrides], kept)
    return code


def _store(overrides: Sequence[str]) -> Path:
    """Return where the store lies, as far as that can be told without composing anything."""
    named = next((o.partition("=")[2] for o in reversed(overrides) if o.lstrip("+").startswith("store=")), "")
    return Path(named or os.environ.get("FTBUILD_STORE", ".ftbuild"))


def _sweep(arguments: Arguments, overrides: Sequence[str], console: Console) -> int:
    """Run a sweep: many builds, and then what became of them."""
    from ftbuild import composing, sweep
    from ftbuild.verbs.build import build_job, show_sweep
    from ftbuild.words import none

    if arguments.verb != "build":
        return _each(arguments, overrides, console)
    none(arguments.words)
    name = sweep.named([o for o in overrides if not o.lstrip("+").startswith("hydra")])
    builds = next((o.partition("=")[2] for o in reversed(overrides) if o.lstrip("+").startswith("builds=")), "builds")
    folder = sweep.folder_of(Path(builds), name)
    sweep.begin(folder)
    common = frozenset(o.lstrip("+") for o in arguments.overrides)

    def job(composed: Composed) -> Any:
        return build_job(composed, console, common)

    composing.run_hydra(job, [*arguments.flags, *overrides, f"++{sweep.KEY}={name}"])
    return show_sweep(folder, name, console)


def _each(arguments: Arguments, overrides: Sequence[str], console: Console) -> int:
    """Do another verb than build for every job of a sweep; with --json, what they print is one list."""
    import tempfile

    from ftbuild import composing, config
    from ftbuild.verbs import verb

    failed = False

    def once(composed: Composed) -> Any:
        nonlocal failed
        console.heading(f"job {composed.number}", " ".join(o.lstrip("+") for o in composed.overrides))
        try:
            return verb(arguments.verb, of_recipe=True)(config.build_from(composed), arguments, console)[1]
        except FtbuildError as error:
            console.error(error.message, error.hint)
            failed = True
            raise

    with tempfile.TemporaryDirectory(prefix="ftbuild-sweep-") as aside, console.gathering():  # Hydra writes multirun.yaml
        composing.run_hydra(once, [*arguments.flags, *overrides, f"hydra.sweep.dir={aside}"])
    return int(failed)
