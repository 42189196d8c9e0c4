"""What a namespace allows, and when."""

from datetime import UTC, datetime
from typing import Any

import pytest

from acns_chaos.cluster.allowed import ALLOWED, Allowed, read_allowed
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.target import Target
from acns_chaos.errors import TargetRefused
from tests.unit.fakes import FakeApi

MONDAY_NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FRONT = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")


def allowed(data: dict[str, str] | None, kind: str = "cluster") -> Allowed:
    """Read the ConfigMap with this data; None: there is none."""
    api = FakeApi()
    if data is not None:
        path = f"/api/v1/namespaces/pets/configmaps/{ALLOWED}"
        api.objects[path] = {"metadata": {"name": ALLOWED}, "data": data}
    target = Target(kind, "prod", api.server, "uid", "pets", "1.19.4", "v1.33.5")
    return read_allowed(api, target)  # type: ignore[arg-type]


def test_a_real_namespace_must_have_opted_in() -> None:
    """The sentence holds the command with which its owner does."""
    command = "kubectl create configmap acns-chaos-allowed -n pets"
    with pytest.raises(TargetRefused, match=command):
        allowed(None)


def test_the_lab_has_opted_in_by_being_one() -> None:
    """Nobody has to prepare it."""
    assert allowed(None, "lab") == Allowed()


def test_an_empty_one_allows_everything() -> None:
    """`kubectl create configmap` without data is enough."""
    found = allowed({})
    assert found.refused(FRONT, 9999) == ""
    assert found.refused_now(MONDAY_NOON) == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"kinds": "NetworkPolicy"}, "allows NetworkPolicy only, not CiliumNetworkPolicy"),
        ({"policies": "allow-order-*\nallow-x"}, "allows allow-order-*, allow-x only, not allow-s"),
        ({"max-deadline-seconds": "60"}, "stand for 60 s at most, and this one may stand 300 s"),
    ],
)
def test_it_narrows_what_may_be_changed(data: dict[str, str], said: str) -> None:
    """Kinds, names and how long."""
    assert said in allowed(data).refused(FRONT, 300)


@pytest.mark.parametrize(
    ("window", "moment", "closed"),
    [
        ("Mon-Fri 07:00-18:00", MONDAY_NOON, True),
        ("Tue-Fri 07:00-18:00", MONDAY_NOON, False),
        ("07:00-12:00", MONDAY_NOON, False),
        ("12:00-12:01", MONDAY_NOON, True),
        ("22:00-06:00", MONDAY_NOON.replace(hour=23), True),
        ("Sun 22:00-06:00", MONDAY_NOON.replace(hour=5), True),
        ("Mon 22:00-06:00", MONDAY_NOON.replace(hour=5), False),
        ("Fri-Mon 00:00-23:59", MONDAY_NOON, True),
    ],
)
def test_a_blackout_is_a_time_of_the_week(window: str, moment: datetime, closed: bool) -> None:
    """In UTC; one that ends before it begins goes on past midnight."""
    assert bool(allowed({"blackout": window}).refused_now(moment)) is closed


@pytest.mark.parametrize(
    "data",
    [
        {"blackout": "always"},
        {"blackout": "Foo 07:00-08:00"},
        {"blackout": "29:00-30:00"},
        {"blackout": "7:00-8:00"},
        {"kinds": "Deployment"},
        {"max-deadline-seconds": "soon"},
        {"max-deadline-seconds": "-1"},
        {"polices": "x"},
    ],
)
def test_what_cannot_be_understood_allows_nothing(data: dict[str, Any]) -> None:
    """A narrowing with a mistake in it is never taken for none."""
    with pytest.raises(TargetRefused, match="ConfigMap acns-chaos-allowed"):
        allowed(data)
