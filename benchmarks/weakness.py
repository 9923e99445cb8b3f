"""How often "not found in the documents" is right and wrong: the share of questions whose hits are taken for weak.

`RAGOPS_TEST_DATA=... python -m benchmarks.weakness`; the folder holds cranfield/*.csv and csv/biopics.csv. Of another
model than the bundled one, the figure for UNRELATED_BELOW is found by trying: `--model NAME --below X`.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.quality import chunks_of, fill, read_collection
from rag_runtime.adapters.fastembed import FastEmbedder, Models, load
from rag_runtime.adapters.qdrant_edge import QdrantEdge
from rag_runtime.answer import QUOTED_HITS
from rag_runtime.chunking import ChunkLimits, chunk_document
from rag_runtime.domain import Chunk, Document, DocumentId, EmbeddedChunk, Passage, PlaceKind
from rag_runtime.ports import IndexSpec, Search
from rag_runtime.quoting import ranked_quotes
from rag_runtime.weakness import UNRELATED_BELOW, is_weak

# Of subjects that neither collection has.
OTHER_SUBJECTS = """
How long should I boil an egg? | Who won the football world cup in 1998? | What is the best way to train a puppy?
How do I reset my bank password? | Which vaccines does a newborn need? | What is the capital of Mongolia?
How much vacation do employees get each year? | When does boarding close for vehicles?
How do I make sourdough bread at home? | What are the symptoms of diabetes? | Which languages are spoken in Switzerland?
How is income tax calculated for freelancers? | What time does the museum open on Sundays?
How do I install Python on Windows? | Who wrote the novel War and Peace?
What is the refund policy for cancelled tickets? | How many moons does Jupiter have? | Why did the Roman Empire fall?
How do I remove a red wine stain from a carpet? | What is the difference between a cat and a dog?
Which plants grow well in the shade? | How do I apply for a student visa? | What are the rules of chess?
What is photosynthesis? | How do interest rates affect inflation? | Which glacier melted fastest?
What should I wear to a wedding? | Can I bring my bicycle on the train? | How do I write a good cover letter?
What is the history of the guitar? | How do I change a flat tyre? | What are the main exports of Brazil?
Who painted the Mona Lisa? | How does the heart pump blood? | What is the population of Lagos?
When was the printing press invented? | How do bees make honey? | What are good exercises for back pain?
Which database should I use for time series? | How do I configure a Kubernetes ingress?
What was the outcome of the trial? | How do you treat a sprained ankle? | What does the contract say about termination?
How many players are on a baseball team? | What is the recommended dose of ibuprofen? | Where can I buy fresh fish?
What causes earthquakes? | How do I cancel my subscription? | Who is the current king of Norway?
"""


async def measure(data: Path, embedder: FastEmbedder, *, below: float | None, every: int = 1) -> dict[str, float]:
    """By collection and kind of question, the share that is refused; with `every`, of each so-many-th question only."""
    cranfield = read_collection(data / "cranfield")
    films = _films(data / "csv" / "biopics.csv")
    abstracts = chunks_of(cranfield, embedder, ChunkLimits())
    table = list(chunk_document(_table(films), ChunkLimits(), embedder.tokenizer, index_key="weakness"))
    questions = list(cranfield.queries.values())
    others = [question.strip() for line in OTHER_SUBJECTS.split("\n") for question in line.split("|") if question]
    on_abstracts = await _refused(
        embedder, abstracts, {"own": questions, "other subjects'": others}, below=below, every=every
    )
    on_films = await _refused(
        embedder,
        table,
        {"own": _about(films), "other subjects'": others, "abstracts'": questions},
        below=below,
        every=every,
    )
    return {
        **{f"abstracts, {kind} questions": share for kind, share in on_abstracts.items()},
        **{f"films, {kind} questions": share for kind, share in on_films.items()},
    }


async def _refused(
    embedder: FastEmbedder,
    chunks: Sequence[Chunk],
    asked: Mapping[str, Sequence[str]],
    *,
    below: float | None,
    every: int,
) -> dict[str, float]:
    spec = IndexSpec("weakness", settings=embedder.identity, dense_size=embedder.dense_size)
    vectors = await embedder.embed_documents([chunk.text for chunk in chunks])
    # As one document, which is published at once.
    whole = [replace(chunk, document_id=DocumentId("whole"), content_hash="1") for chunk in chunks]
    shares = {}
    with tempfile.TemporaryDirectory() as folder:
        store = QdrantEdge(spec, Path(folder))
        await store.open()
        try:
            await fill(store, [EmbeddedChunk(*pair) for pair in zip(whole, vectors, strict=True)])
            for kind, questions in asked.items():
                weak = [await _is_weak(embedder, store, question, below=below) for question in questions[::every]]
                shares[kind] = sum(weak) / len(weak)
        finally:
            await store.close()
    return shares


async def _is_weak(embedder: FastEmbedder, store: QdrantEdge, question: str, *, below: float | None) -> bool:
    hits = await store.search(Search(await embedder.embed_query(question), QUOTED_HITS, explain=True))
    ranked = ranked_quotes(question, hits)
    return is_weak(ranked[0].coverage if ranked else 0.0, hits, unrelated_below=below)


def _films(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="latin-1") as file:
        return list(csv.DictReader(file))


def _table(films: Sequence[Mapping[str, str]]) -> Document:
    rows = ("; ".join(f"{name}: {value}" for name, value in film.items() if value) for film in films)
    passages = tuple(Passage(row, number) for number, row in enumerate(rows, start=1))
    return Document(DocumentId("films"), "biopics.csv", "csv", "1", passages, PlaceKind.ROW)


def _about(films: Sequence[Mapping[str, str]]) -> list[str]:
    directed = [f"Who directed {film['title']}?" for film in films[::4]]
    return directed + [f"Who played {film['subject']}?" for film in films[1::4]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.weakness", description=__doc__)
    parser.add_argument("--model", default=Models().dense, help="the dense model: bundled, a name or a folder")
    parser.add_argument("--cache-dir", type=Path, default=Models().cache_dir, help="where models are kept")
    parser.add_argument("--below", type=float, help="the cosine to try; default: the model's own, if it has one")
    chosen = parser.parse_args()
    data = os.environ.get("RAGOPS_TEST_DATA")
    if not data:
        parser.error("RAGOPS_TEST_DATA must name the folder that holds cranfield/ and csv/")
    embedder = load(Models(dense=chosen.model, cache_dir=chosen.cache_dir))
    below = UNRELATED_BELOW.get(chosen.model) if chosen.below is None else chosen.below
    for name, share in asyncio.run(measure(Path(data), embedder, below=below)).items():
        print(f"{name:34}{share:7.1%} refused")
    embedder.close()


if __name__ == "__main__":
    main()
