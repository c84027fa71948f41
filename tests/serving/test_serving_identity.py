"""A server that is told an identity serves only what it signed, and says so when it cannot know."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from running_server import running, until
from small_registry import LINEAR, LINEAR_ROW, RECURRENT, SERIES

from dwcp_ml.errors import RegistryError, UnreadableFileError
from dwcp_ml.registry_commands import registry_commands
from dwcp_ml.serve_commands import serve_command

pytest.importorskip("model_signing")
ROWS = {"instances": [LINEAR_ROW]}
WHO, ISSUER = "ops@example.com", "https://login.example.com"
DWCP = "from dwcp_ml.cli import main; main()"


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory):
    from small_sigstore import SmallSigstore

    return SmallSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def offline(tmp_path):
    """An environment whose every connection is refused, with no user's cache."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    return {**os.environ, **nowhere, "HOME": str(tmp_path), "NO_PROXY": "", "no_proxy": ""}


def test_a_server_serves_what_the_identity_signed_and_nothing_else(registry, sigstore):
    sigstore.sign(registry / LINEAR / "v1.0", WHO, ISSUER)
    sigstore.sign(registry / RECURRENT / "v1.0", "other@example.com", ISSUER)
    given = ("--identity", WHO, "--issuer", ISSUER, "--trust-config", str(sigstore.trust_config))
    with running(registry, *given) as server:
        assert server.post(f"/v1/models/{LINEAR}:predict", json=ROWS).status_code == 200
        said = server.get(f"/v2/models/{RECURRENT}").json()["error"]
        assert f"not what {WHO} of {ISSUER} signed" in said
        assert "not signed" in server.get(f"/v2/models/{SERIES}").json()["error"]


def test_another_issuer_altered_files_and_a_foreign_sigstore_are_refused(
    registry, sigstore, tmp_path
):
    from small_sigstore import SmallSigstore

    from dwcp_ml.serving.signature import Identity, verify_signature

    folder = registry / LINEAR / "v1.0"
    sigstore.sign(folder, WHO, ISSUER)
    verify_signature(folder, Identity(WHO, ISSUER, sigstore.trust_config))
    foreign = SmallSigstore(tmp_path).trust_config
    for signer in (
        Identity(ISSUER, WHO, sigstore.trust_config),
        Identity(WHO, "https://login.example.org", sigstore.trust_config),
        Identity(WHO, ISSUER, foreign),
    ):
        with pytest.raises(RegistryError, match="not what"):
            verify_signature(folder, signer)
    with (folder / "metadata.json").open("a") as metadata:
        metadata.write(" ")
    with pytest.raises(RegistryError, match="not what"):
        verify_signature(folder, Identity(WHO, ISSUER, sigstore.trust_config))


def test_the_signature_of_a_key_is_no_identitys(registry, sigstore):
    from dwcp_ml.serving.signature import SIGNATURE, Identity, KeyOwner, sign, verify_signature

    folder = registry / LINEAR / "v1.0"
    sigstore.sign(folder, WHO, ISSUER)
    private = sigstore.trust_config.with_name("short-lived.pem")
    public = private.with_suffix(".pub")
    openssl = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(openssl, check=True, capture_output=True)
    sign(folder, private)
    verify_signature(folder, KeyOwner(public))
    with pytest.raises(RegistryError, match="not what"):
        verify_signature(folder, Identity(WHO, ISSUER, sigstore.trust_config))
    (folder / SIGNATURE).write_bytes(b"{}")
    with pytest.raises(RegistryError, match="not what"):
        verify_signature(folder, Identity(WHO, ISSUER, sigstore.trust_config))


def test_a_trust_configuration_that_is_none_is_named(registry, sigstore, tmp_path):
    from dwcp_ml.serving.signature import Identity, verify_signature

    folder = registry / LINEAR / "v1.0"
    sigstore.sign(folder, WHO, ISSUER)
    none = tmp_path / "none.json"
    none.write_text("{}")
    with pytest.raises(UnreadableFileError, match=r"none\.json"):
        verify_signature(folder, Identity(WHO, ISSUER, none))


def test_signing_and_verifying_without_a_network_say_what_they_need(registry, sigstore, offline):
    sigstore.sign(registry / LINEAR / "v1.0", WHO, ISSUER)
    before = (registry / LINEAR / "v1.0" / "model.sig").read_bytes()
    for command, sentence in (
        (["sign", "--sigstore", LINEAR], "needs the network"),
        (["verify", "--identity", WHO, "--issuer", ISSUER], "check the network"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", DWCP, "models", *command, "--registry", str(registry)],
            env=offline, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 28, done.stderr
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    assert (registry / LINEAR / "v1.0" / "model.sig").read_bytes() == before


def test_a_server_without_a_network_looks_again(registry, sigstore, offline, monkeypatch):
    for name, value in offline.items():
        monkeypatch.setenv(name, value)
    sigstore.sign(registry / LINEAR / "v1.0", WHO, ISSUER)
    with running(registry, "--identity", WHO, "--issuer", ISSUER, "--reload-s", "0.1") as server:
        mine = until(
            lambda: [x for x in server.logged("model refused") if x["model"] == LINEAR][1:]
        )
        assert "check the network" in mine[0]["why"]
        assert len([x for x in server.logged("model refused") if x["model"] == SERIES]) == 1
        assert server.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    ("command", "given", "sentence"),
    [
        ("verify", ["--identity", WHO], "belong together"),
        ("verify", ["--issuer", ISSUER], "belong together"),
        ("verify", ["--identity", WHO, "--issuer", ISSUER, "--public-key", "k"], "not both"),
        ("verify", ["--public-key", "k", "--trust-config", "t"], "goes with --identity"),
        ("sign", [LINEAR], "either --private-key or --sigstore"),
        ("sign", [LINEAR, "--sigstore", "--private-key", "k"], "either --private-key or"),
        ("sign", [LINEAR, "--private-key", "k", "--trust-config", "t"], "goes with --sigstore"),
        ("serve", ["--identity", WHO], "belong together"),
    ],
)
def test_options_that_do_not_go_together_are_refused(command, given, sentence):
    called = (
        [serve_command, given] if command == "serve" else [registry_commands, [command, *given]]
    )
    done = CliRunner().invoke(*called)
    assert done.exit_code == 2
    assert sentence in done.output
