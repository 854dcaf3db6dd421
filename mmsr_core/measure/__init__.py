"""Measuring: image quality, and quality against time."""
