"""`mckd export --push`: an exported folder as a repository of the Hugging Face Hub, by its official client."""

import os
from pathlib import Path
from typing import Literal

from mckd_ray import __version__
from mckd_ray.errors import ConfigError, StoreError

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105 - a name, not a token


def push_token(repository: str) -> str:
    """The token to push to `repository` with. Raises ConfigError if there is none, or the name is none of the Hub's."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigError(f"--push {repository}: {str(error).splitlines()[0]}") from error
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ConfigError(
            f"--push {repository}: {TOKEN_VARIABLE} is not set; put a token of the Hub that may write into it."
        )
    return token


def push(folder: Path, repository: str, kind: Literal["model", "dataset"], token: str) -> str:
    """Upload `folder`, in one commit, to `repository`, which is made if need be, and is private then; returns its URL.

    Raises StoreError if the Hub can't be reached, or refuses.
    """
    import httpx2
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    try:
        url = api.create_repo(repository, repo_type=kind, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=url.repo_id, repo_type=kind, folder_path=folder, commit_message=f"mckd_ray {__version__}"
        )
    except (httpx2.HTTPError, OSError) as error:
        said = " ".join(str(error).split())
        raise StoreError(f"{folder} is written, but was not pushed to {repository}: {said}") from error
    return str(url)
