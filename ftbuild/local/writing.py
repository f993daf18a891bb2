"""From tokens to text, a token at a time: whole characters only, cut exactly before the first stop string.

In: the bytes of each token.  Out: text that may be shown, never taken back: what could still turn out to be the beginning of
a stop string, or of a character of several bytes, is held until it is decided.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


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
