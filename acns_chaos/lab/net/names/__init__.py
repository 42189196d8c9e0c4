"""Names: what the cluster's DNS holds, how pods resolve it, what the DNS proxy learns from it."""
