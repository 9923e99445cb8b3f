"""What a fresh cluster gets before anyone uses it: storage. Pure.

There is no volume provisioner, so the volumes exist beforehand. They are `local` and not `hostPath` volumes, because
only local ones honour fsGroup, which a pod that is not root needs in order to write. `recycler` makes released ones
usable again.
"""

import json
from pathlib import Path

VOLUMES = 64
STORAGE_CLASS = "standard"

Manifest = dict[str, object]


def storage_class() -> Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def volume_folder(folder: Path, number: int) -> Path:
    return folder / f"volume-{number:02d}"


def persistent_volume(number: int, folder: Path, node: str) -> Manifest:
    path = volume_folder(folder, number)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": path.name},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def storage(volumes: Path, node: str) -> str:
    """The class and its volumes as one document for kubectl."""
    items = [storage_class(), *(persistent_volume(number, volumes, node) for number in range(VOLUMES))]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
