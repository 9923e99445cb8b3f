"""The pods' service accounts, without rights and tokens: names for a cloud's roles and for policies. Pure."""

from __future__ import annotations

from rag_operator import names
from rag_operator.desired.common import Body, build_object
from rag_operator.desired.placement import account_name
from rag_operator.spec import RagPipeline
from rag_operator.spec.placement import PodTemplate


def build_account(app: RagPipeline, component: str, template: PodTemplate) -> Body:
    name = account_name(app, component)
    body = build_object(names.SERVICE_ACCOUNT, app, name, component, automountServiceAccountToken=False)
    if template.service_account_annotations:
        body["metadata"]["annotations"] = dict(template.service_account_annotations)
    return body
