"""The subresources of a pod: exec, port-forward and log, as a kubelet serves them.

The protocols on the wire are in ``api.streams``; the programs that run are in ``lab.net``.
"""
