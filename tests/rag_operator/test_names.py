"""Names and labels: what fits where Kubernetes checks it, and what finds its way back to a pipeline."""

from __future__ import annotations

import re

import pytest

from rag_operator import names
from rag_operator.names import Key

LONGEST = "a" * 40


def test_a_selector_is_part_of_the_labels() -> None:
    assert names.selector("p", "qdrant").items() <= names.labels("p", "qdrant").items()


def test_the_longest_pipeline_name_makes_valid_child_names() -> None:
    children = [names.qdrant(LONGEST), names.keys(LONGEST), names.client(LONGEST), names.data_claim(LONGEST)]
    # A StatefulSet adds a hash of ten to its pods' revision label, a claim puts its template's name before it.
    assert all(len(name) <= 52 and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) for name in children)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.example:5000/rag:1.2.3", "1.2.3"),
        ("rag@sha256:abc", None),
        ("rag:1.2@sha256:abc", "1.2"),
        ("registry.example:5000/rag", None),
        ("rag:" + "x" * 64, None),
    ],
)
def test_a_tag_becomes_a_label_where_it_may_be_one(image: str, version: str | None) -> None:
    assert names.version_label(image).get("app.kubernetes.io/version") == version


def test_an_object_of_ours_names_its_pipeline_and_others_none() -> None:
    ours = {"namespace": "team", "labels": names.labels("handbook", "runtime")}
    assert names.owner_key(ours) == Key("team", "handbook")
    assert names.owner_key({"namespace": "team", "labels": {names.LABEL_INSTANCE: "handbook"}}) is None
    assert names.owner_key({"namespace": "team"}) is None


def test_the_url_leaves_out_the_port_that_everybody_knows() -> None:
    assert names.service_url("p", "team", 80) == "http://p.team.svc"
    assert names.service_url("p", "team", 8080) == "http://p.team.svc:8080"
