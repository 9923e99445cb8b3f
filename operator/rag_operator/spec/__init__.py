"""The resource as frozen models, and `load`, which fills what the schema cannot. Pure: no client, no environment.

The descriptions are the reference that `kubectl explain` prints; the CEL rules are the API server's refusals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel

from rag_operator import names
from rag_operator.errors import SpecInvalid
from rag_operator.spec.access import OUTSIDE_AND_LIMITED, Access, Ingress, Service
from rag_operator.spec.fields import Image, Model, Probes, Resources, SecretKeyRef, rule, ruled
from rag_operator.spec.placement import Autoscaling, PodTemplate
from rag_operator.spec.runtime import Chunking, Embedding, Generation, Ingest, Logging, Monitoring, Retrieval
from rag_operator.spec.store import EmbeddedStore, ExternalStore, ManagedStore, VectorStore

__all__ = [
    "EmbeddedStore",
    "ExternalStore",
    "ManagedStore",
    "RagPipeline",
    "Release",
    "Spec",
    "Wishes",
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
            "!has(self.replicas) || !has(self.autoscaling)",
            "'replicas %d and autoscaling exclude each other: leave replicas out, or set autoscaling.minReplicas and "
            "maxReplicas instead'.format([self.replicas])",
            field=".replicas",
        ),
        rule(
            "!has(self.vectorStore.embedded) || !has(self.autoscaling)",
            "an embedded store has one writer, so nothing can be scaled: leave autoscaling out, or set vectorStore to "
            "managed or external",
            field=".autoscaling",
        ),
        OUTSIDE_AND_LIMITED,
    )
    image: Image | None = Field(None, description="The runtime's image; left out, the operator's own release.")
    replicas: Annotated[int, Field(ge=1, le=1000)] | None = Field(None, description="Runtime pods; left out, 1.")
    autoscaling: Autoscaling | None = Field(
        None, description="As many runtime pods as their load asks for, in place of replicas."
    )
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
    access: Access = Field(Access(), description="Who may ask, and how much.")
    service: Service = Field(Service(), description="How the runtime is reached.")
    ingress: Ingress | None = Field(None, description="How the runtime is reached by a host name; left out, it is not.")
    monitoring: Monitoring = Field(
        Monitoring(), description="What is made for Prometheus and Grafana, in clusters with the Prometheus Operator."
    )
    logging: Logging = Field(Logging(), description="What is logged.")
    probes: Probes = Field(
        Probes(),
        description="Overrides of initial delay, period, timeout (seconds) and failures of the runtime's probes.",
    )
    playground: bool = Field(True, description="Whether the runtime serves a page for trying questions out.")
    pod_template: PodTemplate = Field(PodTemplate(), description="What is added to each runtime pod.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Retain", description="What becomes of the volumes when the pipeline is deleted."
    )
    suspend: bool = Field(False, description="Whether all pods are stopped. Data, keys and address are kept.")


@dataclass(frozen=True, slots=True)
class Release:
    """What this release of the operator runs where a spec names nothing, and the namespace it runs in itself."""

    version: str
    runtime_image: str
    qdrant_image: str
    namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What people ask for by an annotation: leave it alone, start the pods anew, replace the keys."""

    paused: bool = False
    restarted_at: str | None = None
    rotate_key: str | None = None


@dataclass(frozen=True, slots=True)
class RagPipeline:
    """A pipeline with nothing left open: the spec, and what was chosen where it says nothing.

    `replicas` are the runtime pods that there must be; an autoscaler may add to them. 0 while it is suspended.
    """

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
    wishes: Wishes = field(default_factory=Wishes)
    operator_namespace: str = "default"

    @property
    def autoscaling(self) -> Autoscaling | None:
        """None while there is nothing to scale."""
        return None if self.spec.suspend else self.spec.autoscaling

    @property
    def url(self) -> str:
        """Where the runtime is asked, from within the cluster."""
        service, access = self.spec.service, self.spec.access
        return names.service_url(self.name, self.namespace, service.port, tls=access.tls is not None)

    @property
    def store_replicas(self) -> int:
        """Servers of the store that there must be."""
        return self.store.replicas if isinstance(self.store, ManagedStore) and not self.spec.suspend else 0


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
        replicas=_replicas(spec),
        resources=resources,
        store=store,
        collection=spec.vector_store.collection or f"{meta['namespace']}-{meta['name']}",
        provider=spec.generation.provider or ("gemini" if spec.generation.api_key_secret_ref else "extractive"),
        operator_namespace=release.namespace,
        wishes=_wishes(meta.get("annotations") or {}),
    )


def _wishes(annotations: Mapping[str, str]) -> Wishes:
    return Wishes(
        paused=annotations.get(names.ANNOTATION_PAUSE) == "true",
        restarted_at=annotations.get(names.ANNOTATION_RESTARTED_AT) or None,
        rotate_key=annotations.get(names.ANNOTATION_ROTATE) or None,
    )


def _replicas(spec: Spec) -> int:
    if spec.suspend:
        return 0
    if spec.autoscaling:
        return spec.autoscaling.min_replicas
    return 1 if spec.replicas is None else spec.replicas


def _store(given: VectorStore, release: Release) -> ManagedStore | ExternalStore | EmbeddedStore:
    chosen = given.external or given.embedded
    if chosen:
        return chosen
    managed = given.managed or ManagedStore()
    return managed.model_copy(
        update={
            "image": managed.image or release.qdrant_image,
            "resources": managed.resources.filled(QDRANT_RESOURCES),
            "shards": managed.shards or managed.replicas,
            "replication_factor": managed.replication_factor or min(2, managed.replicas),
        }
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


def mounted(app: RagPipeline) -> dict[str, SecretKeyRef]:
    """What the pods read from mounts, and read again when it changes, by the field that names the Secret."""
    if app.spec.access.tls is None:
        return {}
    name = app.spec.access.tls.secret_ref.name
    return {
        f"spec.access.tls.secretRef ({key})": SecretKeyRef(name=name, key=key)
        for key in (names.TLS_CERT, names.TLS_KEY)
    }
