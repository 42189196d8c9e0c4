"""Grafana, self-hosted or Azure's: is it there, and annotations. Nothing of ours depends on it.

- `health`: does it answer
- `settings`: where it is and who signs in, from the environment
- `annotations`: write one, change one

docs/grafana.md has the variables.
"""

from acns_chaos.cluster.grafana.annotations import Annotation, Grafana
from acns_chaos.cluster.grafana.health import GRAFANA_VARIABLE, grafana_version
from acns_chaos.cluster.grafana.settings import GrafanaSettings, grafana_settings

__all__ = [
    "GRAFANA_VARIABLE",
    "Annotation",
    "Grafana",
    "GrafanaSettings",
    "grafana_settings",
    "grafana_version",
]
