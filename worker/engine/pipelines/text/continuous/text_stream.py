"""The text of one row, token by token: whole characters only, and nothing that may become a stop string.

The tokens of a character, or of a word that the tokenizer joins, are decoded together with the ones before
them, as in vLLM's detokenizer: text is new if it follows that of the tokens before.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

Decode = Callable[[list[int]], str]

_UNFINISHED = "\ufffd"
"""At the end of a text: the token has only a part of a character."""

_PATIENCE = 32
"""After so many tokens without a whole character, as from a model that has lost its way, only every 16th is
decoded, because each costs all of them."""


@dataclass
class TextStream:
    """The text of a continuation as far as it is certain."""

    decode: Decode
    stops: Sequence[str] = ()
    held: AbstractSet[int] = frozenset()
    """Tokens that a later token may still change, such as single bytes."""
    whole: bool = False
    """Whether the tokenizer's text cannot be had in parts: it is complete at the end only."""
    tokens: list[int] = field(default_factory=list)
    stopped: bool = False
    """Whether a stop string has ended the text."""
    _shown: list[str] = field(default_factory=list)
    _waiting: str = ""
    """Text that may become a stop string."""
    _start: int = 0
    """The first token that is decoded with the next one."""
    _read: int = 0
    """Tokens whose text is known."""
    _before: str = ""
    """Text of the tokens from `_start` to `_read`."""

    def append(self, token: int) -> str:
        """Returns the text that is certain with this token."""
        self.tokens.append(token)
        if self.whole:
            self.stopped = bool(self.stops) and first_stop(self.decode(self.tokens), self.stops) is not None
            return ""
        pending = len(self.tokens) - self._read
        if token in self.held or (pending > _PATIENCE and pending % 16):
            return ""
        text = self.decode(self.tokens[self._start :])
        if len(text) <= len(self._before) or text.endswith(_UNFINISHED) or not text.startswith(self._before):
            return ""
        new = text[len(self._before) :]
        self._start, self._read = self._read, len(self.tokens)
        self._before = self.decode(self.tokens[self._start :])
        return self._show(new)

    def finish(self) -> str:
        """Returns what is left when the row has ended: with it, the parts are the text of all tokens."""
        text, shown = until_stop(self.decode(self.tokens), self.stops), "".join(self._shown)
        return text[len(shown) :] if text.startswith(shown) else ""

    def _show(self, new: str) -> str:
        text = self._waiting + new
        if not self.stops:
            certain = text
        elif (found := first_stop(text, self.stops)) is not None:
            certain, self.stopped = text[:found], True
        else:
            certain = text[: len(text) - _beginning(text, self.stops)]
        self._waiting = text[len(certain) :]
        self._shown.append(certain)
        return certain


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Returns where the first of the stop strings begins in the text."""
    found = [at for at in map(text.find, stops) if at >= 0]
    return min(found) if found else None


def until_stop(text: str, stops: Sequence[str]) -> str:
    """Returns the text before the first stop string."""
    return text[: first_stop(text, stops)]


def _beginning(text: str, stops: Sequence[str]) -> int:
    """Returns how many characters at the text's end are the beginning of a stop string, the most."""
    return max(
        (
            size
            for stop in stops
            for size in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:size])
        ),
        default=0,
    )
