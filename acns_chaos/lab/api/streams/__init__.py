"""What exec and port-forward travel on: SPDY/3.1, bare or in a WebSocket, and WebSocket channels.

Here belong transports and the copying of bytes. What a command does is in ``lab.net``; what a
request asks for, and how a refusal reads, is in ``lab.api``.

- ``frames``: SPDY bytes to frames and back; pure.
- ``session``: streams over frames.
- ``links``: what carries a session.
- ``channels``: the numbered channels of a WebSocket.
- ``ports``: what listens inside pods.
- ``portforward``: from a client's stream to a pod's port.
"""
