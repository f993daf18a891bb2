"""What a recipe may say, as frozen dataclasses.  These annotations are the schema that every recipe is checked against.

In: the composed configuration.  Out: a `Recipe`.  Nothing here reads a file or knows a domain; a field that cannot change
what a stage produces (where things lie, how many requests run at once, the name of the variable that holds a key) is marked
`identity=False` and stays out of every stage's key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ftbuild.errors import ConfigError
from ftbuild.grammar.language import Language
from ftbuild.paths import find_files, find_prompt
from ftbuild.prices import Prices
from ftbuild.registries import FILTERS, GRADERS, KINDS, PARSERS, PROVIDERS, RULES, SOURCES
from ftbuild.registry import Use
from ftbuild.schema import AtLeast, Problem

Count = Annotated[int, AtLeast(1)]
Whole = Annotated[int, AtLeast(0)]
Amount = Annotated[float, AtLeast(0)]

_SOURCES_OF_PAIRS = ("pairs", "function")


def aside(default: Any) -> Any:
    """Declare a field that changes how a stage runs and never what it produces."""
    return field(default=default, metadata={"identity": False})


def in_order() -> Any:
    """Declare a mapping whose entries are taken in the order in which they stand."""
    return field(default_factory=dict, metadata={"ordered": True})


@dataclass(frozen=True)
class Batches:
    """What a provider's Batch API takes: requests and megabytes a batch, and how many seconds at most between two looks.

    What is left over from a batch is asked for live where it is no more than `rest` requests.
    """

    requests: Count = 50_000
    megabytes: Annotated[float, AtLeast(0)] = 200.0
    poll_seconds: Annotated[float, AtLeast(0)] = 30.0
    rest: Whole = 20


@dataclass(frozen=True)
class Allowance:
    """What may be spent: US dollars, tokens (read, written and trained on), requests.  None is no limit."""

    usd: Amount | None = None
    tokens: Whole | None = None
    requests: Whole | None = None


@dataclass(frozen=True)
class Budget(Allowance):
    """What one command may spend on a build, and all jobs of a sweep together.  Part of no key."""

    sweep: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True)
class Limits:
    """What a provider allows in a minute, where it is known; `null` where it is not, and then it is found out."""

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do besides answering: the kind of `response_format` it takes for structured output."""

    structured: Literal["json_schema", "json_object", "none"] = "none"


@dataclass(frozen=True)
class Provider:
    """Somebody who speaks the OpenAI protocol: where, with whose key, and with what manners.

    `trains` says whether there is fine-tuning there, and `trains_until` the last day for new jobs; `rows` are the kinds of rows
    that it takes.  `shutdown` has the days on which models end, as far as the provider itself does not say so.  `deployments`
    are the names by which models are asked, where those are others than they are trained by.  `training` is sent with every
    job as it is; `service` is what the adapter has to know of the account.
    """

    kind: Annotated[str, PROVIDERS] = "openai"
    base_url: str | None = None
    api_key_env: str | None = aside(None)
    concurrency: Annotated[int, AtLeast(1)] = aside(64)
    limits: Limits = field(default_factory=Limits, metadata={"identity": False})
    capabilities: Capabilities = field(default_factory=Capabilities, metadata={"identity": False})
    timeout: Annotated[float, AtLeast(0)] = aside(120.0)
    retries: Annotated[int, AtLeast(0)] = aside(4)
    models: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    teacher_size: str = aside("capable")
    prices: Prices = field(default_factory=Prices, metadata={"identity": False})
    batch: Batches = field(default_factory=Batches, metadata={"identity": False})
    extras: bool = False
    trains: bool = aside(default=True)
    trains_until: str | None = aside(None)
    rows: tuple[Literal["completion", "chat"], ...] = aside(("completion", "chat"))
    shutdown: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    deployments: Mapping[str, str] = field(default_factory=dict, metadata={"identity": False})
    training: Mapping[str, Any] = field(default_factory=dict, metadata={"identity": False})
    service: Mapping[str, Any] = field(default_factory=dict, metadata={"identity": False})

    def asked(self, model: str) -> str:
        """Return the name under which a model is asked, which may be that of a deployment."""
        return self.deployments.get(model, model)

    @property
    def holds_a_secret(self) -> bool:
        """Whether the address tells more than where somebody is; addresses are part of keys, records and lock files."""
        return re.search(r"(?i)//[^/?#]*@|[?&][^=&]*(key|token|secret|password)[^=&]*=.", self.base_url or "") is not None


