"""What a provider says about its limits, read from the headers of its answers.

In: response headers, in lower case.  Out: seconds to wait.  Sources: RFC 9110 for `Retry-After`, OpenAI's guide to rate limits
for `retry-after-ms` and the `x-ratelimit-*` headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)?")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_KINDS = ("requests", "tokens")


def duration(text: str) -> float | None:
    """Return a duration such as `6m0s`, `1s`, `20ms` or `1h2m3.5s` in seconds, a bare number as seconds, or None."""
    text = text.strip().lower()
    parts = list(_PART.finditer(text))
    if not parts or "".join(p[0] for p in parts) != text or (len(parts) > 1 and not all(p[2] for p in parts)):
        return None
    return sum(float(p[1]) * _UNITS[p[2] or "s"] for p in parts)


def until_date(text: str, now: datetime) -> float | None:
    """Return the seconds until an HTTP or an ISO date, at least 0, or None if it is none."""
    from email.utils import parsedate_to_datetime

    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text.strip())
        except (ValueError, TypeError, IndexError):
            continue
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp())
    return None


def told_to_wait(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return how many seconds a refusal says to wait, or None if it does not say."""
    now = now or datetime.now(UTC)
    if (text := headers.get("retry-after-ms")) and (milliseconds := duration(text)) is not None:
        return milliseconds / 1000 if text.strip()[-1:].isdigit() else milliseconds
    if text := headers.get("retry-after"):
        seconds = duration(text)
        seconds = until_date(text, now) if seconds is None else seconds
        if seconds is not None:
            return seconds
    return used_up(headers, now)


def used_up(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return how many seconds it takes until what is used up, requests or tokens, is there again; None if nothing is."""
    found = []
    for kind in _KINDS:
        left = headers.get(f"x-ratelimit-remaining-{kind}", "").strip()
        reset = headers.get(f"x-ratelimit-reset-{kind}", "")
        if re.fullmatch(r"-?\d+(\.\d+)?", left) and float(left) <= 0 and reset:
            seconds = duration(reset)
            if seconds is None or seconds > _A_MOMENT_IN_TIME:
                seconds = until_date(reset, now or datetime.now(UTC)) if seconds is None else None
            if seconds is not None:
                found.append(seconds)
    return max(found, default=None)


_A_MOMENT_IN_TIME = 1e8  # a bare number above this counts the seconds since 1970, which some say instead
