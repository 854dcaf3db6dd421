"""Answers of different sizes end to end, and an output put together from them in one go."""

from mmsr_onnx.single.circuit import Wire

CORNER = 8
"""Pixels a side that stand in for an empty batch."""


class Pieces:
    """Answers cut into pieces one LR pixel wide, `scale` output pixels: the unit of stitching."""

    def __init__(self, scale: int, nothing: Wire) -> None:
        """`nothing` is a 0, int64 of shape (1,)."""
        self._scale, self._end = scale, nothing
        self._pieces: list[Wire] = []

    def add(self, answers: Wire, places: Wire) -> Wire:
        """Lay down answers (k,3,H,W); the number of each one's first piece, one per place.

        There may be more answers than places: nobody will ask for them.
        """
        pieces = answers.reshape(-1, self._scale)
        size = answers.size(2) * answers.size(3) * 3 // self._scale
        first = answers.circuit.count(places.size(0)) * size + self._end
        self._end = self._end + pieces.size(0)
        self._pieces.append(pieces)
        return first

    def take(self, places: Wire) -> Wire:
        """The pieces of these numbers, int32: (…) → (…,scale)."""
        circuit = places.circuit
        return circuit.join(self._pieces).take(places, 0)


def batch(windows: Wire, places: Wire) -> Wire:
    """The windows at `places`; a corner of the first where there are none.

    Runtimes disagree about batches of no image (ONNX Runtime's fastest convolutions refuse them).
    """
    count = places.size(0)
    chosen = windows.take(places.padded(1).slice(0, 0, count.at_least(1)), 0)
    for axis in (2, 3):
        length = windows.size(axis)
        chosen = chosen.slice(axis, 0, (count * length).at_least(CORNER).at_most(length))
    return chosen
