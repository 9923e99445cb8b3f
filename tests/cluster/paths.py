"""Where things are kept between runs. Everything here may be deleted at any time no cluster runs."""

import os
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ragops"


def binaries_folder(version_key: str) -> Path:
    return cache_folder() / "bin" / version_key


def images_folder() -> Path:
    return cache_folder() / "images"


def clusters_folder() -> Path:
    return cache_folder() / "clusters"


def toolchain_folder(version: str) -> Path:
    return cache_folder() / f"go-{version}"
