"""placeholder"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    name: str
