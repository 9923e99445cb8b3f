"""LlamaIndex's hybrid pipeline, as its own page shows it:

https://developers.llamaindex.ai/python/examples/vector_stores/qdrant_hybrid
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.runtime import hub
from benchmarks.runtime.contender import TOP_K, Options, run


class LlamaIndex:
    def __init__(self, options: Options) -> None:
        hub.use(options.hub)
        from llama_index.core import Settings, StorageContext
        from llama_index.embeddings.fastembed import FastEmbedEmbedding
        from llama_index.vector_stores.qdrant import QdrantVectorStore
        from qdrant_client import QdrantClient

        self._options = options
        Settings.embed_model = FastEmbedEmbedding(model_name=hub.DENSE)
        store = QdrantVectorStore(
            "my_documents",
            client=QdrantClient(location=":memory:"),
            enable_hybrid=True,
            fastembed_sparse_model=hub.BM25,
            batch_size=20,
        )
        self._context = StorageContext.from_defaults(vector_store=store)

    def ingest(self) -> None:
        from llama_index.core import VectorStoreIndex
        from llama_index.core.schema import TextNode

        nodes = [TextNode(text=text) for text in self._options.chunks()]
        index = VectorStoreIndex(nodes, storage_context=self._context)
        self._retriever = index.as_retriever(
            similarity_top_k=TOP_K, sparse_top_k=TOP_K, vector_store_query_mode="hybrid"
        )

    def ask(self, question: str) -> int:
        return len(self._retriever.retrieve(question))

    def others(self) -> Sequence[int]:
        return ()


if __name__ == "__main__":
    run(LlamaIndex)
