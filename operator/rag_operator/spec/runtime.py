"""The blocks that say what the runtime does: how it embeds, cuts, takes in, finds and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rag_operator.spec.fields import Model, ModelName, Seconds, SecretKeyRef, Tokens, rule, ruled


class DenseEmbedding(Model):
    model: ModelName = Field(
        "bundled",
        description="The dense model: `bundled` (no download), a fastembed model's name, or a folder in the image.",
    )


class SparseEmbedding(Model):
    model: ModelName = Field("Qdrant/bm25", description="The sparse model, by its fastembed name.")
    language: Annotated[str, Field(min_length=2, max_length=32, pattern=r"^[a-z]+$")] = Field(
        "english", description="The language of stemming and stop words, in English and lower case."
    )


class LateInteraction(Model):
    model: ModelName = Field(description="A ColBERT-like model, by its fastembed name, or a folder in the image.")


class Embedding(Model):
    dense: DenseEmbedding = Field(DenseEmbedding(), description="How meaning is embedded.")
    sparse: SparseEmbedding = Field(SparseEmbedding(), description="How words are embedded.")
    late_interaction: LateInteraction | None = Field(
        None, description="How the best hits are ranked anew, token by token; left out, they are not."
    )


class ChunkSize(Model):
    model_config = ruled(
        rule(
            "self.tokens <= self.maxTokens",
            "'tokens %d is above maxTokens %d: lower tokens or raise maxTokens'.format([self.tokens, self.maxTokens])",
            field=".tokens",
        )
    )
    tokens: Tokens = Field(150, description="The size that chunks aim at, in the dense model's tokens.")
    max_tokens: Tokens = Field(250, description="The size that no chunk exceeds, in the dense model's tokens.")


class Chunking(Model):
    csv: ChunkSize = Field(ChunkSize(), description="How rows of tables are cut.")
    pdf: ChunkSize = Field(ChunkSize(), description="How prose is cut: PDF, text, and all that is no table.")


class Ingest(Model):
    batch_size: Annotated[int, Field(ge=1, le=1024)] = Field(32, description="Chunks in one step of the pipeline.")
    max_points_per_upsert: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="Points in one upsert.")
    upsert_retries: Annotated[int, Field(ge=0, le=20)] = Field(
        5, description="How often an upsert is repeated after a timeout, 429 or 5xx."
    )
    upsert_backoff_base: Annotated[float, Field(ge=0.1, le=60)] = Field(
        1.0, description="Seconds before the first repetition; each further one waits twice as long."
    )
    max_upload_mb: Annotated[int, Field(ge=1, le=4096)] = Field(
        100, alias="maxUploadMB", description="The largest request, in megabytes."
    )


class Cache(Model):
    max_entries: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        1000, description="Responses that each pod keeps; 0 switches the cache off."
    )
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        300, description="How long a response is kept. A write to the index ends it earlier."
    )


class Retrieval(Model):
    local_routing: bool = Field(
        True, description="Whether the way to answer is chosen by local rules, without a call to a model."
    )
    summary_max_top_k: Annotated[int, Field(ge=1, le=100)] = Field(20, description="Hits used for a summary.")
    score_floor: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Hits below this fused score are left out."
    )
    cache: Cache = Field(Cache(), description="Responses that are kept for the next who asks the same.")


class Generation(Model):
    model_config = ruled(
        rule(
            "!has(self.provider) || self.provider != 'gemini' || has(self.apiKeySecretRef)",
            "provider gemini needs a key: name its Secret in apiKeySecretRef, or set provider to extractive",
            field=".provider",
        )
    )
    provider: Literal["gemini", "extractive"] | None = Field(
        None,
        description="Who writes the answers: gemini, or extractive, which quotes the best sentences. "
        "Left out: gemini when apiKeySecretRef is given, else extractive.",
    )
    model: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")] | None = Field(
        None, description="The provider's model; left out, the runtime's default."
    )
    api_key_secret_ref: SecretKeyRef | None = Field(None, description="Where the provider's API key is.")
    detailed_max_words: Annotated[int, Field(ge=10, le=2000)] = Field(
        150, description="The length of a detailed answer, in words."
    )
    timeout_seconds: Seconds = Field(60, description="How long an answer may take before it falls back to extractive.")


class Logging(Model):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What the runtime logs.")


class Monitoring(Model):
    service_monitor: bool = Field(True, description="A ServiceMonitor, by which Prometheus finds the runtime.")
    prometheus_rule: bool = Field(True, description="A PrometheusRule with alerts.")
    dashboard: bool = Field(True, description="A ConfigMap with a Grafana dashboard, labelled grafana_dashboard.")
