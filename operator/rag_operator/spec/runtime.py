"""The blocks that say what the runtime does: how it embeds, cuts, takes in, finds and answers, and for whom."""

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


class Embedding(Model):
    dense: DenseEmbedding = Field(DenseEmbedding(), description="How meaning is embedded.")
    sparse: SparseEmbedding = Field(SparseEmbedding(), description="How words are embedded.")


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


class Retrieval(Model):
    score_floor: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Hits below this fused score are left out."
    )


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
    timeout_seconds: Seconds = Field(60, description="How long an answer may take before it falls back to extractive.")


class RateLimit(Model):
    requests: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        100, description="Requests that one key may make in a window, in each pod; 0 is no limit."
    )
    window_seconds: Seconds = Field(60, description="The window's length.")


Origin = Annotated[str, Field(max_length=253, pattern=r"^(\*|https?://[^/\s,]+)$")]


class Access(Model):
    api_key_required: bool = Field(True, description="Whether requests need one of the pipeline's keys.")
    rate_limit: RateLimit = Field(RateLimit(), description="How much one caller may ask.")
    cors_origins: Annotated[tuple[Origin, ...], Field(max_length=50)] = Field(
        (), description="Origins of web pages that may call the runtime: scheme://host[:port], or *."
    )


class Service(Model):
    type: Literal["ClusterIP", "LoadBalancer"] = Field("ClusterIP", description="Whether it is reached from outside.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(80, description="The Service's port.")


class Logging(Model):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What the runtime logs.")
