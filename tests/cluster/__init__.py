"""A real Kubernetes for anyone: an existing cluster, kind where Docker answers, or one built here from Go modules."""

from tests.cluster.control import control_plane
from tests.cluster.errors import ClusterError
from tests.cluster.handle import Cluster
from tests.cluster.images import Image
from tests.cluster.opening import end_cluster, keep_cluster, open_cluster

__all__ = ["Cluster", "ClusterError", "Image", "control_plane", "end_cluster", "keep_cluster", "open_cluster"]
