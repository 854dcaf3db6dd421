"""What the tasks on a cluster tell, kept until the driver asks."""


class Inbox:
    """A Ray actor beside the driver; alone in its module, so that its process starts quickly."""

    def __init__(self) -> None:
        self._told: list[tuple[str, int, int]] = []

    def tell(self, what: str, done: int, total: int) -> None:
        """Keep a report."""
        self._told.append((what, done, total))

    def take(self) -> list[tuple[str, int, int]]:
        """The reports since the last call."""
        told, self._told = self._told, []
        return told
