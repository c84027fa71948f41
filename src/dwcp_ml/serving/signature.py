"""OpenSSF signatures of registered versions: by a private key or by an identity, checked first.

The signature is detached, in ``model.sig`` beside the files it covers, so that it travels with a
version to wherever it is served. An identity's signature is Sigstore's: a certificate of a few
minutes for an address that an OpenID Connect issuer vouches for, and an entry in a public log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RegistryError, SigstoreError, UnreadableFileError
from dwcp_ml.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = "model.sig"


@dataclass(frozen=True)
class KeyOwner:
    """Whoever holds the private key to ``public_key``, a PEM file."""

    public_key: Path

    def __str__(self) -> str:
        return "the owner of the public key"

    def missing(self) -> Path | None:
        """The file this needs, if it is not there."""
        return None if self.public_key.is_file() else self.public_key

    def configure(self, config: Any) -> Any:
        """Tell the library; UnreadableFileError if the file holds no public key."""
        try:
            return config.use_elliptic_key_verifier(public_key=self.public_key)
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableFileError(
                f"{self.public_key.name} holds no public elliptic key"
            ) from error


@dataclass(frozen=True)
class Identity:
    """Whoever an issuer knows by that name.

    Attributes:
        name: e-mail address, or URI of a workload.
        issuer: URL of the OpenID Connect issuer that vouches for it.
        trust_config: Sigstore's client trust configuration (JSON); None fetches the public one's.
    """

    name: str
    issuer: str
    trust_config: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} of {self.issuer}"

    def missing(self) -> Path | None:
        """The file this needs, if it is not there."""
        return self.trust_config if self.trust_config and not self.trust_config.is_file() else None

    def configure(self, config: Any) -> Any:
        """Tell the library; UnreadableFileError or SigstoreError without the roots of trust."""
        try:
            return config.use_sigstore_verifier(
                identity=self.name, oidc_issuer=self.issuer, trust_config=self.trust_config
            )
        except Exception as error:  # the library's errors share no base of their own
            if self.trust_config is not None:  # nothing is fetched then
                raise UnreadableFileError(
                    f"{self.trust_config.name} is no trust configuration of Sigstore"
                ) from error
            raise SigstoreError(
                f"Sigstore's roots of trust cannot be fetched ({_first_line(error)}): "
                "check the network, or give them with --trust-config"
            ) from error


Signer = KeyOwner | Identity


def sign(folder: Path, private_key: Path | None = None, trust_config: Path | None = None) -> Path:
    """Sign every file of a version, with a key or else by identity.

    Args:
        folder: of the version.
        private_key: PEM file of an elliptic key; None takes the identity of the machine's OpenID
            Connect token or, where it has none, of whoever logs in with a browser.
        trust_config: of another Sigstore than the public one.

    Returns:
        The signature's file.

    Raises:
        UnreadableFileError: the key cannot be read.
        SigstoreError: it cannot be reached, or there is no identity.
        RegistryError: there is no such version.
    """
    if not folder.is_dir():
        raise RegistryError(f"there is no version at {folder}")
    library = _library()
    signature = folder / SIGNATURE
    with whole_file(signature) as draft:
        config = library.signing.Config().set_hashing_config(_hashing(library, folder, draft))
        if private_key is not None:
            _with_key(config, private_key).sign(folder, draft)
        else:
            _sign_by_identity(config, folder, draft, trust_config)
    return signature


def verify_signature(folder: Path, signer: Signer) -> None:
    """Check that the version is what the signer signed.

    Raises:
        UnreadableFileError: the key or the trust configuration cannot be read.
        SigstoreError: its roots of trust cannot be fetched.
        RegistryError: unsigned, altered, or signed by another.
    """
    library = _library()
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise RegistryError(f"it is not signed: {SIGNATURE} is missing")
    config = library.verifying.Config().set_hashing_config(_hashing(library, folder, signature))
    config = signer.configure(config)
    try:
        config.verify(folder, signature)
    except Exception as error:  # the library's errors share no base of their own
        raise RegistryError(f"its files are not what {signer} signed") from error


def _with_key(config: Any, private_key: Path) -> Any:
    try:
        return config.use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableFileError(f"{private_key.name} holds no private elliptic key") from error


def _sign_by_identity(config: Any, folder: Path, draft: Path, trust_config: Path | None) -> None:
    try:
        config.use_sigstore_signer(use_ambient_credentials=True, trust_config=trust_config)
        config.sign(folder, draft)
    except Exception as error:  # the library's errors share no base of their own
        raise SigstoreError(
            f"Sigstore did not sign ({_first_line(error)}): signing by identity needs the network, "
            "and a token of the machine or a browser to log in"
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def _hashing(library: Any, folder: Path, signature: Path) -> Any:
    """All files but the signature, an older one and the lock of its writer, too."""
    ignored = {signature, folder / SIGNATURE, folder / f".{SIGNATURE}.lock"}
    return library.hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)


def _library() -> Any:
    try:
        import model_signing  # type: ignore[import-not-found]
        import model_signing.hashing  # type: ignore[import-not-found]
        import model_signing.signing  # type: ignore[import-not-found]
        import model_signing.verifying  # type: ignore[import-not-found]
    except ImportError as error:
        raise RegistryError(
            "signatures need the package model-signing: install the group 'signing'"
        ) from error
    return model_signing
