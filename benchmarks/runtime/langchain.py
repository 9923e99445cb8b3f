"""LangChain's hybrid pipeline, as https://docs.langchain.com/oss/python/integrations/vectorstores/qdrant shows it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.runtime import hub
from benchmarks.runtime.contender import TOP_K, Options, run


class LangChain:
    def __init__(self, options: Options) -> None:
        hub.use(options.hub)
        from langchain_community.embeddings import FastEmbedEmbeddings
        from langchain_qdrant import FastEmbedSparse

        self._options = options
        self._dense = FastEmbedEmbeddings(model_name=hub.DENSE)
        self._sparse = FastEmbedSparse(model_name=hub.BM25)

    def ingest(self) -> None:
        from langchain_core.documents import Document
        from langchain_qdrant import QdrantVectorStore, RetrievalMode

        self._store = QdrantVectorStore.from_documents(
            [Document(page_content=text) for text in self._options.chunks()],
            embedding=self._dense,
            sparse_embedding=self._sparse,
            location=":memory:",
            collection_name="my_documents",
            retrieval_mode=RetrievalMode.HYBRID,
        )

    def ask(self, question: str) -> int:
        return len(self._store.similarity_search(question, k=TOP_K))

    def others(self) -> Sequence[int]:
        return ()


if __name__ == "__main__":
    run(LangChain)
