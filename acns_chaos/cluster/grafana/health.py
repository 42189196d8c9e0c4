"""Grafana: is it there? Nothing of ours depends on it."""

from acns_chaos.errors import ApiError

__all__ = ["GRAFANA_VARIABLE", "grafana_version"]

GRAFANA_VARIABLE = "ACNS_CHAOS_GRAFANA_URL"


def grafana_version(url: str, timeout: float = 5.0) -> str:
    """Ask a Grafana for its health, without credentials.

    Args:
        url: its address.
        timeout: seconds for the answer.

    Returns:
        Its version, "" when it wants a login first, as Azure's does.

    Raises:
        ApiError: it does not answer, or says that it is not well.
    """
    import requests

    try:
        # A redirect leads to a login page, whose words prove nothing.
        answer = requests.get(
            f"{url.rstrip('/')}/api/health", timeout=timeout, allow_redirects=False
        )
    except (requests.RequestException, ValueError) as error:
        # Not its text: an address may carry credentials.
        raise ApiError(f"Grafana does not answer ({type(error).__name__})") from error
    if answer.status_code in (301, 302, 303, 307, 308, 401, 403):
        return ""
    if answer.status_code != 200:
        raise ApiError(f"Grafana answered {answer.status_code}", answer.status_code)
    try:
        said = answer.json()
    except ValueError as error:
        raise ApiError("what answers there is no Grafana") from error
    if not isinstance(said, dict) or "database" not in said:
        raise ApiError("what answers there is no Grafana")
    return str(said.get("version") or "?")[:40]
