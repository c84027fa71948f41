"""OpenSSF signatures of registered versions: made with a private key, checked before parsing.

The signature is detached, in ``model.sig`` beside the files it covers, so that it travels with a
version to wherever it is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_ml.errors import RegistryError, UnreadableFileError
from dwcp_ml.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = "model.sig"


def sign(folder: Path, private_key: Path) -> Path:
    """Sign every file of a version.

    Args:
        folder: of the version.
        private_key: PEM file of an elliptic key.

    Returns:
        The signature's file.

    Raises:
        UnreadableFileError: the key cannot be read.
        RegistryError: there is no such version.
    """
    if not folder.is_dir():
        raise RegistryError(f"there is no version at {folder}")
    library = _library()
    signature = folder / SIGNATURE
    with whole_file(signature) as draft:
        config = library.signing.Config().set_hashing_config(_hashing(library, folder, draft))
        try:
            config = config.use_elliptic_key_signer(private_key=private_key)
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableFileError(
                f"{private_key.name} holds no private elliptic key"
            ) from error
        config.sign(folder, draft)
    return signature


def verify_signature(folder: Path, public_key: Path) -> None:
    """Check that the version is what the key's owner signed.

    Raises:
        UnreadableFileError: the key cannot be read.
        RegistryError: unsigned, altered, or signed with another key.
    """
    library = _library()
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise RegistryError(f"it is not signed: {SIGNATURE} is missing")
    config = library.verifying.Config().set_hashing_config(_hashing(library, folder, signature))
    try:
        config = config.use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableFileError(f"{public_key.name} holds no public elliptic key") from error
    try:
        config.verify(folder, signature)
    except Exception as error:  # the library's errors share no base of their own
        raise RegistryError("its files are not what the owner of the public key signed") from error


def _hashing(library: Any, folder: Path, signature: Path) -> Any:
    """All files but the signature, an older one, too."""
    ignored = {signature, folder / SIGNATURE}
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
