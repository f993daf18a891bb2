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
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "ascii": "cp1252",
          "us-ascii": "cp1252", "shift_jis": "cp932", "shift-jis": "cp932", "big5": "big5hkscs", "euc-kr": "cp949"}  # fmt: skip
"""Names that files give, and the larger set that is meant, as browsers take them.  Source: the WHATWG's Encoding Standard."""

_MARKS_OF_TEXT = "。，、！？：；「」『』《》"
_CHINESE = (
    "的一是不了在人有我他这這中大来來上国國个個到说說们們为為子和你地出道也时時年得就那要下以生会會自着去之过過家学學对對可里裡后後小么麼"
    "心多天而能好都然没沒日于於起还還发發成事只作当當想看文无無开開手十用主行方又如前所本见見经經头頭面公同三已老从從动動两兩长長"
)
_COMMON = {
    "gb18030": re.compile(f"[{_CHINESE}{_MARKS_OF_TEXT}]"),
    "big5hkscs": re.compile(f"[{_CHINESE}{_MARKS_OF_TEXT}]"),
    "cp932": re.compile(f"[\u3041-\u30ff{_MARKS_OF_TEXT}]"),
    "euc_jp": re.compile(f"[\u3041-\u30ff{_MARKS_OF_TEXT}]"),
    "cp949": re.compile("[이다는의에을를가고하지은도로한기사리시자어나정일대라인아서해그수보전과부제있것니요들만면으]"),
}
"""What much of a text is made of in the languages of an encoding, and what hardly comes of bytes of another one."""

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
    for encoding, common in _COMMON.items():
        if (text := _fits(data, encoding)) is not None:
            wide = [c for c in text[:_SAMPLE] if ord(c) > 0x7F]  # noqa: PLR2004
            odd = sum(0xE000 <= ord(c) <= 0xF8FF or 0xFF61 <= ord(c) <= 0xFF9F for c in wide)  # private use, half-width  # noqa: PLR2004
            scores[encoding] = (len(common.findall(text[:_SAMPLE])) - 2 * odd) / max(1, len(wide))
    best = max(scores, key=lambda e: scores[e], default="")
    if best and scores[best] > 0.15:  # noqa: PLR2004 - a fifth of running text is among the hundred most common
        return best
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return ""

    for match in from_bytes(data[:_SAMPLE] if len(data) > _SAMPLE else data):
        if _fits(data, match.encoding) is not None:
            return match.encoding
    return ""


def _ends(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
