"""Codecs measured: rate and distortion of one of ours beside the standard ones."""
