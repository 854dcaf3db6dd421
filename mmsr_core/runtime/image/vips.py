"""libvips, set up to work in one thread for each image, to keep nothing and to say nothing."""

import logging
import os
from functools import cache
from typing import Any


@cache
def libvips() -> Any:
    """The `pyvips` module. Imported at its first use: it is not for those who only ask for help."""
    # GLib's own lines about files go to stderr unless told otherwise before it loads.
    os.environ.setdefault("VIPS_WARNING", "0")
    import pyvips

    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    pyvips.cache_set_max(0)
    pyvips.vips_lib.vips_concurrency_set(1)
    return pyvips
