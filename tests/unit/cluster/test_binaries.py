"""What is built, and how Go is asked to."""

from __future__ import annotations

import dataclasses

import pytest

from tests.cluster import binaries, golang, versions

KUBERNETES_GO_MOD = """module k8s.io/kubernetes

go 1.26.0

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/client-go => ./staging/src/k8s.io/client-go
)
"""


def test_another_version_of_anything_is_another_folder() -> None:
    newer = dataclasses.replace(versions.by_name("etcd"), version="v3.6.7")
    others = tuple(binary for binary in versions.ALL if binary.name != "etcd")
    assert versions.version_key((*others, newer)) != versions.version_key()


def test_no_program_is_built_twice() -> None:
    names = [binary.name for binary in versions.ALL]
    assert len(names) == len(set(names))


def test_kubernetes_is_built_with_its_published_staging_modules() -> None:
    text = binaries.wrapper_module(versions.by_name("kubelet"), KUBERNETES_GO_MOD)
    assert f"require k8s.io/kubernetes {versions.KUBERNETES}" in text
    assert f"replace k8s.io/client-go => k8s.io/client-go {versions.KUBERNETES.replace('v1.', 'v0.')}" in text


def test_other_programs_replace_nothing() -> None:
    assert "replace" not in binaries.wrapper_module(versions.by_name("etcd"), "replace a => ../a\n")


def test_kubernetes_knows_its_version() -> None:
    flags = binaries.linker_flags(versions.by_name("kubectl"))
    assert f"-X k8s.io/component-base/version.gitVersion={versions.KUBERNETES}" in flags
    assert "-X k8s.io/component-base/version.gitMinor=36" in flags


@pytest.mark.parametrize(
    ("version", "enough"),
    [("go1.26.0", True), ("go1.27rc1", True), ("go1.25.9", False), ("devel", False), ("", False)],
)
def test_a_go_that_is_too_old_or_unreadable_is_not_used(version: str, enough: bool) -> None:
    assert golang.is_new_enough(version, "1.26.0") is enough
