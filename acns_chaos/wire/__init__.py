"""Hubble's messages and services: our own minimal `.proto` files and what protoc makes of them.

Importing this package costs nothing; its modules import protobuf, those named `_grpc` also grpc:

- `flow_pb2`, `relay_pb2`, `observer_pb2`: messages, with Cilium's public field numbers
- `observer_pb2_grpc`: the service `observer.Observer`, stub and server side
- `health_pb2`, `health_pb2_grpc`: the standard health service, as far as a relay serves it

`make wire` makes the modules anew. They come from protoc 27.2, the oldest whose messages still
load under the newest protobuf, so that protobuf from 5.27.2 on and grpcio from 1.66.2 on will do.

Not here: the fields of messages that the lab never fills (tunnels, Kafka, IP tracing, VRRP, IGMP),
and server reflection. Nothing else of ours may be imported here.
"""
