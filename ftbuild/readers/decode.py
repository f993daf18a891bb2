"""Text of unknown encoding: what its first bytes say, what the file declares, UTF-8, and then what fits best."""

from __future__ import annotations

import codecs
import re

from ftbuild.errors import SourceError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252",
          "us-ascii": "cp1252", "shift_jis": "cp932", "shift-jis": "cp932", "big5": "big5hkscs", "euc-kr": "cp949"}  # fmt: skip
"""Names that files give, and the larger set that is meant, as browsers take them.  Source: the WHATWG's Encoding Standard."""

_EAST = ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949")
_COMMON = re.compile(
    "[的一是不了在人有我他这這個个上们們来來到时時大地为為子中你说說生国國年着就那和要她出也得里后後自以会會家可下而过過天去能对對小多然于於心学學么麼"
    "の-んァ-ヶーは가-힣이다。，、！？：；「」『』《》]"
)
_SAMPLE = 100_000


def decoded(data: bytes, name: str, *, declared: str = "", given: str = "") -> str:
    """Return bytes as text with line feeds as its line ends.

    `given` is the encoding that the recipe names, which must fit; `declared` is what the file or a server says, which is
    believed if it fits.  SourceError if nothing fits, or if this is no text.
    """
    if given:
        return _ends(_given(data, name, given))
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _ends(_given(data, name, encoding))
    if b"\0" in data[:_SAMPLE]:
        raise SourceError(f"{name}: is no text (it holds zero bytes)", hint="name its reader with reader: or readers:")
    for encoding in ("utf-8", _WIDER.get(declared.strip().lower(), declared.strip())):
        if encoding and (text := _fits(data, encoding)) is not None:
            return _ends(text)
    if best := _guessed(data):
        return _ends(data.decode(best, "strict"))
    raise SourceError(f"{name}: its encoding cannot be told", hint="name it with encoding:, or save the file as UTF-8")


def _given(data: bytes, name: str, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise SourceError(f"{name}: there is no encoding {encoding!r}") from error
    except UnicodeError as error:
        raise SourceError(f"{name}: is not {encoding} (byte {getattr(error, 'start', 0)})") from error


def _fits(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (LookupError, UnicodeError):
        return None


def _guessed(data: bytes) -> str:
    """Return the encoding that fits and gives the most common characters of its languages, or the library's best guess."""
    scores = {}
    for encoding in _EAST:
        if (text := _fits(data, encoding)) is not None:
            wide = [c for c in text[:_SAMPLE] if ord(c) > 0x7F]  # noqa: PLR2004
            odd = sum(0xE000 <= ord(c) <= 0xF8FF or 0xFF61 <= ord(c) <= 0xFF9F for c in wide)  # private use, half-width  # noqa: PLR2004
            scores[encoding] = (len(_COMMON.findall(text[:_SAMPLE])) - 2 * odd) / max(1, len(wide))
    best = max(scores, key=lambda e: scores[e], default="")
    if best and scores[best] > 0.15:  # noqa: PLR2004 - a fifth of running text is among the hundred most common
        return best
    from charset_normalizer import from_bytes

    for match in from_bytes(data[:_SAMPLE] if len(data) > _SAMPLE else data):
        if _fits(data, match.encoding) is not None:
            return match.encoding
    return ""


def _ends(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
