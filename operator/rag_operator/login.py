"""Where the API server is and how to prove who we are: a pod's service account, else the kubeconfig."""

from __future__ import annotations

import logging
from pathlib import Path

import kopf

from rag_operator.errors import SettingInvalid

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def is_in_a_pod() -> bool:
    return (SERVICE_ACCOUNT / "token").exists()


def connection() -> kopf.ConnectionInfo:
    """Read anew at each call, because the kubelet replaces a pod's token every hour or so."""
    settings = kopf.OperatorSettings()
    try:
        found = (
            kopf.login_with_service_account(settings=settings)
            if is_in_a_pod()
            else kopf.login_via_client(settings=settings, logger=logging.getLogger(__name__))
        )
    except kopf.LoginError:
        found = None
    if found is None:
        raise SettingInvalid("no cluster to work for: run in a pod with a service account, or set KUBECONFIG")
    return found
