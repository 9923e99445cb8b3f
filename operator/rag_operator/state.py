"""What is known of the world at one moment, as frozen values; what is missing is None. Pure: no client, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from rag_operator.names import Kind, Ref
from rag_operator.rotation import Keys
from rag_operator.spec.fields import Model


class Reason(StrEnum):
    """Why a condition is what it is. A closed list: docs/conditions.md says what to do about each."""

    RECONCILED = "Reconciled"
    PROGRESSING = "Progressing"
    INVALID_SPEC = "InvalidSpec"
    NAME_CONFLICT = "NameConflict"
    FORBIDDEN = "Forbidden"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNSCHEDULABLE = "Unschedulable"
    NO_STORAGE_CLASS = "NoStorageClass"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOPING = "CrashLooping"
    PROBE_FAILING = "ProbeFailing"
    NOT_ENOUGH_REPLICAS = "NotEnoughReplicas"
    VECTOR_STORE_UNAVAILABLE = "VectorStoreUnavailable"
    INDEX_MISMATCH = "IndexMismatch"
    DISK_NEARLY_FULL = "DiskNearlyFull"
    PROBE_UNREACHABLE = "ProbeUnreachable"
    SUSPENDED = "Suspended"
    PAUSED = "Paused"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is not as declared, in one line with the remedy."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet. `settled` is False until its controller has seen the newest generation.

    `claim_size` is what its claim template asks for, which the API server lets nobody change. `replicas_are_ours`: our
    field manager owns the number of its pods.
    """

    wanted: int
    settled: bool
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    refused: str | None = None
    claim_size: str | None = None
    replicas_are_ours: bool = False


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod: of which component, whether it is ready, and what it waits for. Times are the API server's text.

    `leaving`: it is being deleted, or has ended for good, as an evicted one has. `reported_at`: when its kubelet last
    had something new to say. `last_words`: what the runtime said of why it ended.
    """

    component: str
    ready: bool = False
    leaving: bool = False
    image: str = ""
    waiting: str | None = None
    message: str = ""
    restarts: int = 0
    exit_code: int | None = None
    last_words: str = ""
    out_of_memory: bool = False
    running_since: str | None = None
    reported_at: str | None = None
    started: bool = False
    unschedulable: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimState:
    component: str
    bound: bool
    storage_class: str | None
    size: str = "0"


Detail = Workload | PodState | ClaimState


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it was last seen: whose it is, and a fingerprint of the fields that we own in it.

    `controller` is the name of the pipeline that owns it, this one or an earlier one; `controller_uid` tells which.
    """

    ref: Ref
    uid: str
    controller: str | None
    controller_uid: str | None
    labelled_instance: str | None
    fields_hash: str
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class Probed:
    """What the runtime said when it was asked. `failing` names the stage that fails, `unreached` why nobody answered.

    `disk` is what it says of a disk that is nearly full. `points` are the chunks in its index.
    """

    unreached: str | None = None
    failing: Problem | None = None
    disk: str | None = None
    points: int | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the desired objects depend on beside the spec.

    `keys` are the pipeline's own, with new ones for those that its Secret lacks; `own` are its Secrets as they are.
    `secrets` are fingerprints of the values that the spec refers to; `problem` is the first that could not be had.
    `served` are the optional kinds that the cluster has. `certificate` is the runtime's own, where it speaks TLS.
    """

    keys: Keys = field(repr=False)
    own: Mapping[Ref, Mapping[str, Any] | None] = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict)
    problem: Problem | None = None
    served: frozenset[Kind] = frozenset()
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """A pipeline's children, as far as its status needs them; pods and claims by name."""

    runtime: Workload | None = None
    qdrant: Workload | None = None
    pods: Mapping[str, PodState] = field(default_factory=dict)
    claims: Mapping[str, ClaimState] = field(default_factory=dict)


class Condition(Model):
    type: str = Field(description="What is judged, such as Ready.", max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(description="Why, in one word of a closed list.", max_length=1024)
    message: str = Field(description="Why, in one line with the remedy.", max_length=32768)
    last_transition_time: str = Field(
        description="When status last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(description="The metadata.generation that was judged.")


class Binding(Model):
    name: str = Field(
        description="A Secret with type, provider, url and api-key (Service Binding's provisioned service)."
    )


class Version(Model):
    operator: str = Field(description="The operator that wrote this status.")


class Status(Model):
    """What the operator says of a pipeline."""

    observed_generation: int | None = Field(None, description="The metadata.generation that this status is about.")
    replicas: int | None = Field(None, description="Runtime pods that exist.")
    ready_replicas: int | None = Field(None, description="Runtime pods that answer.")
    selector: str | None = Field(None, description="The label selector of the runtime pods, for the scale subresource.")
    url: str | None = Field(None, description="Where the runtime is asked, from within the cluster.")
    image: str | None = Field(None, description="The runtime's image.")
    model: str | None = Field(None, description="The dense embedding model.")
    points: int | None = Field(
        None,
        description="Chunks in the index, counted at most once a minute by the runtime.",
        json_schema_extra={"format": "int64"},
    )
    version: Version | None = Field(None, description="Who made this status.")
    binding: Binding | None = Field(None, description="The Secret that an app binds to.")
    conditions: tuple[Condition, ...] = Field(
        (), description="What is judged, one entry a type.", json_schema_extra={"maxItems": 32}
    )
