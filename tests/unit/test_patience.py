"""How long one answer of the API server is waited for."""

import pytest

from acns_chaos.cluster.kube import Api


class Client:
    """What `Api` takes of the official client."""

    class configuration:  # noqa: N801 - as the client calls it
        """Where the server is."""

        host = "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("", 10.0), ("1.5", 1.5), ("600", 600.0)]
    + [(wrong, 10.0) for wrong in ("0", "-1", "nan", "inf", "601", "ten")],
)
def test_the_time_out_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: str, seconds: float
) -> None:
    """A number of seconds; what is none, or would wait for ever, leaves ten."""
    monkeypatch.setenv("ACNS_CHAOS_API_TIMEOUT", given)
    assert Api(Client())._timeout == seconds
