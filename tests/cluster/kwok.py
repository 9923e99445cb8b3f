"""Nodes that kwok (https://kwok.sigs.k8s.io) plays: pods are scheduled and become ready, and nothing runs. Pure."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.servers import ApiServer, Words

Expression = Mapping[str, object]

# Claims of a StatefulSet stay unbound where nobody provisions volumes; what runs nowhere does not need them.
WITHOUT = ("VolumeBinding", "VolumeRestrictions", "VolumeZone", "NodeVolumeLimits")
POD_ADDRESSES = "10.128.0.1/12"

NODE_STATUS = """
conditions:
- {type: Ready, status: "True", reason: KubeletReady, message: played, lastHeartbeatTime: {{ Now | Quote }},
   lastTransitionTime: {{ Now | Quote }}}
allocatable: {cpu: 1M, memory: 1Pi, pods: 1M}
capacity: {cpu: 1M, memory: 1Pi, pods: 1M}
phase: Running
"""
POD_STATUS = """
{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- {type: {{ $type }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- {name: {{ .name | Quote }}, image: {{ .image | Quote }}, imageID: played, ready: true, started: true,
   restartCount: 0, state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
phase: Running
startTime: {{ $now | Quote }}
"""


def kwok(program: Path, api: ApiServer, port: int) -> Words:
    return [
        str(program),
        f"--kubeconfig={api.admin_kubeconfig}",
        f"--config={api.folder}/kwok.yaml",
        f"--server-address=127.0.0.1:{port}",
        "--manage-all-nodes=true",
        # Without leases the nodes would count as lost after a minute, and their pods as unready.
        "--node-lease-duration-seconds=40",
        f"--cidr={POD_ADDRESSES}",
    ]


def stages() -> str:
    """What becomes of nodes and pods: https://kwok.sigs.k8s.io/docs/user/stages-configuration/"""
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    unready, stays = _when(ready, "NotIn", "True"), _when(".metadata.deletionTimestamp", "DoesNotExist")
    found = (
        _stage("node-ready", "Node", [unready], {"statusTemplate": NODE_STATUS}),
        _stage("pod-ready", "Pod", [stays, unready], {"statusTemplate": POD_STATUS}),
        _stage("pod-gone", "Pod", [_when(".metadata.deletionTimestamp", "Exists")], {"delete": True}),
    )
    return "---\n".join(json.dumps(stage) + "\n" for stage in found)


def _when(key: str, operator: str, *values: str) -> Expression:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def _stage(name: str, kind: str, when: list[Expression], then: Mapping[str, object]) -> Mapping[str, object]:
    spec = {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": {"matchExpressions": when}, "next": then}
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


def kube_scheduler(api: ApiServer) -> Words:
    return [f"{api.bin}/kube-scheduler", f"--config={api.folder}/scheduler.json", "--secure-port=0"]


def scheduler_configuration(api: ApiServer) -> str:
    disabled = [{"name": name} for name in WITHOUT]
    return json.dumps(
        {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(api.admin_kubeconfig), "qps": 500, "burst": 500},
            "leaderElection": {"leaderElect": False},
            "profiles": [{"schedulerName": "default-scheduler", "plugins": {"multiPoint": {"disabled": disabled}}}],
        }
    )


def node(number: int) -> Mapping[str, object]:
    """kwok says of it that it is ready, and that it has room for a million pods."""
    meta = {"name": f"kwok-{number}", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": meta}
