"""The environment as one frozen, validated value. It opens and creates nothing, and prints no secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from rag_runtime.errors import SettingInvalid

# A variable that begins like one of ours and is none is a slip of the pen, which a default must not hide.
FAMILIES = (
    "API_KEY",
    "CACHE_",
    "COLLECTION_",
    "CORS_",
    "CSV_CHUNK_",
    "EMBEDDING_",
    "GEMINI_",
    "GENERATION_",
    "INGEST_",
    "JOB_",
    "LATE_INTERACTION_",
    "MAX_UPLOAD_",
    "MCP_",
    "PDF_CHUNK_",
    "PLAYGROUND_",
    "QDRANT_",
    "RATE_LIMIT_",
    "SCORE_FLOOR",
    "SPARSE_",
    "STYLE_",
    "SUMMARY_",
)
# Kubernetes sets these in every pod for a Service that happens to be called "qdrant" or the like:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$")
SHOWN_CHARACTERS = 80
USER_INFO = re.compile(r"//.*@")


def _checked_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password: keys have variables of their own")
    return value.rstrip("/")


def _checked_origin(value: str) -> str:
    if value != "*" and not re.fullmatch(r"https?://[^/\s]+", value):
        raise ValueError("each must be * or scheme://host[:port], separated by commas")
    return value


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _checked_secret(value: SecretStr) -> SecretStr:
    """Without the line break that a file's last line leaves; no header could carry what is refused."""
    secret = value.get_secret_value().strip()
    if not secret.isascii() or not secret.isprintable() or not secret:
        raise ValueError("must be printable ASCII characters")
    return SecretStr(secret)


