"""The three vector stores, of which a pipeline has one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rag_operator.spec.fields import Image, Model, Quantity, Resources, SecretKeyRef, Storage, rule, ruled
from rag_operator.spec.placement import PodTemplate


class Tuning(Model):
    """Of the collection; a change reaches the collection that is there when the runtime starts anew."""

    model_config = ruled(
        rule(
            "self.hnswEfConstruct >= self.hnswM",
            "'hnswEfConstruct %d is below hnswM %d: raise hnswEfConstruct or lower hnswM'"
            ".format([self.hnswEfConstruct, self.hnswM])",
            field=".hnswEfConstruct",
        )
    )
    hnsw_m: Annotated[int, Field(ge=4, le=128)] = Field(16, description="Edges of a node in the graph.")
    hnsw_ef_construct: Annotated[int, Field(ge=4, le=4096)] = Field(
        200, description="Neighbours considered when the graph is built."
    )
    full_scan_threshold: Annotated[int, Field(ge=10, le=10_000_000)] = Field(
        10_000, description="Kilobytes of vectors below which all are compared."
    )
    max_indexing_threads: Annotated[int, Field(ge=0, le=64)] = Field(
        4, description="Threads that build a graph; 0 leaves it to Qdrant."
    )
    quantization: Literal["scalar", "none"] = Field("scalar", description="int8 copies of the vectors, or none.")
    quantization_quantile: Annotated[float, Field(ge=0.5, le=1)] = Field(
        0.99, description="The share of values that int8 must tell apart."
    )
    quantization_always_ram: bool = Field(True, description="Whether the int8 copies stay in memory.")
    segments: Annotated[int, Field(ge=1, le=64)] = Field(4, description="Segments that optimizers aim at.")
    max_segment_size: Annotated[int, Field(ge=1000, le=1_000_000_000)] | None = Field(
        None, description="Kilobytes of vectors that a segment holds at most; left out, Qdrant's choice."
    )
    memmap_threshold: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        20_000, description="Kilobytes of vectors above which a segment is mapped from disk."
    )
    indexing_threshold: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        20_000, description="Kilobytes of vectors above which a segment gets a graph."
    )
    flush_interval_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        30, description="Between two flushes to disk; the log keeps what was written since."
    )
    max_optimization_threads: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Threads that optimize.")


class ManagedStore(Model):
    """A Qdrant server that the operator runs."""

    model_config = ruled(
        rule(
            "self.replicas >= oldSelf.replicas",
            "'replicas cannot shrink from %d to %d: the shards of the servers that go would be lost; keep the number, "
            "or make a new pipeline and ingest anew'.format([oldSelf.replicas, self.replicas])",
            field=".replicas",
        ),
        rule(
            "!has(self.replicationFactor) || self.replicationFactor <= self.replicas",
            "'replicationFactor %d is above replicas %d: a server holds one copy of a shard, so lower "
            "replicationFactor or raise replicas'.format([self.replicationFactor, self.replicas])",
            field=".replicationFactor",
        ),
        rule(
            "self.writeConsistencyFactor <= (has(self.replicationFactor) ? self.replicationFactor : "
            "self.replicas > 1 ? 2 : 1)",
            "'writeConsistencyFactor %d is above the number of copies: lower it or raise replicationFactor'"
            ".format([self.writeConsistencyFactor])",
            field=".writeConsistencyFactor",
        ),
    )
    replicas: Annotated[int, Field(ge=1, le=64)] = Field(
        1,
        description="Qdrant servers; two and more are a cluster. Of a collection that exists, none of its shards "
        "moves to a new server by itself.",
    )
    shards: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None, description="Shards of a new index; left out, one for each server."
    )
    replication_factor: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Copies of each shard of a new index; left out, 2 with two and more servers, else 1."
    )
    write_consistency_factor: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="Copies that must have a write before it counts."
    )
    image: Image | None = Field(
        None, description="Qdrant's image; left out, the one that this release was tested with."
    )
    storage: Storage = Field(Storage(), description="The volume of each server.")
    resources: Resources = Field(
        Resources(), description="Of each server; left out, requests 500m CPU and 1Gi, limits 2 CPU and 4Gi."
    )
    tuning: Tuning = Field(Tuning(), description="How the collection is indexed and kept.")
    pod_template: PodTemplate = Field(PodTemplate(), description="What is added to each server's pod.")


class ExternalStore(Model):
    """A Qdrant server that somebody else runs."""

    url: Annotated[str, Field(max_length=2048)] = Field(
        description="Its REST address, such as https://qdrant.example.com:6333.",
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '' && "
                    "!self.contains('@')",
                    "'\"' + self + '\" is not an address of a Qdrant server: write http(s)://HOST:PORT, "
                    "and its key in apiKeySecretRef'",
                )
            ]
        },
    )
    api_key_secret_ref: SecretKeyRef | None = Field(None, description="Where its API key is; left out, it has none.")


class EmbeddedStorage(Storage):
    size: Quantity = Field("10Gi", description="The volume's size.")


class EmbeddedStore(Model):
    """No server: the index lives in the runtime's own volume, which allows one replica."""

    storage: EmbeddedStorage = Field(EmbeddedStorage(), description="The runtime's volume.")


