"""From command-line overrides to a validated `Recipe`, through Hydra.

In: overrides such as `+recipe=agrippina train.epochs=2`.  Out: a `Recipe`, or a `ConfigError` with one line for each
problem: the file and line (or "command line"), the key, what is wrong, the nearest right name.

Hydra composes; `ftbuild.schema` checks.  Keys given on the command line are passed to Hydra as `++key=value`, so that every
key of the schema may be set whether or not a YAML file mentions it, and so that one place judges all of them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild import paths
from ftbuild.errors import ConfigError, FtbuildError, Interrupted
from ftbuild.options import Options
from ftbuild.schema import Problem, build, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ftbuild.recipe import Recipe
    from ftbuild.store import Store
    from ftbuild.sweep import Job

_PLAIN_OVERRIDE = re.compile(r"^(?P<key>[A-Za-z_][\w.@/-]*)=")
_PLUGINS = frozenset({"joblib", "submitit_local", "submitit_slurm", "optuna"})
_SECRET = re.compile(r"(?i)(^|[+._{,])\s*(api_?key|token|secret|password)\s*[=:]\s*\S|\bsk-[\w-]{16,}")


def groups() -> set[str]:
    """Return the names of all configuration groups: the folders below `conf`."""
    return {p.relative_to(f).as_posix() for f in paths.conf_folders() for p in f.rglob("*") if p.is_dir()}


def options(group: str) -> list[str]:
    """Return the options of a group by name: its YAML files, the user's and ours."""
    return sorted({p.stem for f in paths.conf_folders() for p in (f / group).glob("*.yaml")})


def rewrite(overrides: Sequence[str]) -> list[str]:
    """Return the overrides as Hydra wants them: `recipe=x` gets its plus, plain keys get two."""
    known = groups()
    rewritten = [_rewrite(o, known) for o in overrides]
    for override in overrides:
        _whole_provider(override, overrides)
    return rewritten


def _whole_provider(override: str, overrides: Sequence[str]) -> None:
    """Refuse to set one key of a teacher's or trainer's provider that is only a reference: the rest of it would go."""
    match = re.match(r"\+{0,2}((teacher|trainer)\.provider)\.", override)
    if match and not any(o.lstrip("+").startswith(f"provider@{match[1]}=") for o in overrides):
        raise ConfigError(
            f"{override.lstrip('+').partition('=')[0]} (command line): the {match[2]}'s provider is the recipe's own",
            hint=f"set provider.… for both, or give it one of its own first: +provider@{match[1]}=NAME",
        )


def _rewrite(override: str, known: set[str]) -> str:
    if _SECRET.search(override):
        key = override.partition("=")[0]
        raise ConfigError(
            f"{key} (command line): a key on the command line ends up in shell histories and logs",
            hint="put it into an environment variable and name that with provider.api_key_env=NAME",
        )
    match = _PLAIN_OVERRIDE.match(override)
    if match is None:
        return override
    key = match["key"]
    if key in ("recipe", "sweep"):
        return "+" + override
    if key.partition("@")[0] in known or key.startswith(("hydra.", "hydra/")):
        value = override.partition("=")[2]
        if key in known and re.fullmatch(r"(?i)[-+.\d]+|true|false|null", value):  # Hydra wants words here
            raise ConfigError(f"{key} (command line): there is no option {value!r}; {nearest(value, options(key))}")
        return override
    return "++" + override


def run_hydra(function: Callable[[DictConfig], Any], arguments: Sequence[str]) -> None:
    """Compose with Hydra and call `function` with the result, once, or once a job in a sweep.

    Raises ConfigError for whatever Hydra refuses, and whatever `function` raises; a sweep goes on after an FtbuildError, and
    `function` itself has to tell of it.
    """
    import hydra
    import yaml
    from hydra.core.plugins import Plugins
    from hydra.errors import HydraException
    from hydra.plugins.search_path_plugin import SearchPathPlugin
    from omegaconf.errors import OmegaConfBaseException

    from ftbuild.searchpath import UserConf

    if UserConf not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(UserConf)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions come here instead of being printed
    saved, sys.argv = sys.argv, [sys.argv[0], *arguments]
    failed: list[Exception] = []
    many = sweeps(arguments)

    def job(cfg: DictConfig) -> Any:
        try:
            return function(cfg)
        except Interrupted as error:
            if many:
                raise KeyboardInterrupt from error  # the jobs that are left must not begin
            failed.append(error)
        except Exception as error:
            if many and _samples():
                raise  # a sampler has to know
            if not many:
                failed.append(error)  # raised below, past Hydra, which would print it in its own way
        return None

    try:
        hydra.main(version_base="1.3", config_path=str(paths.SHIPPED_CONF), config_name="config")(job)()
    except FtbuildError:  # of a job; it was told when it happened
        pass
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"a configuration file is not UTF-8: {error.reason}", hint="save it as UTF-8") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # `train=3` is a ValueError
        raise _translated(error, overrides=arguments) from error
    finally:
        sys.argv = saved
    if failed:
        raise failed[0]


def _samples() -> bool:
    """Say whether the sweep that this is a job of chooses its jobs by how others ended, rather than doing all of them."""
    from hydra.core.hydra_config import HydraConfig

    return "BasicSweeper" not in str(HydraConfig.get().sweeper.get("_target_", ""))


def sweeps(arguments: Sequence[str]) -> bool:
    """Say whether a command line asks for a sweep: by a flag, or by naming one."""
    return bool({"-m", "--multirun"} & set(arguments)) or any(a.lstrip("+").startswith("sweep=") for a in arguments)


