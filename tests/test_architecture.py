"""The shape of the package: imports point one way, modules stay short, none knows a domain, start-up stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers import REPOSITORY

PACKAGE = REPOSITORY / "ftbuild"
LONGEST = 400

LEAVES = {
    "errors": (),
    "registry": (),
    "records": (),
    "wikitext.options": (),
    "wikitext.brackets": (),
    "wikitext.formulas": (),
    "wikitext.functions": ("wikitext.options", "wikitext.tables"),
    "wikitext.cleaning": (
        "cleaned",
        "wikitext.inline",
        "wikitext.opaque",
        "wikitext.options",
        "wikitext.scanning",
        "wikitext.tables",
    ),
    "plain": (),
    "local.packing": (),
    "reporting.charts": (),
    "paths": ("errors",),
    "fetching": (),
    "knownfiles": ("digest", "store"),
    "wikis.names": (),
    "wikis.dump": ("wikis.names",),
    "wikis.unpacking": (),
    "wikis.streams": ("errors", "http", "paths", "wikis.unpacking"),
    "schema": ("registry",),
    "registries": ("registry",),
    "digest": ("registry",),
    "versions": (),
    "options": (),
    "offers": ("paths",),
    "prices": (),
    "budget": ("errors", "prices", "tokens"),
    "quote": (
        "asking",
        "budget",
        "errors",
        "judging",
        "plan",
        "prices",
        "records",
        "replies",
        "rows",
        "stages.generate",
        "tokens",
    ),
    "accounts": ("budget", "errors", "quote", "store"),
    "reasons": ("digest",),
    "locks": ("errors",),
    "signals": (),
    "pace": (),
    "exchange": ("digest",),
    "wire": ("errors", "signals"),
    "graders": ("errors", "registries"),
    "parsers": ("errors", "registries"),
    "filters": ("errors", "graders", "records", "registries"),
    "units": ("records",),
    "cleaned": (),
    "limits": (),
    "patterns": ("errors",),
    "pool": ("errors",),
    "headings": ("patterns", "plain"),
    "prompts": ("digest", "errors", "paths"),
    "rows": ("errors", "prompts"),
    "store": ("digest", "errors", "locks"),
    "replies": ("digest", "errors", "store"),
    "memo": ("digest", "paths", "store", "versions"),
    "stage": ("digest", "errors", "versions"),
    "plan": ("digest", "errors", "options", "reasons", "schema", "stage", "stages", "store"),
}
"""What the modules at the bottom may import, at most."""

TOP = ("cli", "verbs", "execute", "making", "trial", "collect", "composing", "config", "__main__")
"""What only the command line may import."""

HALL = ("verbs", "cli", "making", "trial", "collect", "sweep", "__main__", "config", "composing")
"""The command line: argv, verbs, and what they call."""

DOMAIN = re.compile(
    r"agrippina|claudius|nero\b|poppaea|\botho\b|pallas|narcissus|lesbus|juno\b|handel|opera(?!t)|libretto|synopsis"
    r"|pig|latin|atinlay|wikipedia\.org/wiki",
    re.IGNORECASE,
)
"""Words of the shipped recipes, which no code may hold: a new domain is a new recipe."""


@cache
def sources() -> dict[str, Path]:
    """Return the package's modules by their names without `ftbuild.`; the package itself has an empty name."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def parsed(name: str) -> ast.Module:
    return ast.parse(sources()[name].read_text(encoding="utf-8"))


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of code that runs: everything but the imports that are for type checkers alone."""
    yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from running(child)


@cache
def imports(name: str) -> frozenset[str]:
    """Return the package's modules that a module imports, at its top or inside its functions."""
    found = set()
    for node in running(parsed(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {i for i in inside if i.removeprefix("ftbuild.") in sources()}
            found |= modules or {node.module or ""}
    own = {f.removeprefix("ftbuild").removeprefix(".") for f in found if f.split(".")[0] == "ftbuild"}
    return frozenset(own & set(sources())) - {name, ""}


def strings(name: str) -> Iterator[tuple[int, str]]:
    """Yield a module's identifiers and string constants with their lines, without its docstrings."""
    tree = parsed(name)
    docstrings = {
        id(node.value)
        for scope in ast.walk(tree)
        if isinstance(scope, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for node in scope.body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield line, text
            case ast.Name(id=text) | ast.arg(arg=text) | ast.Attribute(attr=text) | ast.keyword(arg=str(text)):
                yield line, text
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                yield line, text
            case ast.alias(name=text, asname=other):
                yield line, f"{text} {other}"


def test_imports_point_one_way() -> None:
    graph = {name: imports(name) for name in sources()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_a_leaf_imports_nothing_above_it(leaf: str) -> None:
    assert imports(leaf) - set(LEAVES[leaf]) == set()


@pytest.mark.parametrize("name", sorted(n for n in sources() if n.split(".")[0] not in HALL))
def test_only_the_command_line_imports_what_runs_a_build(name: str) -> None:
    assert imports(name) & set(TOP) == set()


def test_stages_do_not_import_each_other() -> None:
    stages = {name for name in sources() if name.startswith("stages.")}
    assert len(stages) >= 10
    assert [(name, i) for name in stages for i in imports(name) if i.startswith("stages")] == []


def test_the_embedded_provider_is_reached_through_providers_alone() -> None:
    outside = [name for name in sources() if name.split(".")[0] != "local"]
    assert {(name, i) for name in outside for i in imports(name) if i.split(".")[0] == "local"} == {
        ("providers.embedded", "local.launch"),
        ("providers.embedded", "local.identity"),
        ("providers.embedded", "local.housekeeping"),
        ("providers.embedded", "local.hyperparameters"),
        ("providers.embedded", "local.protocol"),
        ("providers.embedded", "local.tokenizing"),
    }


def test_the_embedded_provider_knows_nothing_of_recipes_and_stages() -> None:
    allowed = {"", "digest", "errors", "store", "versions"}
    inside = [name for name in sources() if name.split(".")[0] == "local"]
    assert {i for name in inside for i in imports(name) if i.split(".")[0] != "local"} <= allowed


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_module_says_what_it_is_and_stays_short(name: str) -> None:
    assert ast.get_docstring(parsed(name)), f"{name} has no docstring"
    assert len(sources()[name].read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("name", sorted(sources()))
def test_no_code_knows_a_domain(name: str) -> None:
    assert [(line, text) for line, text in strings(name) if DOMAIN.search(text)] == []


@pytest.mark.parametrize("name", sorted(sources()))
def test_only_the_console_and_the_programs_of_the_embedded_provider_print(name: str) -> None:
    printing = [node.lineno for node in ast.walk(parsed(name)) if isinstance(node, ast.Call) and _prints(node)]
    assert printing == [] or name == "console" or name.startswith("local.")


def _prints(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "print"


@pytest.mark.parametrize(
    "module", ["ftbuild.cli", "ftbuild.verbs.build", "ftbuild.verbs.plan", "ftbuild.making", "ftbuild.stages", "ftbuild.recipe"]
)
def test_starting_up_imports_nothing_heavy(module: str) -> None:
    heavy = (
        "torch",
        "transformers",
        "openai",
        "httpx2",
        "pandas",
        "jinja2",
        "rich",
        "jsonschema",
        "spacy",
        "fastapi",
        "lxml",
        "pypdfium2",
        "trafilatura",
        "hydra",
        "asyncio",
        "ssl",
    )
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {set(heavy)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == []
