"""Names of images follow their content, and Dockerfiles are built as they are."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster import builders, images, oci, paths, standins
from tests.cluster.errors import ClusterError, MissingPrerequisite

DOCKERFILE = """ARG BASE_IMAGE=registry.example/python:3@sha256:abc
FROM ${BASE_IMAGE} AS build
COPY one.txt two.txt /src/
COPY --chown=1:1 folder /src/folder
COPY --from=build /opt/ragops /opt/ragops
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    for name in ("one.txt", "two.txt", "folder/inner.py", "folder/__pycache__/inner.pyc", "unrelated.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def tag(tree: Path, base: str = "") -> str:
    return images.tag_of(tree / "Dockerfile", tree, base)


def test_what_counts_is_what_the_dockerfile_copies_from_its_context() -> None:
    assert images.copied(DOCKERFILE) == ["folder", "one.txt", "two.txt"]


def test_the_base_is_what_the_dockerfile_says() -> None:
    assert images.default_base(DOCKERFILE) == "registry.example/python:3@sha256:abc"


@pytest.mark.parametrize("name", ["one.txt", "folder/inner.py", "Dockerfile"])
def test_a_change_to_what_is_copied_changes_the_tag(tree: Path, name: str) -> None:
    before = tag(tree)
    (tree / name).write_text((tree / name).read_text() + "# changed\n")
    assert tag(tree) != before


@pytest.mark.parametrize("name", ["unrelated.txt", "folder/__pycache__/inner.pyc"])
def test_a_change_to_anything_else_does_not(tree: Path, name: str) -> None:
    before = tag(tree)
    (tree / name).write_text("changed")
    assert tag(tree) == before


def test_another_base_is_another_tag(tree: Path) -> None:
    assert tag(tree, "localhost/base:1") != tag(tree)


def test_a_file_that_is_copied_but_missing_is_named(tree: Path) -> None:
    (tree / "two.txt").unlink()
    with pytest.raises(ClusterError, match=r"two\.txt"):
        tag(tree)


def test_the_dockerfile_is_built_unchanged_and_only_its_base_is_given() -> None:
    words = builders.buildah_build("localhost/a:1", Path("Dockerfile"), Path(), "localhost/base:1", [])
    assert words[words.index("--build-arg") + 1] == "BASE_IMAGE=localhost/base:1"
    assert words[-3:] == ["--file", "Dockerfile", "."]


def test_without_a_stand_in_the_dockerfile_s_own_base_is_pulled() -> None:
    words = builders.buildah_build("localhost/a:1", Path("Dockerfile"), Path(), "", [])
    assert "--build-arg" not in words
    assert "--pull-never" not in words


def test_docker_gets_the_pip_settings_that_are_set_and_no_folder_of_this_machine() -> None:
    environ = {"PIP_INDEX_URL": "https://packages.example/simple", "PIP_FIND_LINKS": "/somewhere"}
    words = builders.docker_build("localhost/a:1", Path("Dockerfile"), Path(), "", environ)
    assert "--build-arg=PIP_INDEX_URL=https://packages.example/simple" in words
    assert not any("somewhere" in word for word in words)


def test_pip_in_a_build_is_told_what_this_environment_says() -> None:
    text = builders.pip_configuration({"PIP_INDEX_URL": "https://packages.example/simple"}, bundle=Path("/ca.crt"))
    assert text == "[global]\nindex-url = https://packages.example/simple\ncert = /ca.crt\n"


def test_a_stand_in_comes_from_the_archive_of_the_machine_s_own_release() -> None:
    targets = """https://mirror.example/security bookworm-security main
https://mirror.example/debian bookworm main
https://mirror.example/debian bookworm contrib
"""
    source = standins.choose_source(targets, "bookworm")
    assert source == standins.Source("https://mirror.example/debian", "bookworm", ("main",))


def test_a_machine_without_an_archive_of_its_release_is_told_what_to_do() -> None:
    with pytest.raises(MissingPrerequisite, match="RAGOPS_TEST_BASE_IMAGE"):
        standins.choose_source("https://mirror.example/debian trixie main", "bookworm")


def test_an_image_of_one_program_is_a_whole_archive(tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(b"binary")
    archive = tmp_path / "image.tar"
    oci.write_single_file_image(archive, "localhost/a:1", tmp_path / "program", entrypoint="/program", user="1:1")
    with tarfile.open(archive) as tar:
        found = tar.extractfile("manifest.json")
        assert found is not None
        manifest = json.loads(found.read())[0]
        assert manifest["RepoTags"] == ["localhost/a:1"]
        assert {manifest["Config"], *manifest["Layers"]} < set(tar.getnames())


@pytest.mark.parametrize("name", images.NAMES)
def test_each_of_the_project_s_images_names_its_base_as_an_argument(name: str) -> None:
    dockerfile = paths.REPOSITORY / images.recipe_of(name).dockerfile
    assert "ARG BASE_IMAGE" in dockerfile.read_text()
