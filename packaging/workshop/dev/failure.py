"""The one exception that ./dev turns into words: what is wrong, and what to do next."""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 (it is no error of the program)
    """A verb cannot go on. `hint` is what to do next."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
