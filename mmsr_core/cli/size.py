"""Sizes as people write them."""

import re

import click

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def size(text: str) -> int:
    """Bytes of 800M, 1.5G or 2GiB; K, M and G are powers of 1024. BadParameter for what is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f'"{text}" is not a size; write it as 800M or 2G')
    return int(float(match[1]) * _UNITS[match[2].upper()])