@dataclass(frozen=True)
class Teacher:
    """The model that writes the pairs.  `size` picks the prompt templates that were made for such a model.

    `mode` says how it is asked: at once, or through the provider's Batch API, at a discount and within a day.
    A reply that is of no use is asked for again, `attempts` times in all; pairs that are missing are asked for `more` times.
    The build ends with an error if more than the share `max_failed` of all units of text gave nothing; unless that is set, a
    capable model may fail for one in four, and a small one for nine in ten.
    """

    provider: Provider
    model: str
    size: Literal["capable", "small"] = "capable"
    attempts: Count = 3
    mode: Literal["live", "batch"] = aside("live")
    more: Whole = 2
    max_failed: Amount | None = field(default=None, metadata={"identity": False})

    @property
    def may_fail(self) -> float:
        """The share of units that may give nothing, from 0 to 1."""
        return (0.25 if self.size == "capable" else 0.9) if self.max_failed is None else self.max_failed


@dataclass(frozen=True)
class Judge:
    """The model that grades answers where a grader asks one, and the prompt that it is asked with."""

    provider: Provider
    model: str
    prompt: str = "judge.j2"
    max_tokens: Count = 400
    attempts: Count = 3
    seed: int = 7


@dataclass(frozen=True)
class Trainer:
    """Who fine-tunes, and the untuned model that it starts from."""

    provider: Provider
    base_model: str
    poll_seconds: Annotated[float, AtLeast(0)] = aside(1.0)


@dataclass(frozen=True)
class CleanTest:
    """What the cleaning rules are to make of a text.  `rules` names those that are meant, if not all of them.

    Several texts stand for several documents, for rules that look at all of them.
    """

    given: str | tuple[str, ...]
    expect: str | tuple[str, ...]
    rules: tuple[str, ...] = ()
    format: str = "wikitext"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Clean:
    """Cleaning rules by name, run in the order in which they stand.  `null` switches one off.

    `on_error` says whether a document that cannot be cleaned is left out or ends the build, `seconds` how long, in processor
    time, the rules may take for one document, and for each million characters of it.  `tests` say what the rules are to do.
    """

    rules: Mapping[str, Annotated[Use[Any], RULES]] = in_order()
    on_error: Literal["skip", "stop"] = "skip"
    seconds: Amount = 2.0
    jobs: Count | None = field(default=None, metadata={"identity": False})
    tests: Mapping[str, CleanTest] = field(default_factory=dict, metadata={"identity": False})


@dataclass(frozen=True)
class Split:
    """Sections of more than so many `tokens` are split at paragraphs, then sentences; `overlap` sentences stand in both parts.

    Tokens are counted as the model `tokenizer` of a provider does, or in OpenAI's latest encoding if none is named.
    """

    tokens: Count
    overlap: Whole = 0
    tokenizer: str = ""
    provider: Provider = field(default_factory=Provider)
    language: str = "en"


@dataclass(frozen=True)
class Structure:
    """How a document becomes sections: heading levels, the sections to keep, and the name of the text before any heading.

    `headings` is what a line looks like that is a heading of a document without markup.
    """

    levels: int = 6
    lead: str = "Introduction"
    select: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    min_characters: int = 1
    headings: str = ""
    split: Split | None = None


@dataclass(frozen=True)
class Template:
    """One prompt template: what it sees, whom it is for, how the reply is read.

    `vary` gives values for template variables; one request is made for each unit of text and each combination of them.
    """

    file: str
    size: Literal["capable", "small", "any"] = "any"
    unit: Literal["section", "paragraph", "sentence"] = "section"
    endpoint: Literal["chat", "completion"] = "chat"
    parse: Annotated[str, PARSERS] = "pairs"
    pairs: Count = 20
    vary: Mapping[str, tuple[Any, ...]] = in_order()
    system: str = ""
    samples: Count = 1
    temperature: Amount = 0.7
    top_p: float = 1.0
    max_tokens: Count = 4000
    stop: tuple[str, ...] = ()
    seed: int = 7


@dataclass(frozen=True)
class Format:
    """The training row, and with it the question as the model is asked it later.

    `asked` stands in for the section and subsection of a question that does not say where it belongs.  `separator` and
    `stop` are for completion rows; a chat turn has an end of its own.
    """

    kind: Literal["completion", "chat"]
    prompt: str
    separator: str = ""
    stop: str = ""
    system: str = ""
    asked: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("separator", "stop"):
            if "\\n" in getattr(self, name):
                raise ValueError(f"{name}: holds a backslash and an n; write it in double quotes in YAML for a line break")
        if self.kind == "completion" and not (self.separator and self.stop):
            raise ValueError("separator: a completion row needs a separator and a stop token")


