"""The three vector stores, of which a pipeline has one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rag_operator.spec.fields import Image, Model, Quantity, Resources, SecretKeyRef, Storage, rule, ruled


class ManagedStore(Model):
    """A Qdrant server that the operator runs."""

    replicas: Annotated[int, Field(ge=1, le=1)] = Field(1, description="Qdrant servers.")
    image: Image | None = Field(
        None, description="Qdrant's image; left out, the one that this release was tested with."
    )
    storage: Storage = Field(Storage(), description="The volume of each server.")
    resources: Resources = Field(
        Resources(), description="Of each server; left out, requests 500m CPU and 1Gi, limits 2 CPU and 4Gi."
    )


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
    )
    managed: ManagedStore | None = Field(None, description="A Qdrant server run for this pipeline; the default.")
    external: ExternalStore | None = Field(None, description="A Qdrant server run by somebody else.")
    embedded: EmbeddedStore | None = Field(None, description="No server: the index in the one runtime pod's volume.")
