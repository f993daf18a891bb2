"""Hydra at work: composing a configuration, once for a build, or once a job for a sweep; and its errors in our words.

In: the arguments as Hydra wants them.  Out: calls of a function with what they are composed into, or a `ConfigError`.

One build is composed with Hydra's compose API: `hydra.main` composes everything twice to find out what it has been told
already.  Sweeps, and Hydra's own flags, go through `hydra.main`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbuild import paths
from ftbuild.errors import ConfigError, FtbuildError, Interrupted
from ftbuild.memo import Composed
from ftbuild.schema import nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

_PLUGINS = frozenset({"joblib", "submitit_local", "submitit_slurm", "optuna"})


def run_hydra(function: Callable[[Composed], Any], arguments: Sequence[str], kept: Composed | None = None) -> None:
    """Compose with Hydra, unless `kept` says what would come of it, and call `function` with the result.

    In a sweep, that is once a job; it goes on after an FtbuildError, of which `function` itself has to tell.
    Raises ConfigError for whatever Hydra refuses, and whatever `function` raises.
    """
    if kept:
        function(kept)
        return
    with _in_our_words(arguments):
        _register()
        if sweeps(arguments) or any(a.startswith("-") for a in arguments):
            _app(function, arguments)
        else:
            _once(function, arguments)


def _register() -> None:
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    from ftbuild.searchpath import UserConf

    if UserConf not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(UserConf)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions come here instead of being printed


def _once(function: Callable[[Composed], Any], overrides: Sequence[str]) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    with initialize_config_dir(version_base="1.3", config_dir=str(paths.SHIPPED_CONF), job_name="ftbuild"):
        cfg = compose("config", list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        try:
            composed = _composed(cfg)
        finally:
            HydraConfig.instance().cfg = None
    try:
        function(composed)
    except Exception as error:
        raise _Failed(error) from error


def _composed(cfg: DictConfig) -> Composed:
    """Return a composed configuration as plain data.  ConfigError for an interpolation that leads nowhere."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    hydra = HydraConfig.get()
    choices = {str(k): v for k, v in hydra.runtime.choices.items()}
    overrides = tuple(hydra.overrides.task)
    number = int(hydra.job.num) if hydra.mode == RunMode.MULTIRUN else None
    try:
        data = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise translated(error, choices, overrides) from error
    assert isinstance(data, dict)
    return Composed({str(k): v for k, v in data.items()}, choices, overrides, number)


class _Failed(BaseException):
    """Carries an exception of the build past what translates Hydra's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _app(function: Callable[[Composed], Any], arguments: Sequence[str]) -> None:
    import hydra

    many, failed = sweeps(arguments), list[Exception]()

    def job(cfg: DictConfig) -> Any:
        try:
            return function(_composed(cfg))
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

    saved, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(paths.SHIPPED_CONF), config_name="config")(job)()
    except FtbuildError:  # of a job; it was told when it happened
        pass
    finally:
        sys.argv = saved
    if failed:
        raise _Failed(failed[0])


@contextmanager
def _in_our_words(arguments: Sequence[str]) -> Iterator[None]:
    """Turn whatever Hydra raises into ConfigErrors, and let the build's own errors pass."""
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except _Failed as failed:
        raise failed.error from failed.error.__cause__
    except yaml.YAMLError as error:
        raise _not_yaml(error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"a configuration file is not UTF-8: {error.reason}", hint="save it as UTF-8") from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # `train=3` is a ValueError
        raise translated(error, overrides=arguments) from error


def _samples() -> bool:
    """Say whether the sweep that this is a job of chooses its jobs by how others ended, rather than doing all of them."""
    from hydra.core.hydra_config import HydraConfig

    return "BasicSweeper" not in str(HydraConfig.get().sweeper.get("_target_", ""))


def sweeps(arguments: Sequence[str]) -> bool:
    """Say whether a command line asks for a sweep: by a flag, or by naming one."""
    return bool({"-m", "--multirun"} & set(arguments)) or any(a.lstrip("+").startswith("sweep=") for a in arguments)


def translated(error: Exception, choices: dict[str, Any] | None = None, overrides: Sequence[str] = ()) -> ConfigError:
    """Return Hydra's or OmegaConf's many-line error as ours: one line, with the nearest right name."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if match := re.search(r"Could not find '([^']+)/([^'/]*)'", text):
        group, option = match[1], match[2]
        if group in ("hydra/launcher", "hydra/sweeper") and option in _PLUGINS:
            extra = option.partition("_")[0]
            return ConfigError(f"{group}: {option} is not installed", hint=f"pip install 'ftbuild[{extra}]'")
        return ConfigError(f"{group}: there is no option {option!r}; {nearest(option, paths.options(group))}")
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match[1].partition("@")[0]
        known = sorted(paths.groups()) if "No match in the defaults list" in text else []
        where = "command line" if any(o.lstrip("+~").startswith(key) for o in overrides) else "a recipe's defaults"
        return ConfigError(f"{key} ({where}): nothing here to override; {nearest(key, known) if known else cause}")
    if match := re.search(r"full_key: (\S+)", text):
        from ftbuild.locate import locate

        where = locate(match[1], choices or {}, overrides)
        if missing := re.search(r"Missing mandatory value: (\S+)", text):
            return ConfigError(
                f"{where}: {missing[1]} has to be said", hint=f"add {missing[1]}=… to the command line or the recipe"
            )
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
