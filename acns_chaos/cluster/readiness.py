"""Whether Kubernetes believes a workload to be well, as chaosk8s tells it.

chaosk8s opens its own client from KUBECONFIG, which for the length of a run names the target alone
(`isolation`), and nothing else of ours reads Deployments.
"""

from acns_chaos.errors import ApiError

__all__ = ["deployment_is_available"]


def deployment_is_available(context: str, namespace: str, name: str) -> bool:
    """Tell whether all replicas of a Deployment are available, that is Ready.

    Args:
        context: the run's kube context.
        namespace: of the Deployment.
        name: its name; one that does not exist is not available.

    Raises:
        ApiError: the API server cannot be asked.
    """
    import urllib3
    from chaosk8s.deployment.probes import deployment_available_and_healthy
    from kubernetes.client.rest import ApiException

    try:
        return bool(
            deployment_available_and_healthy(
                name,
                ns=namespace,
                raise_on_unavailable=False,
                secrets={"KUBERNETES_CONTEXT": context},
            )
        )
    except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise ApiError(f"Deployment {namespace}/{name} cannot be read: {text}") from error
