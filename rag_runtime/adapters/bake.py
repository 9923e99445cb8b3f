"""Puts models into an image.

`python -m rag_runtime.adapters.bake --cache-dir /models bundled BAAI/bge-small-en-v1.5`
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rag_runtime.adapters import bundled
from rag_runtime.adapters.models import bake


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m rag_runtime.adapters.bake", description="Bake models.")
    parser.add_argument("--cache-dir", type=Path, required=True, help="what MODEL_CACHE_DIR will name")
    parser.add_argument("models", nargs="*", default=[bundled.NAME], help="names as fastembed knows them, or bundled")
    chosen = parser.parse_args(arguments)
    bake(chosen.models, chosen.cache_dir)


if __name__ == "__main__":
    main()
