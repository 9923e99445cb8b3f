import re
from dataclasses import replace

import numpy as np
import pytest

from rag_runtime.adapters import indexes
from rag_runtime.errors import IndexMismatch, StoreRejected
from tests.stores import embedded, spec


def test_an_index_is_named_after_its_settings() -> None:
    name = indexes.index_name(spec())
    assert re.fullmatch(r"handbook__[0-9a-f]{8}", name)
    assert name == indexes.index_name(replace(spec(), settings=tuple(reversed(spec().settings))))
    assert name != indexes.index_name(spec(model="other"))


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x" * 201, "naïve", "a\n"])
def test_a_name_that_is_no_plain_word_is_refused(name: str) -> None:
    with pytest.raises(StoreRejected, match="COLLECTION_NAME"):
        indexes.index_name(replace(spec(), name=name))


def test_a_stamp_survives_its_payload() -> None:
    stamp = indexes.stamp_for(spec(late=True), owner="a/b")
    assert indexes.from_payload(stamp.to_payload()) == stamp


@pytest.mark.parametrize("payload", [{}, {"index": 1}, {"index": "x", "owner": "", "settings": [], "dense_size": 8}])
def test_what_we_did_not_write_is_no_stamp(payload: dict[str, object]) -> None:
    assert indexes.from_payload(payload) is None


def judge(found: str | None, wanted: str, *, adopt: bool = False, model: str = "tiny") -> bool:
    stamp = None if found is None else indexes.stamp_for(spec(model=model), owner=found)
    return indexes.needs_stamp(stamp, indexes.stamp_for(spec(), owner=wanted), index="i", adopt=adopt)


def test_our_own_index_is_used_as_it_is() -> None:
    assert judge("a/b", "a/b") is False


@pytest.mark.parametrize("found", [None, ""])
def test_an_unclaimed_index_is_stamped_when_adoption_is_asked_for(found: str | None) -> None:
    assert judge(found, "a/b", adopt=True) is True
    with pytest.raises(IndexMismatch):
        judge(found, "a/b")


@pytest.mark.parametrize("wanted", ["c/d", ""])
def test_adoption_never_takes_from_an_owner(wanted: str) -> None:
    with pytest.raises(IndexMismatch, match="a/b"):
        judge("a/b", wanted, adopt=True)


def test_other_settings_are_refused_even_under_adoption() -> None:
    with pytest.raises(IndexMismatch, match="EMBEDDING_MODEL=other"):
        judge("", "a/b", adopt=True, model="other")


def test_a_different_size_is_a_different_index() -> None:
    found = indexes.stamp_for(replace(spec(), dense_size=99), owner="")
    with pytest.raises(IndexMismatch, match="dense size=99"):
        indexes.needs_stamp(found, indexes.stamp_for(spec(), owner=""), index="i", adopt=False)


def test_sound_vectors_pass() -> None:
    indexes.check_vectors(spec(), embedded(count=2))
    indexes.check_vectors(spec(late=True), embedded(late=True))


def test_late_vectors_are_there_exactly_when_the_index_has_them() -> None:
    with pytest.raises(StoreRejected, match="given, but"):
        indexes.check_vectors(spec(), embedded(late=True))
    with pytest.raises(StoreRejected, match="missing"):
        indexes.check_vectors(spec(late=True), embedded())


@pytest.mark.parametrize("side", ["dense", "late-interaction", "sparse"])
def test_a_number_that_is_not_finite_names_its_side(side: str) -> None:
    (one,) = embedded(late=True)
    array = {"dense": one.vectors.dense, "late-interaction": one.vectors.late, "sparse": one.vectors.sparse.values}[
        side
    ]
    assert array is not None
    array.flat[0] = np.inf
    with pytest.raises(StoreRejected, match=f"{side} vector"):
        indexes.check_vectors(spec(late=True), [one])
