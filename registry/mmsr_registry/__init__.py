"""Named, versioned bundles on disk, and the shelf of those that ship with the package.

`remote`, `index`, `download` and `archive` fetch others; who only looks up a name loads none of
them.
"""

from mmsr_registry.registry import Model, Registry

__all__ = ["Model", "Registry"]
