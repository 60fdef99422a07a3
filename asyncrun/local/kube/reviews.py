"""What may I do: the reviews that ``kubectl auth can-i`` asks for."""

from __future__ import annotations

from asyncrun.local.kube.decoding import read_object
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.store import Json

_SELF = {
    "verbs": ["create"],
    "apiGroups": ["authorization.k8s.io"],
    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
}


def answer(call: Call) -> Json:
    """
    The review with its status.

    :raises ApiError: 400, 415.
    """
    review = read_object(call)
    shown = {"metadata": {}, **review}
    spec = review.get("spec") or {}
    if call.resource.kind == "SelfSubjectReview":
        return {**shown, "status": {"userInfo": {"username": call.identity.user, "groups": ["system:authenticated"]}}}
    if call.resource.kind == "SelfSubjectRulesReview":
        return {**shown, "spec": {}, "status": _rules(call, spec.get("namespace", ""))}
    asked = spec.get("resourceAttributes")
    if asked is None:
        return {**shown, "status": {"allowed": True}}
    resource = asked.get("resource", "")
    if asked.get("subresource"):
        resource = f"{resource}/{asked['subresource']}"
    allowed = call.identity.may(asked.get("verb", ""), resource, asked.get("namespace", ""), asked.get("name", ""))
    return {**shown, "status": {"allowed": allowed}}


def _rules(call: Call, namespace: str) -> Json:
    if call.identity.rules is None:
        rules: list[Json] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    else:
        rules = [
            {
                "verbs": list(rule.verbs),
                "apiGroups": [""],
                "resources": list(rule.resources),
                **({"resourceNames": list(rule.names)} if rule.names else {}),
            }
            for rule in call.identity.rules
            if rule.namespace in {"*", namespace}
        ]
    return {"resourceRules": [_SELF, *rules], "nonResourceRules": [], "incomplete": False}
