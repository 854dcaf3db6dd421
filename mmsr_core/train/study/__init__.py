"""Comparing routers on a finished run."""
