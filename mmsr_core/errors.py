"""What mmsr raises: one family, so that a caller catches `MmsrError` and shows one line.

A message says what was asked, what there is, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def one_line(text: str) -> str:
    """Text that may quote a stranger's file, without line breaks or terminal escapes."""
    return "".join(char if char.isprintable() else " " for char in text)


class MmsrError(Exception):
    """Anything the user can mend; the CLI prints it as one line and exits 1."""


class RecipeError(MmsrError):
    """A recipe, or the run directory made from it, is not usable as asked."""


class PluginError(MmsrError):
    """A component is missing, broken, claimed twice, or breaks its contract."""


class BundleError(MmsrError):
    """A bundle is missing, damaged, unsafe or newer than this mmsr."""


class ExportError(MmsrError):
    """A trained model can't become a graph, or its graph answers otherwise than it does."""


class DeviceError(MmsrError):
    """The asked device, or any ONNX Runtime at all, is not there."""


class ClusterError(MmsrError):
    """A Ray cluster, or a node of it, is not there or not as asked."""


class OutOfMemory(DeviceError):
    """A graph needed more memory than the device has: a smaller batch, or smaller tiles, may do."""


class NotFinite(BundleError):
    """A graph answered with a NaN or an infinity: its precision, or its weights, overflow."""


class ImageError(MmsrError):
    """An image can't be read or written."""


class VideoError(MmsrError):
    """A video can't be read or written."""


def no_such(kind: str, name: str, known: Iterable[str], place: str = "installed") -> str:
    """The message for a name that nothing answers to, with the nearest known name."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return f'no {kind} named "{name}"; {place}: {", ".join(names) or "none"}{hint}'
