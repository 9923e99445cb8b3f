"""Make released volumes available again, emptied: what a cloud's provisioner would do by deleting and making them.

Runs beside the other servers of the node: python -m tests.cluster.recycler ADDRESS PORT PKI
"""

import http.client
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.cluster.api import Api

VOLUMES = "/api/v1/persistentvolumes"


def recycle(api: Api, volume: dict[str, Any]) -> None:
    # Released comes after the claim is gone, and a claim goes only after the last pod that used it.
    folder = Path(volume["spec"]["local"]["path"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    api.patch(f"{VOLUMES}/{volume['metadata']['name']}", {"spec": {"claimRef": None}})


def main(address: str, port: str, pki: str) -> None:
    api = Api(address, int(port), Path(pki))
    while True:
        try:
            for volume in api.watch(VOLUMES, seconds=300):
                if volume.get("status", {}).get("phase") == "Released" and "local" in volume["spec"]:
                    recycle(api, volume)
        except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
            print(f"watching volumes again in a second: {problem!r}", file=sys.stderr, flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
