"""Tracking URIs: what is taken, what is refused, and that passwords are shown nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_ml.errors import TrackingError
from dwcp_ml.tracking.place import Place, tracking_place, without_login

SECRET = st.text(
    st.characters(exclude_characters="/@", categories=["L", "N", "P", "S"]), min_size=1
)


def place(uri, **more):
    return tracking_place({"MLFLOW_TRACKING_URI": uri} | more)


def test_nothing_set_is_no_tracking():
    assert tracking_place({}) is None
    assert place("  ") is None


@pytest.mark.parametrize(
    "uri",
    ["http://localhost:5000", "https://me:pw@host/base", "databricks", "databricks://profile",
     "sqlite:///a.db", "postgresql+psycopg2://u:p@h/db", "mlruns", "/srv/mlruns", "file:mlruns"],
)  # fmt: skip
def test_what_mlflow_takes_is_taken(uri):
    assert place(uri).uri == uri


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("localhost:5000", "has no scheme; write http://localhost:5000"),
        ("htp://host", "did you mean 'http'"),
        ("http://", "names no host"),
        ("http://host:99999", "is no URI"),
        ("http://[::1", "is no URI"),
        ("ftp://me:hunter2@host", "knows no 'ftp://'"),
    ],
)
def test_what_it_does_not_take_is_one_sentence(uri, says):
    with pytest.raises(TrackingError) as caught:
        place(uri)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(SECRET, SECRET)
def test_no_login_is_shown(user, password):
    uri = f"http://{user}:{password}@host:1/x"
    assert Place(uri).shown == "http://***@host:1/x"
    assert Place(uri).page("1", "r") == "http://host:1/x/#/experiments/1/runs/r"
    told = f"API request to {uri} failed, and {uri}/api too"
    assert without_login(told) == told.replace(f"{user}:{password}@", "***@")


def test_experiments_are_called_after_the_model_below_a_prefix():
    assert place("http://h").experiment("toy") == "dwcp/toy"
    named = place("http://h", MLFLOW_EXPERIMENT_NAME="team/links/")
    assert named.experiment("toy", "tuning") == "team/links/toy/tuning"
