"""Which addresses a named cluster uses. Pure: the caller says which are taken on this machine.

Each cluster gets one /16 of a private range: pods at its start, Services in the middle, the link to the host last.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from tests.cluster.errors import ClusterError

FIRST_BLOCK, BLOCKS = 200, 48
LONGEST_INTERFACE_NAME = 15


@dataclass(frozen=True)
class Addresses:
    """The networks of one cluster, and who has which address in them."""

    block: IPv4Network

    @property
    def pods(self) -> IPv4Network:
        return IPv4Network((self.block[0], 24))

    @property
    def services(self) -> IPv4Network:
        return IPv4Network((self.block[128 * 256], 20))

    @property
    def link(self) -> IPv4Network:
        return IPv4Network((self.block[255 * 256], 30))

    @property
    def host(self) -> str:
        return str(self.link[1])

    @property
    def node(self) -> str:
        return str(self.link[2])

    @property
    def api_service(self) -> str:
        """The first Service address: Kubernetes gives it to the API server itself."""
        return str(self.services[1])


def choose(name: str, taken: Iterable[IPv4Network]) -> Addresses:
    """The block for a name: always the same one, unless it is taken; then the next that is free."""
    used = list(taken)
    preferred = hashlib.sha256(name.encode()).digest()[0]
    for offset in range(BLOCKS):
        block = IPv4Network(f"10.{FIRST_BLOCK + (preferred + offset) % BLOCKS}.0.0/16")
        if not any(block.overlaps(network) for network in used):
            return Addresses(block)
    raise ClusterError(f"all of 10.{FIRST_BLOCK}.0.0/16 to 10.{FIRST_BLOCK + BLOCKS - 1}.0.0/16 are taken here")


def parse_routes(lines: str) -> list[IPv4Network]:
    """The destinations in what `ip route show table all` prints; the default route takes nothing."""
    kinds = {"unicast", "local", "broadcast", "multicast", "unreachable", "blackhole", "prohibit", "throw", "nat"}
    taken = []
    for line in lines.splitlines():
        words = [word for word in line.split() if word not in kinds]
        if words and words[0][0].isdigit() and ":" not in words[0]:
            taken.append(IPv4Network(ip_network(words[0], strict=False)))
    return taken


def host_interface(name: str) -> str:
    """The host's end of the link to a cluster's node; long names are shortened to what the kernel takes."""
    full = f"ragops-{name}"
    if len(full) <= LONGEST_INTERFACE_NAME:
        return full
    return f"ragops-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
