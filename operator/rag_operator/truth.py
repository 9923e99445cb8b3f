"""What the answers of a runtime to the operator's questions mean for its pipeline. Pure."""

from __future__ import annotations

from rag_operator.state import Probed, Problem, Reason

ANSWERING = "Answering"
OUTSIDE = "the operator does not ask: it runs outside the cluster, or PROBE_SECONDS is 0"
NOT_YET = "the runtime has not been asked yet"


def not_answering(probed: Probed | None) -> Problem | None:
    """Of a runtime that could not be asked nothing bad is known."""
    return probed.failing if probed else None


def unknown(probed: Probed | None, *, asking: bool) -> Problem | None:
    """Why it is not known whether the runtime answers."""
    if probed is None:
        return Problem(Reason.PROBE_UNREACHABLE, NOT_YET if asking else OUTSIDE)
    return Problem(Reason.PROBE_UNREACHABLE, probed.unreached) if probed.unreached else None


def disk_nearly_full(probed: Probed | None) -> Problem | None:
    """Questions are answered all the same; new documents are refused."""
    if probed is None or probed.disk is None:
        return None
    return Problem(
        Reason.DISK_NEARLY_FULL,
        f"new documents are refused, questions are answered: {probed.disk}: raise the volume's storage.size, "
        "or delete documents",
    )
