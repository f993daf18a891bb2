"""Functions for templates whose text is worked out rather than copied: measures, numbers, dates.

Each takes a template's parameters and the table of the language, and returns text.  Source of the units' factors: the SI
brochure and NIST Special Publication 811; of the
number of digits: Wikipedia's Module:Convert, whose default rounding it follows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ftbuild.wikitext.options import PIPE

if TYPE_CHECKING:
    from ftbuild.wikitext.tables import Table

Params = Mapping[str, str]

_NUMBER = re.compile(r"[-−+]?[\d,]+(?:\.\d+)?")
_RANGES = {
    "-": "–", "–": "–", "to": " to ", "to(-)": "–", "and": " and ", "&": " and ", "and(-)": " and ", "x": " × ", "×": " × ",
    "by": " by ", "*": "×", "or": " or ", "+/-": " ± ", "±": " ± ",
}  # fmt: skip


def convert(params: Params, table: Table) -> str:
    """Return a measure with its unit and, where both units are known, what that is in the other: `5 km (3.1 mi)`."""
    parts = [params.get(str(n), "").strip() for n in range(1, 10)]
    numbers, separators = [parts[0]], list[str]()
    rest = parts[1:]
    while len(rest) > 1 and rest[0] in _RANGES and rest[1]:
        separators.append(_RANGES[rest[0]])
        numbers.append(rest[1])
        rest = rest[2:]
    unit, target = rest[0], rest[1] if len(rest) > 1 else ""
    if not unit:
        return parts[0]
    short = params.get("abbr", "") in ("on", "~")
    known = table.units.get(unit)
    shown = _joined([_pretty(n, table) for n in numbers], separators)
    if known is None:
        return f"{shown} {unit}"
    linked = _named(known, numbers[-1], short=short or params.get("abbr") == "in", us=params.get("sp") == "us")
    if params.get("adj") == "on" and not short:
        first = f"{shown}-{_named(known, '1', short=False, us=params.get('sp') == 'us')}"
    else:
        first = f"{shown} {linked}"
    other = table.units.get(target or known.get("into", ""))
    if other is None or params.get("disp") in ("unit", "number", "output only", "out") or not all(map(_value_known, numbers)):
        return first
    digits = rest[2] if len(rest) > 2 else ""  # noqa: PLR2004
    values = [_converted(n, known, other, digits, params.get("sigfig", ""), table) for n in numbers]
    symbol = _named(other, values[-1], short=params.get("abbr") != "off", us=params.get("sp") == "us")
    second = f"{_joined(values, separators)} {symbol}"
    if params.get("order") == "flip":
        return f"{second} ({shown} {known.get('symbol', unit)})"
    return f"{first}; {second}" if params.get("disp") == "or" else f"{first} ({second})"


def cvt(params: Params, table: Table) -> str:
    """Return a measure as `convert` does, with the units' symbols."""
    return convert({"abbr": "on", **params}, table)


def fraction(params: Params, table: Table) -> str:
    """Return a fraction: `{{frac|1|2}}` as 1/2, `{{frac|3|1|2}}` as 3 1/2, `{{frac|8}}` as 1/8."""
    del table
    parts = [params[n] for n in ("1", "2", "3") if params.get(n)]
    if len(parts) < 2:  # noqa: PLR2004
        return f"1/{parts[0]}" if parts else ""
    return f"{' '.join(parts[:-1])}/{parts[-1]}"


def _value_known(number: str) -> bool:
    return _NUMBER.fullmatch(number) is not None and len(number) < 30  # noqa: PLR2004


def _joined(values: list[str], separators: list[str]) -> str:
    return values[0] + "".join(s + v for s, v in zip(separators, values[1:], strict=True))


def _named(unit: Mapping[str, str], number: str, *, short: bool, us: bool) -> str:
    if short or "name" not in unit:
        return unit.get("symbol", "")
    one = number.replace(",", "") in ("1", "-1", "1.0")
    name = unit["name"] if one else unit.get("plural", unit["name"] + "s")
    return name.replace("metre", "meter").replace("litre", "liter") if us else name


