"""Annotations of Grafana: one that is written, and one that is changed.

POST and PATCH of /api/annotations, documented alike for Grafana 9 to 13. Nothing is asked twice
here: what a failure means for the run is decided where it is met. `requests` is imported when the
first annotation is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acns_chaos.cluster.grafana.settings import GrafanaSettings
from acns_chaos.errors import ApiError

if TYPE_CHECKING:
    from acns_chaos.cluster.prometheus.session import Session

__all__ = ["TIMEOUT", "Annotation", "Grafana"]

# Seconds that Grafana has for one answer. An annotation that comes later helps nobody who looks.
TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """What stands in Grafana.

    Attributes:
        time: milliseconds since the epoch.
        end: likewise; None for a moment, or for a region that is still open.
        tags: as they are to be found by.
        text: shown as HTML by Grafana, so whoever makes it has made it harmless.
    """

    time: int
    end: int | None
    tags: tuple[str, ...]
    text: str

    def as_json(self) -> dict[str, Any]:
        """Return the fields of Grafana's API."""
        ends = {} if self.end is None else {"timeEnd": self.end}
        return {"time": self.time, **ends, "tags": list(self.tags), "text": self.text}


class Grafana:
    """One Grafana; used by one thread.

    Args:
        settings: where, and who.
        timeout: seconds for one answer.
    """

    def __init__(self, settings: GrafanaSettings, timeout: float = TIMEOUT) -> None:
        self._settings = settings
        self._timeout = timeout
        self._opened: Session | None = None

    def add(self, annotation: Annotation) -> int:
        """Write an annotation.

        Returns:
            Its number in Grafana.

        Raises:
            ApiError: it was not written, or nobody knows; `status` is 0 when there was no answer.
        """
        bound = {"dashboardUID": self._settings.dashboard} if self._settings.dashboard else {}
        told = self._send("POST", "", {**annotation.as_json(), **bound})
        found = told.get("id") if isinstance(told, dict) else None
        if not isinstance(found, int):
            raise ApiError("what answers there is no Grafana", 200)
        return found

    def change(self, identifier: int, annotation: Annotation) -> None:
        """Change an annotation; errors as `add`."""
        self._send("PATCH", f"/{identifier}", annotation.as_json())

    def renew(self) -> bool:
        """Forget a token that was refused; tells whether another one may now come."""
        return self._settings.credentials.renew()

    @property
    def retry_after(self) -> float | None:
        """Seconds that the last answer asked to be left alone, None when it did not say."""
        return self._opened.retry_after if self._opened else None

    def close(self) -> None:
        """Close the connection."""
        if self._opened:
            self._opened.close()

    def _send(self, method: str, path: str, body: dict[str, Any]) -> Any:
        import requests

        from acns_chaos.cluster.prometheus.session import Session, cause

        if self._opened is None:
            self._opened = Session(self._settings.credentials, self._timeout)
        session, hide = self._opened, self._settings.credentials.hide
        url = f"{self._settings.url}/api/annotations{path}"
        try:
            response = session.request(method, url, json=body)
            told = response.json() if response.status_code == 200 else None
        except requests.JSONDecodeError:
            raise ApiError("what answers there is no Grafana", 200) from None
        except requests.TooManyRedirects as error:
            # Followed, the credentials would go along.
            status = error.response.status_code if error.response is not None else 302
            raise ApiError(f"it redirects ({status}): name where it really is", status) from None
        except requests.RequestException as error:
            # Not chained: a library's or a proxy's text may quote the credentials.
            raise ApiError(f"no answer: {cause(error, hide)}") from None
        except (ValueError, OSError) as error:
            raise ApiError(f"it cannot be asked: {type(error).__name__}") from None
        if response.status_code != 200:
            raise _refused(response.status_code, session, method, hide)
        return told


def _refused(status: int, session: "Session", method: str, hide: Callable[[str], str]) -> ApiError:
    """Say what an answer means, and what mends it."""
    kind = session.credentials.kind
    if status == 401:
        return ApiError(f"it does not accept the {kind} credentials (401)", status)
    if status == 403:
        azure = "Grafana Editor" if kind == "azure" else "Editor"
        return ApiError(
            "its permissions annotations:create and annotations:write are missing (403): give who "
            f"signs in the role {azure}",
            status,
        )
    if status == 404:
        what = (
            "somebody has deleted it (404)"
            if method == "PATCH"
            else "nothing is at this path (404): is the address complete, and the dashboard there?"
        )
        return ApiError(what, status)
    if status == 429:
        after = session.retry_after
        return ApiError(
            "it is asked too much (429)" + (f", for {after:g} s" if after is not None else ""),
            status,
        )
    return ApiError(f"it answered {status}: {hide(session.said)[:200]}", status)
