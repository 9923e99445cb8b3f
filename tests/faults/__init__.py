"""What is broken on purpose: a proxy before the API server, and kills that `make faults` repeats and tabulates."""

from tests.faults.proxy import Fault, FaultProxy, Request, fault_proxy

__all__ = ["Fault", "FaultProxy", "Request", "fault_proxy"]
