"""A Sigstore of one's own: its certificate authority, both logs, and the trust in them.

Signing needs a network; verifying needs only what this makes: a certificate for an identity with
the certificate log's timestamp, and an entry in the signature log with its proof and promise.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dwcp_ml.serving.signature import SIGNATURE, sign

ISSUER_OID, TIMESTAMPS_OID = "1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.11129.2.4.2"
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "small sigstore")])
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
VALID = {"start": (NOW - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _public(key) -> bytes:
    return key.public_key().public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)


def _signed(key, content: bytes) -> bytes:
    return key.sign(content, ec.ECDSA(hashes.SHA256()))


class SmallSigstore:
    """Signs versions for any identity; ``trust_config`` is the file that verifiers need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca, self._ct, self._log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        key = x509.SubjectKeyIdentifier.from_public_key(self._ca.public_key())
        uses = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._root = (
            self._certificate(NAME, self._ca)
            .add_extension(x509.BasicConstraints(True, 0), critical=True)
            .add_extension(uses, critical=True)
            .add_extension(key, critical=False)
            .sign(self._ca, hashes.SHA256())
        )
        self.trust_config = folder / "trust.json"
        self.trust_config.write_text(json.dumps(self._trust()))

    def sign(self, version: Path, identity: str, issuer: str) -> None:
        """Leave the bundle that Sigstore would: a key's bundle, the key proven by certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = self._folder / "short-lived.pem"
        private.write_bytes(
            key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        )
        sign(version, private)
        bundle = json.loads((version / SIGNATURE).read_text())
        certificate = self._vouched(key, identity, issuer)
        bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json"
        bundle["verificationMaterial"] = {
            "certificate": {"rawBytes": _b64(certificate.public_bytes(form.Encoding.DER))},
            "tlogEntries": [self._entry(bundle["dsseEnvelope"], certificate)],
        }
        (version / SIGNATURE).write_text(json.dumps(bundle))

    def _certificate(self, subject, key) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(NAME)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(minutes=5))
            .not_valid_after(NOW + dt.timedelta(minutes=5))
        )

    def _vouched(self, key, identity: str, issuer: str) -> x509.Certificate:
        uses = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            self._certificate(x509.Name([]), key)
            .add_extension(uses, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca.public_key()), False
            )
            .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(identity)]), True)
            .add_extension(
                x509.UnrecognizedExtension(x509.ObjectIdentifier(ISSUER_OID), issuer.encode()),
                False,
            )
        )
        before = builder.sign(self._ca, hashes.SHA256()).tbs_certificate_bytes
        timestamps = x509.UnrecognizedExtension(
            x509.ObjectIdentifier(TIMESTAMPS_OID), self._timestamps(before)
        )
        return builder.add_extension(timestamps, False).sign(self._ca, hashes.SHA256())

    def _timestamps(self, certificate: bytes) -> bytes:
        """RFC 6962's list of one timestamp over the certificate without it."""
        ms = int(NOW.timestamp() * 1000)
        issuer = hashlib.sha256(_public(self._ca)).digest()
        size = len(certificate).to_bytes(3, "big")
        content = struct.pack("!BBQH", 0, 0, ms, 1) + issuer + size + certificate + b"\0\0"
        signature = _signed(self._ct, content)
        log = hashlib.sha256(_public(self._ct)).digest()
        one = b"\0" + log + struct.pack("!QHBBH", ms, 0, 4, 3, len(signature)) + signature
        inner = struct.pack("!HH", len(one) + 2, len(one)) + one
        return b"\x04" + _der_length(len(inner)) + inner  # a DER OCTET STRING

    def _entry(self, envelope: dict, certificate: x509.Certificate) -> dict:
        """Entry of a signature log that holds nothing else."""
        payload = base64.b64decode(envelope["payload"])
        pem = certificate.public_bytes(form.Encoding.PEM)
        digests = [hashlib.sha256(c).hexdigest() for c in (json.dumps(envelope).encode(), payload)]
        envelope_hash, payload_hash = ({"algorithm": "sha256", "value": d} for d in digests)
        signatures = [
            {"signature": one["sig"], "verifier": _b64(pem)} for one in envelope["signatures"]
        ]
        spec = {
            "envelopeHash": envelope_hash, "payloadHash": payload_hash, "signatures": signatures,
        }  # fmt: skip
        body = json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}).encode()
        log = hashlib.sha256(_public(self._log)).digest()
        promised = {
            "body": _b64(body), "integratedTime": int(NOW.timestamp()), "logID": log.hex(),
            "logIndex": 0,
        }  # fmt: skip
        promise = _signed(self._log, json.dumps(promised, separators=(",", ":")).encode())
        root = _b64(hashlib.sha256(b"\0" + body).digest())
        note = f"small.example\n1\n{root}\n"
        seal = _b64(log[:4] + _signed(self._log, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": _b64(log)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(promised["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": _b64(promise)},
            "inclusionProof": {
                "logIndex": "0", "rootHash": root, "treeSize": "1", "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 small.example {seal}\n"},
            },
            "canonicalizedBody": _b64(body),
        }  # fmt: skip

    def _trust(self) -> dict:
        def log(key) -> dict:
            return {
                "baseUrl": "https://log.small.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": _b64(_public(key)), "validFor": VALID,
                              "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
                "logId": {"keyId": _b64(hashlib.sha256(_public(key)).digest())},
            }  # fmt: skip

        root = _b64(self._root.public_bytes(form.Encoding.DER))
        authority = {
            "subject": {"organization": "example", "commonName": "small sigstore"},
            "uri": "https://ca.small.example",
            "certChain": {"certificates": [{"rawBytes": root}]},
            "validFor": VALID,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [log(self._log)],
                "ctlogs": [log(self._ct)],
                "certificateAuthorities": [authority],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaConfig": {"selector": "ANY"},
            },
        }


def _der_length(size: int) -> bytes:
    return bytes([size]) if size < 128 else bytes([0x81, size])
