"""HTTPS on the measured server, as on every homeserver that is not on the site's own machine."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from commweb.site.homeserver_config import LOOPBACK, free_port

__all__ = ["Secured"]


@dataclass(frozen=True)
class Secured:
    """A certificate of its own for the loopback address, and the port that Synapse serves it on.

    Source: ``listeners`` and ``tls_certificate_path`` of Synapse's configuration manual.
    """

    certificate: Path
    key: Path
    port: int

    @classmethod
    def make(cls, folder: Path) -> Secured:
        """Write certificate and key (ECDSA P-256) into ``folder``; choose a free port."""
        made = cls(folder / "certificate.pem", folder / "key.pem", free_port())
        key = ec.generate_private_key(ec.SECP256R1())
        plain = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        made.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        made.certificate.write_bytes(_certificate(key).public_bytes(pem))
        return made

    @property
    def base_url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def config(self, plain_port: int) -> dict[str, Any]:
        """Keys of homeserver.yaml: HTTP on ``plain_port`` for whoever looks after the server,
        HTTPS beside it for those who are measured."""
        shared = {
            "bind_addresses": [LOOPBACK],
            "type": "http",
            "resources": [{"names": ["client"], "compress": False}],
        }
        return {
            "listeners": [
                {"port": plain_port, "tls": False, **shared},
                {"port": self.port, "tls": True, **shared},
            ],
            "tls_certificate_path": str(self.certificate),
            "tls_private_key_path": str(self.key),
        }


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "commweb bench")])
    today = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(LOOPBACK))
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
