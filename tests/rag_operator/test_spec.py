"""Loading a spec: what is left out is filled, and what cannot be built is named."""

from __future__ import annotations

from typing import Any

import pytest

from rag_operator import spec
from rag_operator.errors import SpecInvalid
from rag_operator.spec import EmbeddedStore, ExternalStore, ManagedStore
from tests import builders
from tests.builders import EMBEDDED, EXTERNAL, GEMINI, RELEASE


def test_an_empty_spec_is_a_whole_pipeline() -> None:
    app = builders.app()
    assert (app.image, app.replicas, app.collection) == (RELEASE.runtime_image, 1, "team-handbook")
    assert app.provider == "extractive"
    assert isinstance(app.store, ManagedStore)
    assert app.store.image == RELEASE.qdrant_image
    assert app.resources.requests == {"cpu": "1", "memory": "2Gi"}
    assert app.resources.limits == {"cpu": "2", "memory": "4Gi"}


def test_a_pipeline_without_any_spec_is_one_too() -> None:
    body = builders.body()
    del body["spec"]
    assert spec.load(body, RELEASE) == builders.app()


@pytest.mark.parametrize(
    ("fields", "kind"), [(EXTERNAL, ExternalStore), (EMBEDDED, EmbeddedStore), ({"vectorStore": {}}, ManagedStore)]
)
def test_the_store_is_the_one_that_is_named(fields: dict[str, Any], kind: type) -> None:
    assert isinstance(builders.app(**fields).store, kind)


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        pytest.param({}, "1", "2", id="nothing given"),
        pytest.param({"requests": {"cpu": "500m"}}, "500m", "2", id="a lower request keeps the limit"),
        pytest.param({"requests": {"cpu": 4}}, "4", "4", id="a request above the default limit raises it"),
        pytest.param({"limits": {"cpu": "200m"}}, "200m", "200m", id="a limit below the default request lowers it"),
        pytest.param({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}, "1", "3", id="both given"),
    ],
)
def test_resources_are_filled_so_that_no_request_is_above_its_limit(
    given: dict[str, Any], requests: str, limits: str
) -> None:
    resources = builders.app(resources=given).resources
    assert (resources.requests["cpu"], resources.limits["cpu"]) == (requests, limits)
    assert resources.requests["memory"] == "2Gi"


def test_a_key_makes_gemini_the_provider_unless_the_spec_says_otherwise() -> None:
    assert builders.app(**GEMINI).provider == "gemini"
    quiet: dict[str, Any] = {"generation": {**GEMINI["generation"], "provider": "extractive"}}
    assert builders.app(**quiet).provider == "extractive"


def test_references_are_the_secrets_that_are_used() -> None:
    assert spec.references(builders.app()) == {}
    found = spec.references(builders.app(**GEMINI, **EXTERNAL))
    assert {path: (ref.name, ref.key) for path, ref in found.items()} == {
        "spec.generation.apiKeySecretRef": ("gemini", "api-key"),
        "spec.vectorStore.external.apiKeySecretRef": ("shared-qdrant", "token"),
    }


@pytest.mark.parametrize(
    ("fields", "path", "value"),
    [
        ({"replicas": "many"}, "spec.replicas", "many"),
        ({"chunking": {"csv": {"maxTokens": 1}}}, "spec.chunking.csv.maxTokens", "1"),
        ({"resources": {"requests": {"cpu": "lots"}}}, "spec", "lots"),
    ],
)
def test_what_no_schema_stopped_is_named_with_its_value(fields: dict[str, Any], path: str, value: str) -> None:
    with pytest.raises(SpecInvalid) as refused:
        builders.app(**fields)
    assert str(refused.value).startswith(path)
    assert value in str(refused.value)


def test_a_field_of_a_newer_release_does_not_stop_an_older_operator() -> None:
    assert builders.app(fromTheFuture={"a": 1}) == builders.app()
