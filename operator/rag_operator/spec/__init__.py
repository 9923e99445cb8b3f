"""The resource as frozen models, and `load`, which fills what the schema cannot. Pure: no client, no environment.

The descriptions are the reference that `kubectl explain` prints; the CEL rules are the API server's refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from rag_operator.errors import SpecInvalid
from rag_operator.spec.fields import Image, Model, Probes, Resources, SecretKeyRef, rule, ruled
from rag_operator.spec.runtime import (
    Access,
    Chunking,
    Embedding,
    Generation,
    Ingest,
    Logging,
    Retrieval,
    Service,
)
from rag_operator.spec.store import EmbeddedStore, ExternalStore, ManagedStore, VectorStore

__all__ = [
    "EmbeddedStore",
    "ExternalStore",
    "ManagedStore",
    "RagPipeline",
    "Release",
    "Spec",
    "load",
    "references",
]

RUNTIME_RESOURCES = Resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"cpu": "2", "memory": "4Gi"})
QDRANT_RESOURCES = Resources(requests={"cpu": "500m", "memory": "1Gi"}, limits={"cpu": "2", "memory": "4Gi"})


class Spec(Model):
    model_config = ruled(
        rule(
            "!has(self.vectorStore.embedded) || !has(self.replicas) || self.replicas <= 1",
            "'replicas %d: an embedded store has one writer, so set replicas to 1, "
            "or vectorStore to managed or external'.format([self.replicas])",
            field=".replicas",
        ),
        rule(
            "has(self.collection) == has(oldSelf.collection) && "
            "(!has(self.collection) || self.collection == oldSelf.collection)",
            "collection cannot change, for its documents would stay behind: make a new pipeline and ingest anew",
        ),
    )
    image: Image | None = Field(None, description="The runtime's image; left out, the operator's own release.")
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Runtime pods; left out, 1.")
    resources: Resources = Field(
        Resources(), description="Of each runtime pod; left out, requests 1 CPU and 2Gi, limits 2 CPU and 4Gi."
    )
    embedding: Embedding = Field(Embedding(), description="How texts become vectors. A change makes a new index.")
    chunking: Chunking = Field(Chunking(), description="How documents are cut. A change makes a new index.")
    ingest: Ingest = Field(Ingest(), description="How documents are taken in.")
    retrieval: Retrieval = Field(Retrieval(), description="How chunks are found.")
    generation: Generation = Field(Generation(), description="How answers are written.")
    vector_store: VectorStore = Field(
        VectorStore(), description="Where vectors are kept: one of managed, external, embedded."
    )
    collection: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        None, description="The collection's name in the store; left out, NAMESPACE-NAME."
    )
    access: Access = Field(Access(), description="Who may ask, and how much.")
    service: Service = Field(Service(), description="How the runtime is reached.")
    logging: Logging = Field(Logging(), description="What is logged.")
    probes: Probes = Field(
        Probes(),
        description="Overrides of initial delay, period, timeout (seconds) and failures of the runtime's probes.",
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain", description="What becomes of the volumes when the pipeline is deleted."
    )


@dataclass(frozen=True, slots=True)
class Release:
    """What this release of the operator runs where a spec names nothing."""

    version: str
    runtime_image: str
    qdrant_image: str


@dataclass(frozen=True, slots=True)
class RagPipeline:
    """A pipeline with nothing left open: the spec, and what was chosen where it says nothing."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: Spec
    image: str
    replicas: int
    resources: Resources
    store: ManagedStore | ExternalStore | EmbeddedStore
    collection: str
    provider: Literal["gemini", "extractive"]


def load(body: Mapping[str, Any], release: Release) -> RagPipeline:
    """Raise SpecInvalid for what only an older or absent schema lets through."""
    meta = body["metadata"]
    try:
        spec = Spec.model_validate(body.get("spec") or {})
        resources = spec.resources.filled(RUNTIME_RESOURCES)
        store = _store(spec.vector_store, release)
    except ValidationError as refused:
        raise SpecInvalid("; ".join(_sentence(error) for error in refused.errors())) from None
    except ValueError as refused:
        raise SpecInvalid(f"spec: {refused}") from None
    return RagPipeline(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        generation=meta["generation"],
        spec=spec,
        image=spec.image or release.runtime_image,
        replicas=1 if spec.replicas is None else spec.replicas,
        resources=resources,
        store=store,
        collection=spec.collection or f"{meta['namespace']}-{meta['name']}",
        provider=spec.generation.provider or ("gemini" if spec.generation.api_key_secret_ref else "extractive"),
    )


def _store(given: VectorStore, release: Release) -> ManagedStore | ExternalStore | EmbeddedStore:
    chosen = given.external or given.embedded
    if chosen:
        return chosen
    managed = given.managed or ManagedStore()
    return managed.model_copy(
        update={"image": managed.image or release.qdrant_image, "resources": managed.resources.filled(QDRANT_RESOURCES)}
    )


def _sentence(error: Mapping[str, Any]) -> str:
    path = ".".join(["spec", *(to_camel(str(part)) for part in error["loc"])])
    return f"{path} is {error['input']!r}: {error['msg']}"


def references(app: RagPipeline) -> dict[str, SecretKeyRef]:
    """The Secrets that the pipeline needs, by the field that names them."""
    found: dict[str, SecretKeyRef | None] = {}
    if app.provider == "gemini":
        found["spec.generation.apiKeySecretRef"] = app.spec.generation.api_key_secret_ref
    if isinstance(app.store, ExternalStore):
        found["spec.vectorStore.external.apiKeySecretRef"] = app.store.api_key_secret_ref
    return {path: reference for path, reference in found.items() if reference}
