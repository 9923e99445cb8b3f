from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_runtime.adapters.fastembed import FastEmbedder, Models, ModelTokenizer, load
from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import DocumentId
from rag_runtime.errors import DocumentUnreadable, RequestError
from rag_runtime.loading import from_text
from rag_runtime.ports import Embedder
from tests.models import bert_tokenizer, write_bert_like, write_lookup

TEXTS = [f"{'wing ' * (number * 7 % 23)}and flow {number}" for number in range(21)]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastEmbedder]:
    made = load(Models(cache_dir=tmp_path_factory.mktemp("models")))
    yield made
    made.close()


async def test_it_is_an_embedder_with_the_bundled_model(embedder: FastEmbedder) -> None:
    port: Embedder = embedder
    assert (port.model, port.dense_size, port.late_size) == ("wordllama/l2-supercat-256", 256, None)
    vectors = await port.embed_query("boundary layer")
    assert vectors.dense.dtype == np.float32
    assert np.linalg.norm(vectors.dense) == pytest.approx(1, abs=1e-5)
    assert vectors.sparse.indices.dtype == np.uint32
    assert vectors.sparse.values.tolist() == [1.0, 1.0]


async def test_like_texts_are_nearer_than_unlike_ones(embedder: FastEmbedder) -> None:
    wing, plane, soup = await embedder.embed_documents(["an aircraft wing", "airplane wings", "a bowl of soup"])
    assert wing.dense @ plane.dense > wing.dense @ soup.dense + 0.2


async def test_vectors_come_in_the_order_of_their_texts_whatever_their_batch(embedder: FastEmbedder) -> None:
    together = await embedder.embed_documents(TEXTS)
    alone = [(await embedder.embed_documents([text]))[0] for text in TEXTS]
    assert all(np.allclose(one.dense, other.dense, atol=1e-6) for one, other in zip(together, alone, strict=True))
    assert all(
        dict(zip(one.sparse.indices, one.sparse.values, strict=True))
        == dict(zip(other.sparse.indices, other.sparse.values, strict=True))
        for one, other in zip(together, alone, strict=True)
    )


async def test_no_text_is_no_vector(embedder: FastEmbedder) -> None:
    assert await embedder.embed_documents([]) == []


@pytest.mark.parametrize("text", ["", "  ", "the of and", "😀", "\ud800", "\x00", "<s></s>", "x" * 65_536])
async def test_odd_texts_have_finite_vectors(embedder: FastEmbedder, text: str) -> None:
    (document,) = await embedder.embed_documents([text])
    query = await embedder.embed_query(text)
    assert np.isfinite(document.dense).all()
    assert np.isfinite(query.dense).all()


async def test_the_event_loop_runs_on_while_texts_are_embedded(embedder: FastEmbedder) -> None:
    work = asyncio.create_task(embedder.embed_documents(TEXTS * 50))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 5


async def test_a_model_that_makes_no_numbers_is_the_text_s_error_not_the_store_s(tmp_path: Path) -> None:
    folder = write_bert_like(tmp_path / "mini")
    vectors = np.ones((bert_tokenizer().get_vocab_size(), 4), dtype=np.float32)
    vectors[bert_tokenizer().token_to_id("z")] = np.nan
    write_lookup(folder, vectors)
    embedder = load(Models(dense=str(folder), cache_dir=tmp_path))
    with pytest.raises(DocumentUnreadable, match="no finite vector"):
        await embedder.embed_documents(["fine", "z"])
    with pytest.raises(RequestError, match="no finite vector"):
        await embedder.embed_query("z")
    embedder.close()


async def test_late_interaction_has_a_vector_for_each_token(tmp_path: Path) -> None:
    folder = str(write_bert_like(tmp_path / "colbert", size=24))
    embedder = load(Models(dense=folder, late=folder, cache_dir=tmp_path))
    assert (embedder.dense_size, embedder.late_size) == (24, 24)
    short, long = await embedder.embed_documents(["ab", "abcdefgh"])
    assert short.late is not None
    assert long.late is not None
    assert 0 < short.late.shape[0] < long.late.shape[0]
    assert (await embedder.embed_query("ab")).late is not None
    embedder.close()


def test_the_identity_names_every_model(tmp_path: Path, embedder: FastEmbedder) -> None:
    assert dict(embedder.identity) == {
        "dense": "wordllama/l2-supercat-256",
        "sparse": "Qdrant/bm25",
        "language": "english",
    }


def test_spans_are_characters_not_bytes(embedder: FastEmbedder) -> None:
    text = "Größe 😀 naïve"
    spans = embedder.tokenizer.spans(text)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert [first for first, _ in spans] == sorted(first for first, _ in spans)


def test_special_tokens_are_left_out_and_a_long_text_is_not_cut_short() -> None:
    tokenizer = ModelTokenizer(bert_tokenizer(max_length=16))
    assert tokenizer.max_tokens == 14
    assert tokenizer.spans("abc") == [(0, 1), (1, 2), (2, 3)]
    assert tokenizer.spans("ab " * 50) == [(3 * n + m, 3 * n + m + 1) for n in range(50) for m in range(2)]


def test_megabytes_in_one_line_are_tokenized_in_bounded_time(embedder: FastEmbedder) -> None:
    began = time.perf_counter()
    spans = embedder.tokenizer.spans("x" * 3_000_000)
    assert spans[-1][1] == 3_000_000
    assert time.perf_counter() - began < 60


@given(st.text(max_size=2000))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_chunk_has_more_of_the_model_s_own_tokens_than_allowed(embedder: FastEmbedder, text: str) -> None:
    limits = ChunkLimits(24, 32)
    if not text.strip():
        return
    document = from_text(f"x{text}", source="s", document_id=DocumentId("d")).document
    chunks = list(chunk_document(document, limits, embedder.tokenizer, index_key="i"))
    assert all(len(embedder.tokenizer.spans(chunk.text)) <= limits.maximum for chunk in chunks)
    assert "".join("".join(c.text.split()) for c in chunks) == "".join(document.passages[0].text.split())