WITHOUT_MANAGED = (
    "without managed the volume is one of 50Gi and of the default class, and a volume neither shrinks nor changes its "
    "class"
)


class VectorStore(Model):
    model_config = ruled(
        rule(
            "[has(self.managed), has(self.external), has(self.embedded)].filter(given, given).size() <= 1",
            "managed, external and embedded exclude each other: keep one of them",
        ),
        rule(
            "has(self.external) == has(oldSelf.external) && has(self.embedded) == has(oldSelf.embedded)",
            "the kind of store cannot change, for its documents would stay behind: make a new pipeline and ingest anew",
        ),
        rule(
            "!has(self.managed) || has(oldSelf.managed) || !has(self.managed.storage) || "
            "(!has(self.managed.storage.storageClassName) && (!isQuantity(string(self.managed.storage.size)) || "
            "quantity(string(self.managed.storage.size)).compareTo(quantity('50Gi')) >= 0))",
            f"{WITHOUT_MANAGED}: give 50Gi or more and no class, or make a new pipeline and ingest anew",
            field=".managed",
        ),
        rule(
            "has(self.managed) || !has(oldSelf.managed) || !has(oldSelf.managed.storage) || "
            "(!has(oldSelf.managed.storage.storageClassName) && "
            "quantity(string(oldSelf.managed.storage.size)).compareTo(quantity('50Gi')) <= 0)",
            f"{WITHOUT_MANAGED}: keep managed.storage, or make a new pipeline and ingest anew",
        ),
        rule(
            "has(self.managed) || !has(oldSelf.managed) || oldSelf.managed.replicas <= 1",
            "without managed there is one server, and the shards of the others would be lost: keep managed.replicas, "
            "or make a new pipeline and ingest anew",
        ),
        rule(
            "has(self.collection) == has(oldSelf.collection) && "
            "(!has(self.collection) || self.collection == oldSelf.collection)",
            "collection cannot change, for its documents would stay behind: make a new pipeline and ingest anew",
        ),
    )
    managed: ManagedStore | None = Field(None, description="A Qdrant server run for this pipeline; the default.")
    external: ExternalStore | None = Field(None, description="A Qdrant server run by somebody else.")
    embedded: EmbeddedStore | None = Field(None, description="No server: the index in the one runtime pod's volume.")
    collection: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = Field(
        None, description="The collection's name in the store; left out, NAMESPACE-NAME."
    )
    adopt: bool = Field(
        False,
        description="Whether a collection of the name that bears no pipeline's mark, such as one that somebody else "
        "filled, is taken over. One of another pipeline never is.",
    )
