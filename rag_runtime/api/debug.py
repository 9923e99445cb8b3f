"""For admins who wonder where the memory went: what each process holds, and which models are loaded."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from rag_runtime.api import memory
from rag_runtime.api.problems import PROBLEMS
from rag_runtime.service import Runtime
from rag_runtime.settings import Settings


class MemoryModel(BaseModel):
    """`limit_bytes` is the container's; null where it has none."""

    resident_bytes: dict[str, int]
    total_bytes: int
    limit_bytes: int | None
    threshold_mb: int
    over_threshold: bool


class LoadedModel(BaseModel):
    """`bytes` are the weights on disk; a model of words, as BM25, has none."""

    name: str | None
    loaded: bool
    bytes: int


class ModelsModel(BaseModel):
    dense: LoadedModel
    sparse: LoadedModel
    colbert: LoadedModel


def build_router(runtime: Runtime, settings: Settings) -> APIRouter:
    router = APIRouter(prefix="/debug", tags=["operation"], responses=PROBLEMS)
    names = {
        "dense": settings.embedding_model,
        "sparse": settings.sparse_model,
        "colbert": settings.late_interaction_model,
    }

    @router.get("/memory", summary="Resident bytes of each process, and the limits")
    async def debug_memory() -> MemoryModel:
        held = memory.by_process()
        total = sum(held.values())
        return MemoryModel(
            resident_bytes=held,
            total_bytes=total,
            limit_bytes=memory.limit_bytes(),
            threshold_mb=settings.memory_threshold_mb,
            over_threshold=bool(settings.memory_threshold_mb) and total > settings.memory_threshold_mb * 1024 * 1024,
        )

    @router.get("/models", summary="The models, whether they are loaded, and their size")
    async def debug_models() -> ModelsModel:
        sizes = runtime.service.model_bytes if runtime.is_started else {}
        found = {
            kind: LoadedModel(name=name, loaded=runtime.is_started and name is not None, bytes=sizes.get(kind, 0))
            for kind, name in names.items()
        }
        return ModelsModel(**found)

    return router