def _float(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))


def _converted(number: str, unit: Mapping[str, str], into: Mapping[str, str], digits: str, figures: str, table: Table) -> str:
    value, factor = _float(number), float(unit["factor"]) / float(into["factor"])
    result = (value + float(unit.get("zero", 0))) * factor - float(into.get("zero", 0))
    try:
        places = int(digits)
    except ValueError:
        places = _places(number, value, result, factor, figures, offset="zero" in unit or "zero" in into)
    places = max(-12, min(12, places))
    rounded = math.floor(abs(result) * 10**places + 0.5) / 10**places
    text = f"{rounded:,.{max(0, places)}f}"
    return ("−" if result < 0 and rounded else "") + _separated(text, table)


def _places(number: str, value: float, result: float, factor: float, figures: str, *, offset: bool) -> int:
    """Return to how many decimal places Module:Convert rounds when it is not told."""
    plain = number.replace(",", "").lstrip("-−+")
    if figures.isdecimal() and result:
        return int(figures) - 1 - math.floor(math.log10(abs(result)))
    whole, _, decimals = plain.partition(".")
    given = len(decimals) if decimals else -(len(whole) - len(whole.rstrip("0"))) if whole.strip("0") else 0
    if offset:
        return max(0, given)
    adjusted = given + math.floor(-math.log10(factor) + 0.5) if factor else given
    if value and result:
        return max(adjusted, 1 - math.floor(math.log10(abs(result))))
    return adjusted


def _pretty(number: str, table: Table) -> str:
    if not _value_known(number):
        return number
    whole, dot, decimals = number.replace(",", "").partition(".")
    sign = "−" if whole[:1] in "-−" else ""
    whole = whole.lstrip("-−+")
    return sign + _separated((f"{int(whole):,}" if len(whole) > 3 else whole) + dot + decimals, table)  # noqa: PLR2004


def _separated(text: str, table: Table) -> str:
    thousand, decimal = table.thousand, table.decimal
    return text.replace(",", "\0").replace(".", decimal).replace("\0", thousand) if (thousand, decimal) != (",", ".") else text


def number(params: Params, table: Table) -> str:
    """Return the first parameter with thousands set off, as `{{formatnum:…}}` does."""
    text = params.get("1", "").strip()
    if not _NUMBER.fullmatch(text) or len(text) > 30:  # noqa: PLR2004
        return text
    whole, dot, decimals = text.replace(",", "").partition(".")
    sign, whole = (whole[0], whole[1:]) if whole[:1] in "-−+" else ("", whole)
    return sign + _separated(f"{int(whole):,}{dot}{decimals}", table)


def choice(params: Params, table: Table) -> str:
    """Return what `{{#if:…|yes|no}}` shows."""
    del table
    return params.get("2" if params.get("1", "").strip() else "3", "").strip()


def ordinal(params: Params, table: Table) -> str:
    """Return 1st, 2nd, 3rd …."""
    del table
    text = params.get("1", "").strip()
    if not text.isdecimal():
        return text
    teen = text[-2:] in ("11", "12", "13")
    return text + ("th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th"))


def date(params: Params, table: Table) -> str:
    """Return a date given as year, month and day: `{{Start date|1969|7|20}}`."""
    year, month, day = (params.get(str(n), "").strip() for n in (1, 2, 3))
    names = table.months
    month = names[int(month) - 1] if month.isdecimal() and 1 <= int(month) <= len(names) else month
    if not month:
        return year
    if not day:
        return f"{month} {year}"
    late = params.get("df", "") in ("y", "yes") or table.day_first
    return f"{day.lstrip('0')} {month} {year}" if late else f"{month} {day.lstrip('0')}, {year}"


