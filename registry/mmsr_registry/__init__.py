"""Named, versioned bundles on disk, and the shelf of those that ship with the package."""

from mmsr_registry.registry import Model, Registry

__all__ = ["Model", "Registry"]
