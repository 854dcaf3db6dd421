"""Preparing tiles: photographs in, a store of scored, pruned tiles out."""