Secret = Annotated[SecretStr, AfterValidator(_checked_secret)]
Url = Annotated[str, AfterValidator(_checked_url)]
Origin = Annotated[str, AfterValidator(_checked_origin)]
Tokens = Annotated[int, Field(ge=32, le=8192)]
KiloBytes = Annotated[int, Field(ge=0, le=1_000_000_000)]
Threads = Annotated[int, Field(ge=0, le=256)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Every variable of the runtime; a field's name in capitals is the variable's name."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("data")
    shutdown_grace: Seconds = 25.0
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = ()

    qdrant_url: Url | None = None
    qdrant_api: Secret | None = None
    qdrant_timeout: Seconds = 30.0
    qdrant_prefer_grpc: bool = False
    qdrant_max_points_per_upsert: Annotated[int, Field(ge=1, le=1024)] = 8
    qdrant_upsert_retries: Annotated[int, Field(ge=0, le=20)] = 5
    qdrant_upsert_backoff_base: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 1.0
    qdrant_debug: bool = False
    qdrant_hnsw_m: Annotated[int, Field(ge=0, le=256)] = 16
    qdrant_hnsw_ef_construct: Annotated[int, Field(ge=4, le=4096)] = 200
    qdrant_full_scan_threshold: Annotated[int, Field(ge=10, le=1_000_000_000)] = 10_000
    qdrant_max_indexing_threads: Threads = 4
    qdrant_quantization: Literal["scalar", "none"] = "scalar"
    qdrant_quantization_quantile: Annotated[float, Field(ge=0.5, le=1)] = 0.99
    qdrant_quantization_always_ram: bool = True
    qdrant_segments: Annotated[int, Field(ge=0, le=1024)] = 4
    qdrant_max_segment_size: Annotated[int, Field(ge=1000, le=1_000_000_000)] | None = None
    qdrant_memmap_threshold: KiloBytes = 20_000
    qdrant_indexing_threshold: KiloBytes = 20_000
    qdrant_flush_interval: Annotated[int, Field(ge=1, le=3600)] = 30
    qdrant_max_optimization_threads: Threads = 2
    qdrant_shards: Annotated[int, Field(ge=1, le=1024)] = 1
    qdrant_replication_factor: Annotated[int, Field(ge=1, le=64)] = 1
    qdrant_write_consistency_factor: Annotated[int, Field(ge=1, le=64)] = 1
    collection_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")] = "rag_documents"
    collection_owner: Annotated[str, Field(max_length=253)] = ""
    collection_adopt: bool = False

    embedding_model: str = "bundled"
    sparse_model: str = "Qdrant/bm25"
    sparse_language: str = "english"
    late_interaction_model: str | None = None
    embedding_debug: bool = False
    model_cache_dir: Path = Path("models")
    model_mirror_url: Url | None = None
    preload_models: bool = True

    csv_chunk_tokens: Tokens = 150
    csv_chunk_max_tokens: Tokens = 250
    pdf_chunk_tokens: Tokens = 150
    pdf_chunk_max_tokens: Tokens = 250
    ingest_batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    job_retention: Annotated[int, Field(ge=3600, le=315_360_000)] = 604_800
    max_upload_mb: Annotated[int, Field(ge=1, le=4096)] = 100

    enable_local_routing: bool = True
    summary_max_top_k: Annotated[int, Field(ge=1, le=100)] = 20
    style_detailed_max_words: Annotated[int, Field(ge=10, le=2000)] = 150
    score_floor: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    cache_max_entries: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    cache_ttl: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 300.0

    generation_provider: Literal["gemini", "extractive"] = "gemini"
    gemini_api_key: Secret | None = None
    gemini_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")] = "gemini-2.5-flash"
    gemini_base_url: Url | None = None
    gemini_timeout: Seconds = 60.0

    api_keys: SecretStr | None = None
    api_keys_file: Path | None = None
    api_key_required: bool = False
    rate_limit_requests: Annotated[int, Field(ge=0, le=10_000_000)] = 100
    rate_limit_window: Seconds = 60.0
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = ()
    ssl_cert_path: Path | None = None
    ssl_key_path: Path | None = None

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    metrics_enabled: bool = True
    otel_exporter_otlp_endpoint: Url | None = None
    playground_enabled: bool = True
    mcp_enabled: bool = True
    health_check_interval: Seconds = 30.0
    memory_threshold_mb: Annotated[int, Field(ge=0)] = 0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load` is the one place that knows of an environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for kind in ("csv", "pdf"):
            target, limit = getattr(self, f"{kind}_chunk_tokens"), getattr(self, f"{kind}_chunk_max_tokens")
            if target > limit:
                name = f"{kind}_chunk_tokens".upper()
                raise ValueError(f"{name}={target} must not be above {kind.upper()}_CHUNK_MAX_TOKENS={limit}")
        if (self.ssl_cert_path is None) != (self.ssl_key_path is None):
            raise ValueError("SSL_CERT_PATH and SSL_KEY_PATH must be set together")
        if self.qdrant_write_consistency_factor > self.qdrant_replication_factor:
            raise ValueError(
                f"QDRANT_WRITE_CONSISTENCY_FACTOR={self.qdrant_write_consistency_factor} must not be above "
                f"QDRANT_REPLICATION_FACTOR={self.qdrant_replication_factor}"
            )
        if self.api_key_required and not (self.api_keys or self.api_keys_file):
            raise ValueError("API_KEY_REQUIRED=1 needs a key: set API_KEYS or API_KEYS_FILE")
        return self

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1024 * 1024

    def masked(self) -> dict[str, object]:
        """By variable name, as JSON values, with every secret replaced by asterisks."""
        return {name.upper(): value for name, value in self.model_dump(mode="json").items()}


def load(environ: Mapping[str, str], **overrides: object) -> Settings:
    """The settings of an environment; `overrides` (by field) win. Raises SettingInvalid in one line."""
    _refuse_unknown(environ)
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in environ.items() if value and name.isupper()}
    try:
        return Settings(**{**source(), **overrides})
    except ValidationError as refused:
        raise SettingInvalid("; ".join(_sentence(error, environ) for error in refused.errors())) from None


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(environ):
        if name in known or not name.startswith(FAMILIES) or SERVICE_LINK.search(name):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
        raise SettingInvalid(f"{name} is no setting of the runtime: {hint}")


def _sentence(error: ErrorDetails, environ: Mapping[str, str]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    field = str(error["loc"][0])
    name = field.upper()
    value = environ.get(name, "")
    secret = "SecretStr" in str(Settings.model_fields[field].annotation)
    shown = "(hidden)" if secret else repr(USER_INFO.sub("//(hidden)@", value)[:SHOWN_CHARACTERS])
    return f"{name}={shown} is not allowed: {message}"
