"""Which of several operators leads: a Lease, held by renewing it. Judged by our own clock, so skew does no harm.

The rules are those of Kubernetes' own components: https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from rag_operator import names
from rag_operator.errors import ApiError, Conflict, LeaseLost
from rag_operator.kube import Client
from rag_operator.names import Ref

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a lease lasts, when its holder gives up renewing it, how often it tries, and how long one call may take.

    A holder gives up, with its last call done, before others may lead.
    """

    lease_seconds: int = 15
    deadline_seconds: float = 10.0
    retry_seconds: float = 2.0
    call_seconds: float = 4.0

    @classmethod
    def of(cls, lease_seconds: int) -> Timing:
        """In the proportions of Kubernetes' own components."""
        return cls(lease_seconds, lease_seconds * 2 / 3, lease_seconds * 2 / 15, lease_seconds * 4 / 15)


class Elector:
    """`acquire`, then `hold` for as long as the work goes on, then `release`."""

    def __init__(
        self,
        api: Client,
        ref: Ref,
        identity: str,
        *,
        monotonic: Callable[[], float],
        timing: Timing = Timing(),
    ) -> None:
        self._api = api
        self.lease = ref
        self._identity = identity
        self._monotonic = monotonic
        self._timing = timing
        self._lease: dict[str, Any] | None = None
        self._seen_at = 0.0

    async def acquire(self) -> None:
        """Return when we lead."""
        said: str | None = None
        while not await self._try():
            holder = (self._lease or {}).get("spec", {}).get("holderIdentity")
            if holder != said:
                log.info("standing by", leader=holder)
                said = holder
            await asyncio.sleep(self._timing.retry_seconds)
        log.info("leading", lease=str(self.lease))

    async def hold(self) -> None:
        """Renew for ever; LeaseLost when that does not work for too long, or somebody else has it."""
        while True:
            try:
                # With the write of the last renewal, which took call_seconds at most, less than the lease lasts.
                async with asyncio.timeout(self._timing.deadline_seconds):
                    await self._renew()
            except TimeoutError:
                given_up_after = f"{self._timing.deadline_seconds:g} s"
                raise LeaseLost(f"{self.lease} could not be renewed for {given_up_after}") from None

    async def _renew(self) -> None:
        await asyncio.sleep(self._timing.retry_seconds)
        while not await self._try():
            if self._is_anothers():
                raise LeaseLost(f"{self.lease} is another's")
            await asyncio.sleep(self._timing.retry_seconds)

    async def release(self) -> None:
        """Leave it to the next one, who need not wait for it to run out."""
        if self._lease and self._lease["spec"].get("holderIdentity") == self._identity:
            await self._write({**self._lease, "spec": {**self._lease["spec"], "holderIdentity": ""}})

    async def _try(self) -> bool:
        """Read, and write when it is ours, free or run out. Whatever goes wrong is a failed try."""
        lease = self._lease
        try:
            async with asyncio.timeout(self._timing.call_seconds):
                lease = await self._api.get(self.lease)
        except (ApiError, TimeoutError) as away:
            log.info("lease not read", error=str(away) or type(away).__name__)
            return False
        self._note(lease)
        if lease and self._is_anothers() and not self._has_run_out(lease):
            return False
        return await self._write(self._renewed(lease))

    def _note(self, lease: dict[str, Any] | None) -> None:
        if _version(lease) != _version(self._lease):
            self._seen_at = self._monotonic()
        self._lease = lease

    def _is_anothers(self) -> bool:
        holder = (self._lease or {}).get("spec", {}).get("holderIdentity")
        return bool(holder) and holder != self._identity

    def _has_run_out(self, lease: dict[str, Any]) -> bool:
        seconds = lease["spec"].get("leaseDurationSeconds") or self._timing.lease_seconds
        return self._monotonic() - self._seen_at > float(seconds)

    async def _write(self, lease: dict[str, Any]) -> bool:
        try:
            async with asyncio.timeout(self._timing.call_seconds):
                if _version(lease):
                    self._note(await self._api.replace(names.LEASE, lease))
                else:
                    self._note(await self._api.create(names.LEASE, lease))
        except Conflict:
            return False
        except (ApiError, TimeoutError) as away:
            log.info("lease not written", error=str(away) or type(away).__name__)
            return False
        return True

    def _renewed(self, lease: dict[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((lease or {}).get("spec") or {})
        if spec.get("holderIdentity") != self._identity:
            spec |= {"acquireTime": now, "leaseTransitions": spec.get("leaseTransitions", -1) + 1}
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": self._timing.lease_seconds, "renewTime": now}
        metadata = lease["metadata"] if lease else {"name": self.lease.name, "namespace": self.lease.namespace}
        return {
            "apiVersion": names.LEASE.api_version,
            "kind": names.LEASE.name,
            "metadata": metadata,
            "spec": spec,
        }


def _version(lease: dict[str, Any] | None) -> str | None:
    return lease["metadata"].get("resourceVersion") if lease else None
