"""The environment is taken whole or refused in one line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from rag_runtime.adapters import tuning
from rag_runtime.errors import SettingInvalid
from rag_runtime.settings import Settings, load


def test_an_empty_environment_has_a_default_for_everything() -> None:
    assert load({}) == Settings()


def test_values_are_read_by_the_names_in_capitals_and_empty_ones_are_unset() -> None:
    settings = load({"INGEST_BATCH_SIZE": "8", "DATA_DIR": "/var/rag", "QDRANT_URL": "", "API_KEY_REQUIRED": "0"})
    assert (settings.ingest_batch_size, settings.data_dir, settings.qdrant_url) == (8, Path("/var/rag"), None)


def test_lists_are_separated_by_commas() -> None:
    assert load({"CORS_ORIGINS": "https://a.example, https://b.example:8443"}).cors_origins == (
        "https://a.example",
        "https://b.example:8443",
    )


def test_an_override_wins_over_the_environment() -> None:
    assert load({"PORT": "9000"}, port=9001).port == 9001


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"INGEST_BATCH_SIZE": "many"}, ["INGEST_BATCH_SIZE", "'many'", "integer"]),
        ({"INGEST_BATCH_SIZE": "0"}, ["INGEST_BATCH_SIZE", "'0'", "1"]),
        ({"QDRANT_UPSERT_RETRY": "3"}, ["QDRANT_UPSERT_RETRY", "QDRANT_UPSERT_RETRIES"]),
        ({"QDRANT_URL": "ftp://store"}, ["QDRANT_URL", "http://HOST"]),
        ({"QDRANT_URL": "http://me:hush@store"}, ["QDRANT_URL", "no user name"]),
        ({"LOG_LEVEL": "loud"}, ["LOG_LEVEL", "'loud'", "'INFO'"]),
        ({"API_KEY_REQUIRED": "maybe"}, ["API_KEY_REQUIRED", "'maybe'", "boolean"]),
        ({"API_KEY_REQUIRED": "1"}, ["API_KEY_REQUIRED", "API_KEYS_FILE"]),
        ({"CSV_CHUNK_TOKENS": "300"}, ["CSV_CHUNK_TOKENS", "300", "CSV_CHUNK_MAX_TOKENS", "250"]),
        ({"SSL_CERT_PATH": "/tls.crt"}, ["SSL_KEY_PATH", "together"]),
        ({"CORS_ORIGINS": "example.org"}, ["CORS_ORIGINS", "scheme://host"]),
        ({"PORT": "70000"}, ["PORT", "'70000'", "65535"]),
        ({"QDRANT_TIMEOUT": "nan"}, ["QDRANT_TIMEOUT", "'nan'"]),
        ({"GENERATION_PROVIDER": "oracle"}, ["GENERATION_PROVIDER", "'oracle'", "extractive"]),
        ({"COLLECTION_NAME": "../up"}, ["COLLECTION_NAME", "'../up'"]),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_what_is_allowed(
    environment: dict[str, str], named: list[str]
) -> None:
    with pytest.raises(SettingInvalid) as refused:
        load(environment)
    message = str(refused.value)
    assert all(part in message for part in named), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "environment",
    [
        {"API_KEYS": "hush", "GEMINI_API_KEY": "hush", "PORT": "x"},
        {"QDRANT_URL": "http://me:hush@store"},
        {"QDRANT_URL": "//me:p@ss/hush@store"},
        {"QDRANT_API": "hush\nhush"},
        {"GEMINI_API_KEY": "hüsh hush"},
    ],
)
def test_no_message_shows_a_secret(environment: dict[str, str]) -> None:
    with pytest.raises(SettingInvalid) as refused:
        load(environment)
    assert "hush" not in str(refused.value)


def test_a_key_that_came_with_a_line_break_is_the_key_without_it() -> None:
    """As most files and many Secrets have one, and no header may."""
    key = load({"QDRANT_API": "sesame\n"}).qdrant_api
    assert key is not None
    assert key.get_secret_value() == "sesame"


def test_the_variables_that_kubernetes_sets_for_a_service_named_qdrant_are_not_ours() -> None:
    links = ("QDRANT_SERVICE_HOST", "QDRANT_SERVICE_PORT_HTTP", "QDRANT_PORT", "QDRANT_PORT_6333_TCP_ADDR")
    assert load(dict.fromkeys(links, "tcp://10.0.0.1:6333")) == Settings()


def test_secrets_are_masked() -> None:
    shown = load({"QDRANT_API": "hush", "GEMINI_API_KEY": "hush", "API_KEYS": "hush"}).masked()
    assert "hush" not in str(shown)
    assert shown["INGEST_BATCH_SIZE"] == 32


def test_copies_that_must_confirm_a_write_have_to_be_there() -> None:
    with pytest.raises(SettingInvalid, match="QDRANT_REPLICATION_FACTOR=1"):
        load({"QDRANT_WRITE_CONSISTENCY_FACTOR": "2"})


def test_a_tuned_index_has_every_value_of_the_environment() -> None:
    values = {
        "QDRANT_HNSW_M": 8,
        "QDRANT_HNSW_EF_CONSTRUCT": 64,
        "QDRANT_FULL_SCAN_THRESHOLD": 11,
        "QDRANT_MAX_INDEXING_THREADS": 1,
        "QDRANT_QUANTIZATION_QUANTILE": 0.95,
        "QDRANT_SEGMENTS": 3,
        "QDRANT_MAX_SEGMENT_SIZE": 7000,
        "QDRANT_MEMMAP_THRESHOLD": 6000,
        "QDRANT_INDEXING_THRESHOLD": 5000,
        "QDRANT_FLUSH_INTERVAL": 5,
        "QDRANT_MAX_OPTIMIZATION_THREADS": 9,
        "QDRANT_SHARDS": 2,
        "QDRANT_REPLICATION_FACTOR": 4,
        "QDRANT_WRITE_CONSISTENCY_FACTOR": 3,
    }
    off = {"QDRANT_QUANTIZATION": "none", "QDRANT_QUANTIZATION_ALWAYS_RAM": "0"}
    made = tuning.from_settings(load({name: str(value) for name, value in values.items()} | off))
    assert sorted(asdict(made).values()) == sorted([*values.values(), False, False])
