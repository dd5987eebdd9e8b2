"""Which logged model is meant, which tags will do, when two requests share an environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.conversions import MAX_TAGS, check_tags, choose_logged_model
from taxiway.domain.errors import InvalidInput
from taxiway.domain.ids import new_id
from taxiway.domain.models import LoggedModel
from tests.builders import a_deployment, a_logged_model, a_ref, a_request, a_version


def logged(name: str, *, model_id: str | None = None, path: str | None = None) -> LoggedModel:
    return a_logged_model(ref=a_ref(name=name, model_id=model_id, path=path))


NEW = logged("model", model_id="m-1")
OLD = logged("model", path="old/model")
OTHER = logged("other", model_id="m-2")


def test_the_only_model_needs_no_name() -> None:
    assert choose_logged_model((NEW,), None) is NEW


@pytest.mark.parametrize("wanted", ["other", "m-2"])
def test_a_model_is_chosen_by_its_name_or_its_id(wanted: str) -> None:
    assert choose_logged_model((NEW, OTHER), wanted) is OTHER


def test_a_model_of_mlflow_2_is_chosen_by_its_folder() -> None:
    assert choose_logged_model((NEW, OLD), "old/model") is OLD


@pytest.mark.parametrize(
    ("models", "wanted", "said"),
    [
        ((), None, "logged no model"),
        ((), "model", "logged no model"),
        ((NEW, OTHER), None, "'model', 'other'"),
        ((NEW, OTHER), "none", "no model of this name"),
        ((NEW, OLD), "model", "2 models of the run have this name"),
    ],
)
def test_what_is_not_clear_is_asked_back(models: tuple[LoggedModel, ...], wanted: str | None, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        choose_logged_model(models, wanted)
    assert refused.value.field == "/logged_model"
    assert refused.value.hint


def test_ids_are_offered_where_names_are_not_enough() -> None:
    with pytest.raises(InvalidInput) as refused:
        choose_logged_model((NEW, OLD), "model")
    assert "'m-1', 'old/model'" in (refused.value.hint or "")


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"}, {"k" * 101: "x"}, {"k": "v" * 501}, {"k\n": "x"}, {"k": "a\x00b"}, {"k": "\ud800"},
        {f"k{n}": "v" for n in range(MAX_TAGS + 1)},
    ],
    ids=range(7),
)  # fmt: skip
def test_tags_that_will_not_do_are_refused(tags: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_tags(tags)


def test_tags_are_taken_as_they_are() -> None:
    tags = {"team": "Karten & Betrug", "k" * 100: "v" * 500, "leer": ""}
    assert check_tags(tags) == tags


@given(st.permutations(["a==1", "b==2", "c==3"]))
def test_the_order_of_requirements_is_no_matter(requirements: list[str]) -> None:
    assert a_request(requirements=tuple(requirements)).id == a_request(requirements=("a==1", "b==2", "c==3")).id


@pytest.mark.parametrize(
    "changes",
    [
        {"python": "3.12"},
        {"requirements": ("a==1",)},
        {"scoring_requirements": ()},
        {"mlflow_version": None},
        {"platform": "linux-aarch64"},
        {"index": "https://wheels.example/simple"},
    ],
    ids=str,
)
def test_what_would_be_resolved_differently_is_another_environment(changes: dict[str, object]) -> None:
    assert a_request(**changes).id != a_request().id


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {len(made) for made in ids} == {28}
    assert [made[:12] for made in ids] == sorted(made[:12] for made in ids)


def test_a_version_and_a_deployment_name_their_places() -> None:
    assert a_version(version=7).uri == "models:/scorer/7"
    assert a_deployment(version=7).path == "/staging/fraud/scorer/7/"
