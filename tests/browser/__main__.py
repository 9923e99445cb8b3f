"""Install Chromium, saying so first."""

from tests.cluster.needs import Package, ensure_packages

ensure_packages([Package("chromium", ("chromium",))])
