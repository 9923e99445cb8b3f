"""A language model's words, as they come, to claims that cite: what cites nothing is given its source, or left out.

A claim is what a mark like [2] closes; marks are renumbered in order of appearance. Words that no mark follows in their
paragraph are looked for in the passages, sentence by sentence: found, they get the mark of that passage; else they are
dropped. So words come out a claim at a time, and what came out stands. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rag_runtime.domain import Citation, Hit
from rag_runtime.quoting import best_quote, to_citation, words

# Of an unmarked sentence's weight, a passage must hold this share to be what it rests on.
MIN_SUPPORT = 0.5
# "Yes." or "In short:" claims nothing alone: it goes with what follows.
MIN_CLAIM_WORDS = 4
MARK = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
MARKS = re.compile(rf"(?:[ \t]*{MARK.pattern})+")
# A claim is over when the next one has begun: a mark after its full stop still belongs to it.
CLAIM_END = re.compile(rf"(?:[ \t]*{MARK.pattern})+[.!?,;:…)\"'*]*(?=\s+[^\s\[])|\n(?=\s*[^\s\[])")
SENTENCE_END = re.compile(r"(?:(?<=\w{3})|(?<=[)\]\"'»”*]))[.!?…]+[)\"'»”*]*(?=\s)|[。！？]")  # noqa: RUF001 - full-width
LAST_SENTENCE = re.compile(r"[^.!?\n]*$")


class Claims:
    """Fed with words, it gives back those of finished claims, each citation before the first mark that names it."""

    def __init__(self, hits: Sequence[Hit]) -> None:
        self._hits = hits
        self._waiting = ""
        self._aside = ""
        self._numbers: dict[int, int] = {}
        self._said = False

    def feed(self, text: str) -> Iterator[str | Citation]:
        self._waiting += text
        while end := CLAIM_END.search(self._waiting):
            claim, self._waiting = self._waiting[: end.end()], self._waiting[end.end() :]
            yield from self._claim(claim)

    def finish(self) -> Iterator[str | Citation]:
        claim, self._waiting = self._waiting.rstrip(), ""
        yield from self._claim(claim)

    def _claim(self, text: str) -> Iterator[str | Citation]:
        if any(self._is_passage(number) for mark in MARK.finditer(text) for number in _numbers(mark)):
            yield from self._say(self._marked(text))
        else:
            for sentence in _sentences(MARKS.sub("", text)):
                yield from self._unmarked(sentence)

    def _marked(self, text: str) -> Iterator[str | Citation]:
        """Its words with our numbers for its marks."""
        begin = 0
        for mark in MARK.finditer(text):
            yield text[begin : mark.start()]
            passages = [number for number in dict.fromkeys(_numbers(mark)) if self._is_passage(number)]
            for passage in passages:
                yield from self._cite(passage, _claim_before(text, mark.start()))
            yield "".join(f"[{self._numbers[passage]}]" for passage in passages)
            begin = mark.end()
        yield text[begin:]

    def _unmarked(self, sentence: str) -> Iterator[str | Citation]:
        bare = sentence.rstrip()
        if bare.endswith(":") or len(words(bare)) < MIN_CLAIM_WORDS:
            self._aside += sentence
            return
        passage = self._support(bare)
        if passage is None:
            self._aside = ""
            return
        yield from self._say([*self._cite(passage, bare), f"{bare} [{self._numbers[passage]}]{sentence[len(bare) :]}"])

    def _support(self, sentence: str) -> int | None:
        """The number of the passage that says so, the earlier of two that say it as well."""
        quotes = [best_quote(sentence, hit) for hit in self._hits]
        best = max(range(len(quotes)), key=lambda number: quotes[number].coverage, default=None)
        return best + 1 if best is not None and quotes[best].coverage >= MIN_SUPPORT else None

    def _cite(self, passage: int, claim: str) -> Iterator[Citation]:
        if passage not in self._numbers:
            self._numbers[passage] = len(self._numbers) + 1
            yield to_citation(best_quote(claim, self._hits[passage - 1]))

    def _say(self, pieces: Iterator[str | Citation] | list[str | Citation]) -> Iterator[str | Citation]:
        """One text with its citations before it, after what waited to be said with it."""
        parts = list(pieces)
        yield from (part for part in parts if not isinstance(part, str))
        text = self._aside + "".join(part for part in parts if isinstance(part, str))
        self._aside = ""
        yield text if self._said else text.lstrip()
        self._said = True

    def _is_passage(self, number: int) -> bool:
        return 1 <= number <= len(self._hits)


def _numbers(mark: re.Match[str]) -> list[int]:
    return [int(part) for part in mark.group(1).split(",")]


def _sentences(text: str) -> Iterator[str]:
    """With the white space that follows them, so that together they are the text again."""
    begin = 0
    for end in SENTENCE_END.finditer(text):
        stop = end.end() + len(text[end.end() :]) - len(text[end.end() :].lstrip())
        yield text[begin:stop]
        begin = stop
    if text[begin:]:
        yield text[begin:]


def _claim_before(text: str, end: int) -> str:
    """The sentence that a mark closes, whether the mark stands before its full stop or after it."""
    before = MARKS.sub("", text[:end]).rstrip(" .!?")
    found = LAST_SENTENCE.search(before)
    return found.group() if found else before
