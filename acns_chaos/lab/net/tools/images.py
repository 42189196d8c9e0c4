"""Which tools a container holds, by its image. What the tools do is in their own modules."""

from collections.abc import Mapping

from acns_chaos.lab.net.objects import Pod

# What an image is built on, to the C library of its programs.
LIBRARIES = {"alpine": "musl", "debian-slim": "glibc", "debian-curl": "glibc", "scratch": "musl"}
_UNKNOWN = "scratch"


class Images:
    """The world's images.

    Args:
        images: image name without registry and tag, to the base it is built on.
    """

    def __init__(self, images: Mapping[str, str]) -> None:
        self._images = images

    def base_of(self, pod: Pod, container: str = "") -> str | None:
        """The base of a container's image, None when the pod has no such container.

        Args:
            pod: a running pod.
            container: its name, "" for the first.
        """
        for candidate in pod.raw["spec"]["containers"]:
            if container in ("", candidate["name"]):
                return self.base(candidate["image"])
        return None

    def base(self, image: str) -> str:
        """The base of an image, as a container names it."""
        image = image.partition("@")[0]
        repository = image.rsplit(":", 1)[0] if ":" in image.rsplit("/", 1)[-1] else image
        for known, base in self._images.items():
            if repository == known or repository.endswith(f"/{known}"):
                return base
        return _UNKNOWN
