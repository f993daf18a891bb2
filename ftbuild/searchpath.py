"""Hydra's search path with the user's own `./conf` before ours, so that theirs may add to it and shadow it."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin


class UserConf(SearchPathPlugin):
    """Put `./conf` of the working directory in front of the shipped one."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder, if there is one."""
        own = Path.cwd() / "conf"
        if own.is_dir():
            search_path.prepend("user", f"file://{own}", SearchPathQuery(provider="main"))
