"""Kubernetes quantities as numbers, for comparing them. Pure."""

from __future__ import annotations

import re
from decimal import Decimal

SUFFIXES = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}
SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


def parse(text: str) -> Decimal:
    """The value of `500m`, `2`, `1.5Gi` or `1e3`; ValueError for anything else."""
    found = SHAPE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no quantity: write it like 500m, 2 or 4Gi")
    number, suffix = found[1], found[2] or ""
    return Decimal(number) * SUFFIXES[suffix] if suffix in SUFFIXES else Decimal(number + suffix)
