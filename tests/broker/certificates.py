"""Certificates of one test session, made by the `openssl` command: an authority and what it signed.

Keys are on the curve P-256, as files of PEM, which both librdkafka and Kafka read. Costs about 20 ms a certificate.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.broker.source import SourceUnavailable


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of a certificate and its unencrypted key; `store` holds both, as Kafka wants its key stores."""

    certificate: Path
    key: Path

    @property
    def store(self) -> Path:
        both = self.certificate.with_suffix(".store.pem")
        both.write_text(self.key.read_text() + self.certificate.read_text())
        return both


class Authority:
    """Signs certificates into one directory. SourceUnavailable where there is no `openssl`."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            raise SourceUnavailable("no `openssl` on the PATH to make certificates with")
        self._directory = directory
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        _openssl("req", "-x509", *_NEW_KEY, self._key, "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}")

    def signed(self, name: str, hosts: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> Certificate:
        """A certificate of subject CN=`name` for these hosts; with `days` 0 it has expired when it is made."""
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        request, extensions = made.key.with_suffix(".csr"), made.key.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={hosts}\n")
        _openssl("req", *_NEW_KEY, made.key, "-out", request, "-subj", f"/CN={name}")
        signer = ["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"]
        _openssl(
            "x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", made.certificate
        )
        return made


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")


def _openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
