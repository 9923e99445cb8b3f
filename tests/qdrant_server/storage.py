"""Collections and aliases in a folder: each collection a shard of the engine and a file that says how it was made.

Writes are safe against kill -9 as the real server's are: an update with wait=true is in the log, on disk, before it
is answered, and the log is replayed at the next start.
"""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import qdrant_edge as edge
from pydantic import BaseModel
from qdrant_client.http import models

from tests.qdrant_server import convert
from tests.qdrant_server.answers import Refusal, bad_input, unknown_collection


class Collection:
    def __init__(self, folder: Path, made_as: models.CreateCollection, fields: Mapping[str, str]) -> None:
        self._folder = folder
        self.made_as = made_as
        self.fields = dict(fields)
        self._lock = threading.RLock()
        shard = folder / "shard"
        shard.mkdir(parents=True, exist_ok=True)
        opening = edge.EdgeShard.load if (shard / "edge_config.json").exists() else edge.EdgeShard.create
        self.shard = opening(str(shard), convert.config(made_as))
        self._operations = 0

    @classmethod
    def load(cls, folder: Path) -> "Collection":
        saved = json.loads((folder / "collection.json").read_text())
        return cls(folder, models.CreateCollection.model_validate(saved["made_as"]), saved["fields"])

    def save(self) -> None:
        made_as = self.made_as.model_dump(mode="json", exclude_none=True)
        write_atomically(self._folder / "collection.json", json.dumps({"made_as": made_as, "fields": self.fields}))

    def update(self, *operations: edge.UpdateOperation, wait: bool) -> list[models.UpdateResult]:
        with self._lock:
            for operation in operations:
                self.shard.update(operation)
            if wait:
                self._sync()
            first, self._operations = self._operations, self._operations + len(operations)
        status = models.UpdateStatus.COMPLETED if wait else models.UpdateStatus.ACKNOWLEDGED
        return [models.UpdateResult(operation_id=first + n, status=status) for n in range(len(operations))]

    def index_field(self, name: str, kind: models.PayloadSchemaType, *, wait: bool) -> models.UpdateResult:
        with self._lock:
            (result,) = self.update(convert.field_index(name, kind), wait=wait)
            self.fields[name] = kind.value
            self.save()
        return result

    def change(self, asked: models.UpdateCollection) -> None:
        """Each setting that is given takes the old one's place; metadata set to null goes."""
        with self._lock:
            made_as = self.made_as
            merged = (made_as.metadata or {}) | (asked.metadata or {})
            made_as.metadata = {key: value for key, value in merged.items() if value is not None}
            for name in ("hnsw_config", "optimizers_config"):
                setattr(made_as, name, _merged(getattr(made_as, name), getattr(asked, name)))
            for name, value in _given(asked.params).items():
                setattr(made_as, name, value)
            for name, diff in (asked.vectors or {}).items():
                self._change_vector(name, diff)
            self.save()

    def _change_vector(self, name: str, diff: models.VectorParamsDiff) -> None:
        vectors = self.made_as.vectors
        if not isinstance(vectors, dict) or name not in vectors:
            raise bad_input(f"Not existing vector name error: {name}")
        if diff.quantization_config is not None:
            disabled = diff.quantization_config == models.Disabled.DISABLED
            vectors[name].quantization_config = None if disabled else diff.quantization_config

    def flush(self) -> None:
        with self._lock:
            self.shard.flush()

    def close(self) -> None:
        with self._lock:
            self.shard.flush()
            self.shard.close()

    def _sync(self) -> None:
        """The engine prepares the log's next file in a thread of its own, and renames it when it is needed."""
        log = self._folder / "shard" / "wal"
        synced: set[Path] = set()
        while found := set(log.iterdir()) - synced:
            for path in found:
                with contextlib.suppress(FileNotFoundError):
                    sync(path)
            synced |= found
        sync(log)


class Storage:
    def __init__(self, root: Path) -> None:
        self._collections_folder = root / "collections"
        self._collections_folder.mkdir(parents=True, exist_ok=True)
        self._aliases_file = root / "aliases.json"
        self._lock = threading.Lock()
        self.collections = {unquote(folder.name): Collection.load(folder) for folder in self._whole_folders()}
        self.aliases: dict[str, str] = json.loads(self._aliases_file.read_text()) if self._aliases_file.exists() else {}

    def _whole_folders(self) -> Iterator[Path]:
        """Without a saved file it is what was left of a creation or a deletion that was cut short."""
        for folder in sorted(self._collections_folder.iterdir()):
            if (folder / "collection.json").exists():
                yield folder
            else:
                shutil.rmtree(folder)

    def close(self) -> None:
        for collection in self.collections.values():
            collection.close()

    def flush(self) -> None:
        for collection in list(self.collections.values()):
            collection.flush()

    def find(self, name: str) -> Collection:
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise unknown_collection(name)
        return found

    def create(self, name: str, made_as: models.CreateCollection) -> None:
        with self._lock:
            if name in self.collections or name in self.aliases:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            collection = Collection(self._collections_folder / quote(name, safe=""), made_as, {})
            collection.save()
            self.collections[name] = collection

    def delete(self, name: str) -> bool:
        with self._lock:
            collection = self.collections.pop(name, None)
            if collection is None:
                return False
            collection.close()
            folder = self._collections_folder / quote(name, safe="")
            (folder / "collection.json").unlink()
            shutil.rmtree(folder)
            self._save_aliases({alias: target for alias, target in self.aliases.items() if target != name})
            return True

    def change_aliases(self, actions: list[Any]) -> None:
        """All of them or none, as the real server has it."""
        with self._lock:
            aliases = dict(self.aliases)
            for action in actions:
                self._change(aliases, action)
            self._save_aliases(aliases)

    def _change(self, aliases: dict[str, str], action: Any) -> None:
        match action:
            case models.CreateAliasOperation():
                made = action.create_alias
                if made.collection_name not in self.collections:
                    raise unknown_collection(made.collection_name)
                if made.alias_name in self.collections:
                    raise bad_input(f"Collection with the same name as alias `{made.alias_name}` exists")
                aliases[made.alias_name] = made.collection_name
            case models.DeleteAliasOperation():
                aliases.pop(action.delete_alias.alias_name, None)
            case models.RenameAliasOperation():
                aliases[action.rename_alias.new_alias_name] = aliases.pop(action.rename_alias.old_alias_name)

    def _save_aliases(self, aliases: dict[str, str]) -> None:
        write_atomically(self._aliases_file, json.dumps(aliases))
        self.aliases = aliases


def write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _given(asked: BaseModel | None) -> dict[str, Any]:
    return asked.model_dump(exclude_none=True) if asked else {}


def _merged(old: Any, new: Any) -> Any:
    return old if new is None else type(new)(**(_given(old) | _given(new)))
