"""Haystack's hybrid pipeline, as https://docs.haystack.deepset.ai/docs/qdranthybridretriever shows it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.runtime import hub
from benchmarks.runtime.contender import TOP_K, Options, run


class Haystack:
    def __init__(self, options: Options) -> None:
        size = hub.use(options.hub)
        from haystack import Pipeline
        from haystack.components.writers import DocumentWriter
        from haystack.document_stores.types import DuplicatePolicy
        from haystack_integrations.components.embedders.fastembed import (
            FastembedDocumentEmbedder,
            FastembedSparseDocumentEmbedder,
            FastembedSparseTextEmbedder,
            FastembedTextEmbedder,
        )
        from haystack_integrations.components.retrievers.qdrant import QdrantHybridRetriever
        from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

        self._options = options
        store = QdrantDocumentStore(
            ":memory:", recreate_index=True, use_sparse_embeddings=True, sparse_idf=True, embedding_dim=size
        )
        self._indexing = Pipeline()
        self._indexing.add_component("sparse", FastembedSparseDocumentEmbedder(model=hub.BM25, progress_bar=False))
        self._indexing.add_component("dense", FastembedDocumentEmbedder(model=hub.DENSE, progress_bar=False))
        self._indexing.add_component("writer", DocumentWriter(document_store=store, policy=DuplicatePolicy.OVERWRITE))
        self._indexing.connect("sparse", "dense")
        self._indexing.connect("dense", "writer")
        self._querying = Pipeline()
        self._querying.add_component("sparse", FastembedSparseTextEmbedder(model=hub.BM25, progress_bar=False))
        self._querying.add_component("dense", FastembedTextEmbedder(model=hub.DENSE, progress_bar=False))
        self._querying.add_component("retriever", QdrantHybridRetriever(document_store=store, top_k=TOP_K))
        self._querying.connect("sparse.sparse_embedding", "retriever.query_sparse_embedding")
        self._querying.connect("dense.embedding", "retriever.query_embedding")
        self._indexing.warm_up()
        self._querying.warm_up()

    def ingest(self) -> None:
        from haystack import Document

        documents = [Document(content=text) for text in self._options.chunks()]
        self._indexing.run({"sparse": {"documents": documents}})

    def ask(self, question: str) -> int:
        found = self._querying.run({"sparse": {"text": question}, "dense": {"text": question}})
        return len(found["retriever"]["documents"])

    def others(self) -> Sequence[int]:
        return ()


if __name__ == "__main__":
    run(Haystack)
