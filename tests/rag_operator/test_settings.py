"""Settings from the environment and the command line."""

from __future__ import annotations

import pytest

from rag_operator import settings
from rag_operator.errors import SettingInvalid
from rag_operator.settings import Settings


def load(*flags: str, **environ: str) -> Settings:
    return settings.load(environ, settings.parse(["run", *flags]))


def test_nothing_set_serves_all_namespaces() -> None:
    chosen = load()
    assert (chosen.namespaces, chosen.lease_namespace, chosen.health_port) == ((), "default", 8080)
    assert chosen.release.runtime_image.startswith("ragops/rag-runtime:")


def test_flags_win_over_variables() -> None:
    chosen = load("--namespace=a", "--namespace=b", "--health-port=0", NAMESPACES="x", HEALTH_PORT="9")
    assert (chosen.namespaces, chosen.health_port) == (("a", "b"), 0)
    assert load("--all-namespaces", NAMESPACES="x").namespaces == ()


def test_variables_are_read() -> None:
    chosen = load(NAMESPACES="a, b", RUNTIME_IMAGE="rag:9", QDRANT_IMAGE="q:9", LEASE_NAMESPACE="ops", POD_NAME="me")
    assert (chosen.namespaces, chosen.lease_namespace, chosen.pod_name) == (("a", "b"), "ops", "me")
    assert (chosen.release.runtime_image, chosen.release.qdrant_image) == ("rag:9", "q:9")


def test_two_processes_outside_a_pod_are_never_one_holder() -> None:
    assert load().pod_name != load().pod_name


@pytest.mark.parametrize(
    ("name", "value"), [("HEALTH_PORT", "80000"), ("RESYNC_SECONDS", "often"), ("LOG_LEVEL", "LOUD"), ("WORKERS", "0")]
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingInvalid, match=f"{name}='{value}' is not allowed"):
        load(**{name: value})
