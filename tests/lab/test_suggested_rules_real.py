"""A suggested rule in a real Prometheus over the lab: silent before the fault, fires after it."""

from pathlib import Path

import pytest
from misbehaving import cut_off, misbehaving_lab
from promql_support import INTERVAL, real_prometheus

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.gameday.results import SURVIVED, Place, Result, Signal
from acns_chaos.gameday.suggest import rules_text, suggest

pytestmark = pytest.mark.slow

SIGNALS = ("hubble_drop_total pets/store-front ingress", "cilium_drop_count_total ingress")


def survivor(signal: str) -> Result:
    """A closing fault that made one counter rise."""
    place = Place("lab", "LAB (simulated)", "lab", "u1", "pets")
    return Result(
        "d", "u1/pets", signal, "closes", SURVIVED, place, signals=(Signal(signal, True),)
    )


def test_a_suggested_rule_fires_on_the_first_drop(tmp_path: Path) -> None:
    """The storefront admits nobody: the drops are of series that were not there before."""
    made = [one for signal in SIGNALS for one in suggest(survivor(signal), scrape=INTERVAL)]
    assert len(made) == 2
    firing = 'ALERTS{{alertname="{}",alertstate="firing"}}'
    with (
        misbehaving_lab(tmp_path) as lab,
        real_prometheus(tmp_path, lab.ready["scrape"], rules_text(made)) as prometheus,
    ):
        api, _ = kubeconfig_api("", lab.ready["kubeconfig"])
        # The look back must lie within what was scraped.
        prometheus.wait_for("up offset 5s == 1")
        _, told = prometheus.get("rules")
        (group,) = told["data"]["groups"]
        rules = {rule["name"]: (rule["health"], rule["state"]) for rule in group["rules"]}
        assert rules == {one.name: ("ok", "inactive") for one in made}
        with cut_off(api, lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"]):
            for one in made:
                prometheus.wait_for(firing.format(one.name))
        api.close()
