"""The cleaning rule that takes out what tells who or where a person is: addresses, telephone and identity numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

from ftbuild.registries import RULES

What = Literal["email", "phone", "id", "card", "iban"]

_EMAIL_AT = re.compile(r"(?<=[\w.+%-])@(?=[\w-]{1,63}\.\w)")
_EMAIL_BEFORE = re.compile(r"[A-Za-z0-9_.+%'-]{1,64}$")
_EMAIL_AFTER = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}", re.ASCII)

_PHONE = re.compile(
    r"(?<![A-Za-z0-9_./-])(?:"
    r"(?:\+|00)[1-9]\d{0,2}[ .()/-]{0,2}(?:\d[ .()/-]{0,2}){6,12}\d"  # international
    r"|1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # a Chinese mobile
    r"|\(?0\d{2,3}\)?[ -]?\d{7,8}(?:-\d{1,5})?"  # a Chinese landline with its area code
    r"|[48]00[ -]\d{3,4}[ -]\d{3,4}"
    r"|(?:1[ .-])?\(\d{3}\)[ ]?\d{3}[ .-]\d{4}|(?:1[ .-])?\d{3}([.-])\d{3}\1\d{4}"  # North America
    r"|\(0\d{2,4}\)[ ]?\d{3,4}[ ]?\d{3,4}|0\d{3,4} \d{3} ?\d{3,4}"  # Britain and its neighbours
    r")(?![A-Za-z0-9_-]|[.]\d)"
)
_ID = re.compile(r"(?<![\dA-Za-z])(?:\d{6}(?:18|19|20)\d{9}[\dXx]|\d{3}-\d{2}-\d{4})(?![\dA-Za-z])")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d]|[.-]\d)")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@RULES("redact")
def redact(
    text: str,
    *,
    what: tuple[What, ...] = ("email", "phone", "id", "card", "iban"),
    marks: Mapping[str, str] = {},
) -> str:
    """Put a mark in the place of e-mail addresses, telephone numbers, identity numbers, card and account numbers.

    Numbers with a check digit (Chinese identity cards, cards, IBAN) are taken only if it is right.  `marks` says what stands
    there then, such as `{email: "(address)"}`; `[email]`, `[phone]` … unless it does.
    """
    rules: dict[str, Callable[[str, str], str]] = {
        "email": _emails,
        "iban": lambda t, mark: _IBAN.sub(lambda m: mark if _is_iban(m[0]) else m[0], t),
        "id": lambda t, mark: _ID.sub(lambda m: mark if _is_id(m[0]) else m[0], t),
        "card": lambda t, mark: _CARD.sub(lambda m: mark if _is_card(m[0]) else m[0], t),
        "phone": lambda t, mark: _PHONE.sub(lambda _: mark, t),
    }
    for name, rule in rules.items():
        if name in what:
            text = rule(text, marks.get(name, f"[{name}]"))
    return text


def _emails(text: str, mark: str) -> str:
    """Look around each `@` for an address; an expression for all of it would look from every letter of a long line."""
    kept, last = [], 0
    for at in _EMAIL_AT.finditer(text):
        if at.start() < last:
            continue
        before = _EMAIL_BEFORE.search(text, max(last, at.start() - 64), at.start())
        after = _EMAIL_AFTER.match(text, at.end())
        if before and after:
            kept += [text[last : before.start()], mark]
            last = after.end()
    return "".join([*kept, text[last:]])


def _is_id(number: str) -> bool:
    """Say whether this is a Chinese identity number whose check digit is right (GB 11643), or one of the form 123-45-6789."""
    if "-" in number:
        return not number.startswith(("000", "666", "9"))
    month, day = int(number[10:12]), int(number[12:14])
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return 1 <= month <= 12 and 1 <= day <= 31 and "10X98765432"[total % 11] == number[-1].upper()  # noqa: PLR2004


def _is_card(number: str) -> bool:
    """Say whether the last digit is right (Luhn), and not all of them are the same."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _is_iban(number: str) -> bool:
    """Say whether the check digits are right (ISO 13616)."""
    number = number.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