def recipe_from(cfg: DictConfig) -> Recipe:
    """Return the composed configuration as a checked Recipe.  ConfigError lists everything that is wrong with it."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from ftbuild.recipe import Recipe

    hydra_cfg = HydraConfig.get()
    choices = {str(k): v for k, v in hydra_cfg.runtime.choices.items()}
    overrides = list(hydra_cfg.overrides.task)
    if "recipe" not in choices:
        known = ", ".join(options("recipe"))
        raise ConfigError("no recipe was named", hint=f"say which one: +recipe=NAME (there are {known})")
    try:
        data = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise _translated(error, choices, overrides) from error
    assert isinstance(data, dict)
    if "recipe" in data:
        file = next(f for c in paths.conf_folders() if (f := c / "recipe" / f"{choices['recipe']}.yaml").is_file())
        raise ConfigError(f"{paths.shown(file)}:1: a recipe begins with the line '# @package _global_'")
    data = {"name": choices["recipe"], **{str(k): v for k, v in data.items() if k not in NOT_RECIPE}}
    problems: list[Problem] = []
    recipe = build(Recipe, data, problems)
    if not problems:
        problems = list(recipe.problems())
    if problems:
        from ftbuild.locate import locate

        raise ConfigError(*(f"{locate(p.key, choices, overrides)}: {p}" for p in problems))
    return recipe


NOT_RECIPE = frozenset({"store", "builds", "sweep_name", *Options.__dataclass_fields__})


def _translated(error: Exception, choices: dict[str, Any] | None = None, overrides: Sequence[str] = ()) -> ConfigError:
    """Return Hydra's or OmegaConf's many-line error as ours: one line, with the nearest right name."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if match := re.search(r"Could not find '([^']+)/([^'/]*)'", text):
        group, option = match[1], match[2]
        if group in ("hydra/launcher", "hydra/sweeper") and option in _PLUGINS:
            extra = option.partition("_")[0]
            return ConfigError(f"{group}: {option} is not installed", hint=f"pip install 'ftbuild[{extra}]'")
        return ConfigError(f"{group}: there is no option {option!r}; {nearest(option, options(group))}")
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1].partition("@")[0]
        known = sorted(groups()) if "No match in the defaults list" in text else []
        where = "command line" if any(o.lstrip("+~").startswith(key) for o in overrides) else "a recipe's defaults"
        return ConfigError(f"{key} ({where}): nothing here to override; {nearest(key, known) if known else cause}")
    if match := re.search(r"full_key: (\S+)", text):
        from ftbuild.locate import locate

        where = locate(match[1], choices or {}, overrides)
        return ConfigError(f"{where}: {match[1]}: {text.splitlines()[0].strip()}")
    lines = [line.strip() for line in f"{text}\n{cause}".splitlines() if line.strip()]
    hint = "a value with commas, spaces, # or quotes belongs in a YAML file" if "Override" in type(error).__name__ else ""
    return ConfigError("; ".join(dict.fromkeys(lines)), hint=hint)


def _not_yaml(error: Any) -> ConfigError:
    """Return a YAML error as ours: the file and line, and what the reader stumbled over."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{paths.shown(Path(mark.name))}:{mark.line + 1}" if mark else str(getattr(error, "name", "a recipe"))
    said = getattr(error, "problem", "") or getattr(error, "reason", "") or str(error).partition("\n")[0]
    return ConfigError(f"{where}: not YAML: {said}", hint="a value with : # { [ ? or quotes in it goes into double quotes")


def shipped(path: Path) -> bool:
    """Say whether a configuration file is one of ours rather than the user's."""
    return paths.SHIPPED_CONF in path.parents


@dataclass(frozen=True)
class Build:
    """A recipe, how to build it, where its results go, and where everything is kept.

    `overrides` are the words of the command line; `job` is set for a job of a sweep.
    """

    recipe: Recipe
    options: Options
    store: Store
    folder: Path
    overrides: tuple[str, ...] = ()
    job: Job | None = None

    @property
    def lock(self) -> Path | None:
        """The lock file, unless there is to be none.  The jobs of a sweep are trials, and leave it alone."""
        return Path(self.options.lock) if self.options.lock and self.job is None else None


def build_from(cfg: DictConfig) -> Build:
    """Return the composed configuration as a build: the checked recipe and options, and where everything lies."""
    from hydra.core.hydra_config import HydraConfig

    from ftbuild.store import Store
    from ftbuild.sweep import job_of

    recipe = recipe_from(cfg)
    overrides = tuple(HydraConfig.get().overrides.task)
    problems: list[Problem] = []
    options = build(Options, {name: _plain(cfg, name) for name in Options.__dataclass_fields__ if name in cfg}, problems)
    if problems:
        raise ConfigError(*(f"command line: {p}" for p in problems))
    folder, job = Path(str(cfg.builds)) / recipe.name, job_of(HydraConfig.get())
    return Build(recipe, options, Store(Path(str(cfg.store))), job.folder(folder) if job else folder, overrides, job)


def _plain(cfg: DictConfig, name: str) -> Any:
    from omegaconf import OmegaConf

    value = cfg[name]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def described_recipes() -> list[tuple[str, str, str]]:
    """Return name, file and first comment of every recipe; the user's come before ours of the same name."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder in paths.conf_folders():
        for file in sorted((folder / "recipe").glob("*.yaml")):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            comments = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
            shown = "shipped" if shipped(file) else paths.shown(file)
            found.setdefault(file.stem, (file.stem, shown, comments[0] if comments else ""))
    return sorted(found.values())
