"""How a build is run, as against what it makes: none of this is part of any key.

until=STAGE          build no further than this stage
force=[STAGE, …]     run these stages again, whatever the store holds
check=rebuild        run what is finished a second time, and name what differs
offline=true         send no request; what is not in the store is an error
locked=true          refuse whatever would change the lock file
lock_timeout=SECONDS how long to wait for another build that is at the same work
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """The options of one build, as they stand beside the recipe on the command line."""

    until: str | None = None
    force: tuple[str, ...] = ()
    check: Literal["rebuild"] | None = None
    offline: bool = False
    locked: bool = False
    lock: str | None = "ftbuild.lock"
    lock_timeout: float = 86400.0
