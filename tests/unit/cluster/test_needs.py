"""What is said when the machine lacks something."""

from __future__ import annotations

from tests.cluster import needs
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.needs import Package

PLUGINS = Package("containernetworking-plugins", any_of=("/usr/lib/cni/ptp", "/opt/cni/bin/ptp"))


def test_a_package_whose_program_is_not_there_is_missing() -> None:
    packages = [Package("runc", ("runc",)), Package("nftables", ("nft",))]
    assert needs.missing_packages(packages, has=lambda name: name == "nft") == ["runc"]


def test_a_file_may_lie_in_any_of_its_places() -> None:
    assert needs.missing_packages([PLUGINS], exists=lambda path: path == "/opt/cni/bin/ptp") == []
    assert needs.missing_packages([PLUGINS], exists=lambda path: False) == ["containernetworking-plugins"]


def test_what_is_missing_is_one_line_with_its_remedy() -> None:
    assert str(MissingPrerequisite("no runc", "install it")) == "no runc; install it"
