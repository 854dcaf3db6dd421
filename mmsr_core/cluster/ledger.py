"""How often work was begun on a cluster: what is lost with its process leaves no other trace."""

from collections import Counter

OPENING = -1
"""The number under which it is noted that a model is being opened."""


class Ledger:
    """A Ray actor beside the driver; alone in its module, so that its process starts quickly."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        """Note that an errand is begun; how often it was, this time included."""
        self._begun[number] += 1
        return self._begun[number]

    def end(self, number: int) -> None:
        """Note that it ended well."""
        del self._begun[number]
