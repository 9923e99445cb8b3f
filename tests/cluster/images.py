"""The project's images: what each is made of, what it is called, and how it is built.

A tag is a hash of what the Dockerfile copies and builds on: an unchanged tree costs nothing, a changed one gets a new
tag, and a cluster can never run something older than what it was asked for.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import builders, paths, standins
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step

REGISTRY = "RAGOPS_TEST_REGISTRY"
KEPT_ARCHIVES = 3
TAG_LENGTH = 12


@dataclass(frozen=True)
class Recipe:
    """How one image is made. `base` is the image of the project that it builds on, if it does."""

    name: str
    dockerfile: str
    base: str = ""


@dataclass(frozen=True)
class Image:
    """A built image: the name to run it by, and the archive to load it from."""

    name: str
    reference: str
    archive: Path


RECIPES: tuple[Recipe, ...] = (
    Recipe("rag-operator", "Dockerfile.operator"),
    Recipe("rag-runtime", "Dockerfile.runtime"),
    Recipe("qdrant-test", "tests/qdrant_server/Dockerfile", base="rag-runtime"),
)
NAMES = tuple(recipe.name for recipe in RECIPES)


def build(names: Iterable[str] = NAMES) -> dict[str, Image]:
    """The images of those names, building what this tree does not have yet."""
    return {name: build_one(recipe_of(name)) for name in names}


def build_one(recipe: Recipe, root: Path = paths.REPOSITORY, environ: Mapping[str, str] = os.environ) -> Image:
    for base in _bases_without_asking(recipe, root, environ):
        image = _image(recipe, base, root, environ)
        if image.archive.exists():
            return image
    base = _base(recipe, root, environ)
    image = _image(recipe, base, root, environ)
    if not image.archive.exists():
        with step(f"building the image {image.reference}"):
            builders.build(image.reference, image.archive, root / recipe.dockerfile, root, base)
        forget_old(image)
    return image


def recipe_of(name: str) -> Recipe:
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise ClusterError(f"no such image: {name} (there are {', '.join(NAMES)})")


def _bases_without_asking(recipe: Recipe, root: Path, environ: Mapping[str, str]) -> list[str]:
    """What the image may have been built on before; an empty word leaves it to the Dockerfile."""
    if recipe.base:
        return [build_one(recipe_of(recipe.base), root, environ).reference]
    return [environ[standins.OVERRIDE]] if environ.get(standins.OVERRIDE) else ["", standins.PYTHON_BASE]


def _base(recipe: Recipe, root: Path, environ: Mapping[str, str]) -> str:
    candidates = _bases_without_asking(recipe, root, environ)
    if len(candidates) == 1 or builders.can_pull(default_base((root / recipe.dockerfile).read_text())):
        return candidates[0]
    standins.ensure_python_base()
    return standins.PYTHON_BASE


def _image(recipe: Recipe, base: str, root: Path, environ: Mapping[str, str]) -> Image:
    tag = tag_of(root / recipe.dockerfile, root, base)
    prefix = environ.get(REGISTRY) or "localhost"
    archive = paths.images_folder() / f"{recipe.name}-{tag}.tar"
    return Image(recipe.name, f"{prefix.rstrip('/')}/{recipe.name}:{tag}", archive)


def copied(dockerfile: str) -> list[str]:
    """The paths that a Dockerfile copies from its context, as it names them."""
    joined = dockerfile.replace("\\\n", " ")
    lines = re.findall(r"^(?:COPY|ADD)\s+(.*)$", joined, re.MULTILINE | re.IGNORECASE)
    words = [line.split() for line in lines if "--from=" not in line]
    return sorted({word for line in words for word in line[:-1] if not word.startswith("--")})


def default_base(dockerfile: str) -> str:
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    return found.group(1) if found else ""


def tag_of(dockerfile: Path, root: Path, base: str) -> str:
    """A hash over the Dockerfile, every file it copies with its permission to run, and the base it builds on."""
    digest = hashlib.sha256(base.encode())
    for file in [dockerfile, *_files(root, copied(dockerfile.read_text()))]:
        runs = os.access(file, os.X_OK)
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"\n{file.relative_to(root)} {runs} {content}".encode())
    return digest.hexdigest()[:TAG_LENGTH]


def _files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = root / name
        if not path.exists():
            raise ClusterError(f"a Dockerfile copies {name}, which is not there")
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def forget_old(newest: Image) -> None:
    """Keep a few archives of an image, for whoever goes back and forth between two states of the tree."""
    archives = sorted(newest.archive.parent.glob(f"{newest.name}-*.tar"), key=lambda file: file.stat().st_mtime)
    for archive in archives[:-KEPT_ARCHIVES]:
        archive.unlink()
        repository = newest.reference.rpartition(":")[0]
        builders.forget(f"{repository}:{archive.stem.removeprefix(newest.name + '-')}")