@dataclass(frozen=True)
class Train:
    """Hyperparameters of the fine-tuning job.  None leaves a value to the trainer.

    `checkpoint` chooses the model that is asked afterwards: the job's second checkpoint is 2, that of a step is `step 120`.
    """

    suffix: str = ""
    method: Literal["full", "lora"] = "full"
    epochs: Count = 3
    batch_size: Count | None = None
    learning_rate: Amount | None = None
    learning_rate_multiplier: Amount | None = None
    lora_rank: Count = 32
    seed: int = 7
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: int | str | None = aside(None)


@dataclass(frozen=True)
class Probe:
    """A question that proves what the model learned, and how its answer is graded."""

    question: str
    grade: Annotated[Use[Any], GRADERS]
    section: str | None = None
    subsection: str | None = None


@dataclass(frozen=True)
class Curate:
    """Filters by name, run in order over all pairs, and how many pairs are held out to test with."""

    filters: Mapping[str, Annotated[Use[Any], FILTERS]] = in_order()
    hold_out: Whole = 0


@dataclass(frozen=True)
class Evaluate:
    """The questions asked of the base model first and then of the tuned one, greedily and with the format's stop token.

    `held_out` grades the pairs that `curate.hold_out` keeps back, against their own answers.
    """

    probes: Mapping[str, Probe] = in_order()
    held_out: Annotated[Use[Any], GRADERS] | None = None
    max_tokens: Count = 64


@dataclass(frozen=True)
class Recipe:
    """Everything that one build needs to know."""

    name: str
    source: Mapping[str, Annotated[Use[Any], SOURCES]] = field(metadata={"ordered": True})
    clean: Clean
    structure: Structure
    teacher: Teacher
    trainer: Trainer
    judge: Judge
    format: Format
    train: Train
    evaluate: Evaluate
    curate: Curate
    language: Language
    prompts: Mapping[str, Template] = in_order()
    kinds: Mapping[str, Annotated[Use[Any], KINDS]] = in_order()
    vars: Mapping[str, Any] = field(default_factory=dict)
    provider: Provider = field(default_factory=Provider)
    budget: Budget = field(default_factory=Budget, metadata={"identity": False})

    @property
    def untrainable(self) -> str:
        """Why its trainer could never train it, whatever the rows say; nothing if it can."""
        trainer = self.trainer.provider
        at = trainer.kind if trainer.base_url in (None, "???") else trainer.base_url
        if not trainer.trains:
            return f"trainer.provider: {at} does not train; choose who does, such as trainer=local"
        if self.format.kind not in trainer.rows:
            return f"format.kind: {at} takes no {self.format.kind} rows; format={trainer.rows[0]} makes others"
        return ""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with parts of the recipe that are right each by itself."""
        for name, template in self.prompts.items():
            try:
                find_prompt(template.file)
            except ConfigError as error:
                yield Problem(f"prompts.{name}.file", error.message)
        try:
            find_prompt(self.judge.prompt)
        except ConfigError as error:
            yield Problem("judge.prompt", error.message)
        for name, use in self.source.items():
            for file in SOURCES.files(use):
                try:
                    find_files(file)
                except ConfigError as error:
                    yield Problem(f"source.{name}", error.message)
        pairs = self.kinds or any(use.name in _SOURCES_OF_PAIRS for use in self.source.values())
        if self.prompts and not pairs and not any(t.size in (self.teacher.size, "any") for t in self.prompts.values()):
            hint = (
                "choose kinds=article or prompts=sentences beside it"
                if self.teacher.size == "small"
                else "choose prompts=article"
            )
            yield Problem(
                "prompts", f"no template is made for a {self.teacher.size} teacher such as {self.teacher.model}; {hint}"
            )
        if not self.source:
            yield Problem("source", "the recipe names no source")
        who = {f"{part}.provider": getattr(self, part).provider for part in ("trainer", "teacher", "judge")}
        who["provider"] = self.provider
        for key in {provider.base_url: key for key, provider in who.items() if provider.holds_a_secret}.values():
            hint = "name an environment variable with the key in api_key_env"
            yield Problem(f"{key}.base_url", f"the address holds a password or a key, which would be written down; {hint}")
