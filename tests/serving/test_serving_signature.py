"""A server that is told a public key serves only what its owner signed."""

from __future__ import annotations

import pytest
from running_server import running
from small_registry import LINEAR, LINEAR_ROW, RECURRENT, SERIES

from dwcp_ml.errors import RegistryError, UnreadableFileError

pytest.importorskip("model_signing")
ROWS = {"instances": [LINEAR_ROW]}


def _key_pair(folder, name):
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def test_unsigned_altered_and_foreign_versions_are_refused(registry, tmp_path):
    from dwcp_ml.serving.signature import sign

    mine, public = _key_pair(tmp_path, "mine")
    other, _ = _key_pair(tmp_path, "other")
    sign(registry / LINEAR / "v1.0", mine)
    sign(registry / LINEAR / "v1.0", mine)  # again, over the first one
    sign(registry / RECURRENT / "v1.0", other)
    with running(registry, "--public-key", str(public), "--reload-s", "0.1") as server:
        assert server.post(f"/v1/models/{LINEAR}:predict", json=ROWS).status_code == 200
        assert "not what the owner" in server.get(f"/v2/models/{RECURRENT}").json()["error"]
        assert "not signed" in server.get(f"/v2/models/{SERIES}").json()["error"]
    with (registry / LINEAR / "v1.0" / "metadata.json").open("a") as metadata:
        metadata.write(" ")
    with running(registry, "--public-key", str(public)) as server:
        assert "not what the owner" in server.get(f"/v2/models/{LINEAR}").json()["error"]


def test_a_key_that_is_none_is_named(registry, tmp_path):
    from dwcp_ml.serving.signature import KeyOwner, sign, verify_signature

    mine, _ = _key_pair(tmp_path, "mine")
    folder = registry / LINEAR / "v1.0"
    sign(folder, mine)
    none = tmp_path / "none.pem"
    none.write_text("no key")
    with pytest.raises(UnreadableFileError, match=r"none\.pem"):
        sign(folder, none)
    with pytest.raises(UnreadableFileError, match=r"none\.pem"):
        verify_signature(folder, KeyOwner(none))
    with pytest.raises(RegistryError, match="no version"):
        sign(registry / LINEAR / "v9.9", mine)
