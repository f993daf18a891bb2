"""From tokens to text, a token at a time: whole characters only, cut exactly before the first stop string.

In: the bytes of each token.  Out: text that may be shown, never taken back: what could still turn out to be the beginning of
a stop string, or of a character of several bytes, is held until it is decided.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any


def token_bytes(tokenizer: Any, words: int) -> list[bytes] | None:
    """Return the bytes of every token, if the tokenizer writes each byte as a character of its own; otherwise None.

    Source: the byte-level alphabet of GPT-2 (Radford et al., 2019): visible characters stand for themselves, others follow 255.
    """
    from tokenizers import decoders

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.decoder, decoders.ByteLevel):
        return None
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    alphabet = {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
    told = [b""] * words
    added = backend.get_added_tokens_decoder()
    for text, token in backend.get_vocab(with_added_tokens=True).items():
        if token < words:
            plain = token in added or any(letter not in alphabet for letter in text)
            told[token] = text.encode() if plain else bytes(alphabet[letter] for letter in text)
    return told


class Writing:
    """A text that grows by tokens.

    `text` is what was written so far, cut at a stop string once `stopped`; `starts` holds where each token's text begins.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.text = ""
        self.starts: list[int] = []
        self.stopped = False
        self._stops = [s for s in stops if s]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._shown = 0

    def add(self, token: bytes) -> None:
        """Write a token's bytes, unless the text has stopped."""
        self.starts.append(len(self.text))
        self._write(self._decoder.decode(token))

    def end(self) -> None:
        """Say that there are no more tokens; half a character becomes a replacement character."""
        if not self.stopped:
            self._write(self._decoder.decode(b"", final=True))
        self._stops = []

    def show(self) -> str:
        """Return what may be shown and was not returned before."""
        upto = len(self.text) if self.stopped else len(self.text) - self._undecided()
        piece, self._shown = self.text[self._shown : upto], max(upto, self._shown)
        return piece

    def _write(self, new: str) -> None:
        if self.stopped or not new:
            return
        before = len(self.text)
        self.text += new
        places = [(self.text.find(s, max(0, before - len(s) + 1)), s) for s in self._stops]
        found = [at for at, _ in places if at >= 0]
        if found:
            self.stopped = True
            self.text = self.text[: min(found)]

    def _undecided(self) -> int:
        """Return how many of the last characters may be the beginning of a stop string."""
        most = max((len(s) - 1 for s in self._stops), default=0)
        for count in range(min(most, len(self.text)), 0, -1):
            if any(s.startswith(self.text[-count:]) for s in self._stops):
                return count
        return 0
