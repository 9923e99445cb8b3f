"""What an undisturbed ingest leaves: that, no more and no less, must be there after each fault."""

from __future__ import annotations

import pytest

from tests.faults.corpus import Undisturbed, undisturbed


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))
