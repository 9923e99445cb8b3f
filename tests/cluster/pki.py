"""The certificates and keys of one cluster, made by openssl. Elliptic curves, because they cost milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.shell import run

VALID_DAYS = "3650"
CURVE = ("-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Certificate:
    """Who a certificate names, under which addresses it is reached, and who signs it."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()
    signer: str = "ca"


def authorities() -> tuple[Certificate, ...]:
    return (Certificate("ca", "ragops-test-ca"), Certificate("front-proxy-ca", "ragops-test-front-proxy-ca"))


def leaves(*, api_addresses: Sequence[str], node_name: str = "", node_address: str = "") -> tuple[Certificate, ...]:
    names = ("DNS:kubernetes.default.svc", "DNS:kubernetes.default", "DNS:kubernetes", "DNS:localhost")
    api_hosts = tuple(f"IP:{address}" for address in api_addresses) + names
    certificates = [
        Certificate("apiserver", "kube-apiserver", hosts=api_hosts),
        Certificate("admin", "admin", organization="system:masters"),
        Certificate("front-proxy", "front-proxy-client", signer="front-proxy-ca"),
    ]
    if node_name:
        hosts = (f"DNS:{node_name}", f"IP:{node_address}")
        certificates.append(Certificate("node", f"system:node:{node_name}", organization="system:nodes", hosts=hosts))
    return tuple(certificates)


def openssl_config(certificate: Certificate, *, authority: bool) -> str:
    """All that goes into a certificate. Stated whole, so that the machine's own openssl.cnf adds nothing."""
    subject = [f"CN = {certificate.common_name}"]
    if certificate.organization:
        subject.append(f"O = {certificate.organization}")
    extensions = ["basicConstraints = critical, CA:TRUE", "keyUsage = critical, keyCertSign, cRLSign, digitalSignature"]
    if not authority:
        extensions = [
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            "extendedKeyUsage = serverAuth, clientAuth",
        ]
    if certificate.hosts:
        extensions.append(f"subjectAltName = {', '.join(certificate.hosts)}")
    sections = {
        "req": ["prompt = no", "distinguished_name = subject", "x509_extensions = extensions"],
        "subject": subject,
        "extensions": [*extensions, "subjectKeyIdentifier = hash"],
    }
    return "".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items())


def write_certificates(folder: Path, certificates: Sequence[Certificate]) -> None:
    """Make the authorities, the certificates and the service account key pair in a folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for authority in authorities():
        _make(folder, authority, signer=None)
    for certificate in certificates:
        _make(folder, certificate, signer=certificate.signer)
    run(["openssl", "genpkey", "-algorithm", "EC", *CURVE, "-out", folder / "sa.key"])
    run(["openssl", "pkey", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub"])


def _make(folder: Path, certificate: Certificate, signer: str | None) -> None:
    stem = folder / certificate.name
    config = stem.with_suffix(".cnf")
    config.write_text(openssl_config(certificate, authority=signer is None))
    out: list[str | Path] = ["-keyout", stem.with_suffix(".key"), "-out", stem.with_suffix(".crt"), "-days", VALID_DAYS]
    signed: list[str | Path] = ["-CA", folder / f"{signer}.crt", "-CAkey", folder / f"{signer}.key"] if signer else []
    run(["openssl", "req", "-x509", "-newkey", "ec", *CURVE, "-nodes", "-config", config, *out, *signed])
    config.unlink()
