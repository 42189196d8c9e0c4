"""The kinds in which a client asks who somebody is, what somebody may do, and for a token: schemas.

Such objects are answered and never stored; the answers are those of ``access.reviews``.
"""

from acns_chaos.policy.schema import ANY, INTEGER, STRING, STRINGS, Field
from acns_chaos.policy.schema_native import kind_schema

_RESOURCE = Field(
    fields={
        "fieldSelector": ANY,
        "group": STRING,
        "labelSelector": ANY,
        "name": STRING,
        "namespace": STRING,
        "resource": STRING,
        "subresource": STRING,
        "verb": STRING,
        "version": STRING,
    }
)
_WISH = {
    "nonResourceAttributes": Field(fields={"path": STRING, "verb": STRING}),
    "resourceAttributes": _RESOURCE,
}
_SUBJECT = {
    "extra": Field(values=STRINGS),
    "groups": STRINGS,
    "uid": STRING,
    "user": STRING,
}
SELF_ACCESS_REVIEW = kind_schema(spec=Field(fields=_WISH), status=ANY)
ACCESS_REVIEW = kind_schema(spec=Field(fields={**_WISH, **_SUBJECT}), status=ANY)
RULES_REVIEW = kind_schema(spec=Field(fields={"namespace": STRING}), status=ANY)
SELF_REVIEW = kind_schema(status=ANY)
TOKEN_REVIEW = kind_schema(spec=Field(fields={"audiences": STRINGS, "token": STRING}), status=ANY)
TOKEN_REQUEST = kind_schema(
    spec=Field(
        fields={
            "audiences": STRINGS,
            "boundObjectRef": Field(
                fields={"apiVersion": STRING, "kind": STRING, "name": STRING, "uid": STRING}
            ),
            "expirationSeconds": INTEGER,
        }
    ),
    status=ANY,
)