def lower(params: Params, table: Table) -> str:
    """Return the first parameter in small letters."""
    del table
    return params.get("1", "").lower()


def upper(params: Params, table: Table) -> str:
    """Return the first parameter in capitals."""
    del table
    return params.get("1", "").upper()


def last(params: Params, table: Table) -> str:
    """Return the last unnamed parameter that is not empty."""
    del table
    numbered = sorted((int(n) for n in params if n.isascii() and n.isdigit() and len(n) < 6), reverse=True)  # noqa: PLR2004
    return next((params[str(n)] for n in numbered if params[str(n)].strip()), "")


def title(params: Params, table: Table) -> str:
    """Return the title of the document."""
    del table
    return params.get("{title}", "")


def pipe(params: Params, table: Table) -> str:
    """Return a `|` that separates nothing."""
    del params, table
    return PIPE


_SAID = {"": "{} pronunciation: ", "lang": "{}: ", "pron": "pronounced ", "local": "locally ", "label": "", "-": ""}
_LABELS = frozenset(
    ("lang", "pron", "local", "us", "uk", "also", "audio", "ipa", "usalso", "ukalso", "and", "or", "icon", "audios")
)
_LONG = {
    "ɑr": "ɑːr",
    "ɔr": "ɔːr",
    "ɜr": "ɜːr",
    "i": "i",
    "ii": "iː",
    "uu": "uː",
    "aː": "ɑː",
    "er": "ɛər",
    "or": "ɔːr",
    "ar": "ɑːr",
}


def ipa(params: Params, table: Table) -> str:
    """Return a pronunciation with what introduces it: `{{IPA-de|bɛʁˈliːn|lang}}`."""
    sound = params.get("1", "").strip().strip("[]/")
    language = table.languages.get(params.get("~", ""), "")
    said = _SAID.get(params.get("2", "").strip().lower(), "")
    return f"{said.format(language) if language or '{' not in said else ''}[{sound}]" if sound else ""


def sound(params: Params, table: Table) -> str:
    """Return a pronunciation in the brackets of phonetic writing."""
    del table
    text = params.get("1", "").strip()
    return text if text[:1] in ("[", "/", "") else f"[{text}]"


def sounds(params: Params, table: Table) -> str:
    """Return an English pronunciation given sound by sound: `{{IPAc-en|ˈ|ɑr|d|v|ɑr|k}}`."""
    del table
    parts = [params.get(str(n), "") for n in range(1, 60)]
    kept = [
        _LONG.get(p, " " if p == "_" else p)
        for p in parts
        if p.lower() not in _LABELS and "." not in p[1:] and not p.startswith("lang")
    ]
    return f"/{''.join(kept)}/" if "".join(kept) else ""


def respelled(params: Params, table: Table) -> str:
    """Return a pronunciation in common letters: `{{respell|ARD|vark}}`."""
    del table
    parts = [params.get(str(n), "") for n in range(1, 40)]
    return "-".join(p for p in parts if p).replace("-_-", " ").replace("_", " ").replace("-,-", ", ")


def quantity(params: Params, table: Table) -> str:
    """Return a number with units and their exponents: `{{unité|814|km|2}}`."""
    text = number(params, table)
    parts = [params.get(str(n), "").strip() for n in range(2, 10)]
    units = [
        unit + (exponent if exponent not in ("", "1") else "") for unit, exponent in zip(parts[::2], parts[1::2], strict=True)
    ]
    shown = "⋅".join(u for u in units if u)
    return f"{text} {shown}" if shown else text


FUNCTIONS: dict[str, Callable[[Params, Table], str]] = {
    f.__name__: f
    for f in (
        convert,
        cvt,
        fraction,
        number,
        choice,
        ordinal,
        date,
        lower,
        upper,
        last,
        title,
        pipe,
        ipa,
        sound,
        sounds,
        respelled,
        quantity,
    )
}
"""All functions by the name that a form calls them by."""
