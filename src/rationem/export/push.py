"""Upload to the Hugging Face hub in one commit, so that a partial upload is never visible. Messages never hold the
token.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rationem.engines import models
from rationem.errors import ConfigError, HubError, RunError, writing
from rationem.export.origin import model_of
from rationem.export.stage import stage
from rationem.ledger.scratch import scratch

#: Files of an earlier upload that would be read beside the new ones; those that are not replaced are deleted.
STALE = (
    *("adapter_config.json", "adapter_model.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json", "config.json"),
)


def write(run: Path, directory: Path, *, name: str | None = None, merged: bool, base_model: str | None = None) -> Path:
    """Write the files of an upload into a new or empty directory, whole or not at all; nothing is sent.

    Raises:
        ConfigError: the directory is not empty.
        DiskError: it cannot be written.
        RationemError: see :func:`rationem.export.stage.stage`.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ConfigError(f"--directory {directory} is not empty. Name a new directory.")
    if run.resolve() == directory.resolve() or run.resolve() in directory.resolve().parents:
        raise RunError(f"{run} is only read: --directory names a directory outside it.")
    with writing(directory):
        directory.parent.mkdir(parents=True, exist_ok=True)
        with scratch(f".{directory.name}.rationem-", directory.parent) as draft:
            inside = draft / "model"
            inside.mkdir()
            stage(run, inside, name=name, merged=merged, base_model=base_model)
            inside.rename(directory)
    return directory


def push(
    run: Path, name: str, *, private: bool = False, merged: bool, revision: str | None, base_model: str | None = None
) -> str:
    """Upload a run's judge to the hub; return its address.

    The token is that of ``hf auth login``, or of the variable HF_TOKEN.

    Args:
        name: OWNER/NAME; created if it does not exist.
        private: refuse to upload into a public repository.
        revision: a branch, created if it does not exist; None is the main one.

    Raises:
        HubError: no token, no network, or the hub refuses.
        ConfigError: the name is invalid.
        RationemError: see :func:`rationem.export.stage.stage`.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils import validate_repo_id

    model_of(run)
    with _refusals(name, None):
        validate_repo_id(name)
    if name.count("/") != 1:
        raise ConfigError(f"{name!r}: write OWNER/NAME, your name or your organization's on the hub before the stroke.")
    token = get_token()
    if token is None:
        raise HubError("No token for the hub: run hf auth login, or set HF_TOKEN to a token that can write.")
    with scratch("rationem-push-") as draft:
        with writing(draft):
            stage(run, draft, name=name, merged=merged, base_model=base_model)
        with models.quiet(), _refusals(name, token):
            api = HfApi(token=token)
            url = api.create_repo(name, private=private or None, exist_ok=True)
            if private and not api.repo_info(name).private:
                raise HubError(
                    f"{name} is there already, and public: nothing was uploaded. Leave --private out, or name another."
                )
            if revision:
                api.create_branch(name, branch=revision, exist_ok=True)
            _commit(api, name, draft, revision)
    return f"{url}/tree/{revision}" if revision else str(url)


def _commit(api: object, name: str, directory: Path, revision: str | None) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    assert isinstance(api, HfApi)
    new = {path.name for path in directory.iterdir()}
    there = set(api.list_repo_files(name, revision=revision))
    stale = [old for old in there - new if old in STALE or (old.endswith(".safetensors") and "/" not in old)]
    api.create_commit(
        name,
        [
            *(CommitOperationDelete(old) for old in sorted(stale)),
            *(CommitOperationAdd(one, directory / one) for one in sorted(new)),
        ],
        commit_message="Trained by rationem",
        revision=revision,
    )


@contextmanager
def _refusals(name: str, token: str | None) -> Iterator[None]:
    """Turn exceptions of the hub's client into messages without the token."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled

    def clean(text: object) -> str:
        first = " ".join(str(text).split())[:300]
        return first.replace(token, "***") if token else first

    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"{name!r} is no name on the hub: {clean(error)}") from None
    except OfflineModeIsEnabled:
        raise HubError("The hub is switched off here (HF_HUB_OFFLINE). Unset it to push.") from None
    except HfHubHTTPError as error:
        raise HubError(_refused(name, error.response.status_code, clean(error.server_message or ""))) from None
    except (HTTPError, OSError) as error:
        raise HubError(f"The hub cannot be reached: {clean(error) or type(error).__name__}. Nothing is lost.") from None
    except (RuntimeError, ValueError) as error:  # the client raises these for a broken upload or an odd answer
        why = clean(error.__cause__ or "")
        raise HubError(f"The upload broke off: {clean(error)} {why} Give the same command again.") from None


def _refused(name: str, status: int, said: str) -> str:
    told = f" The hub says: {said}" if said else ""
    if status == 401:
        return f"The hub does not accept the token (401). Make a new one that can write: hf auth login.{told}"
    if status == 403:
        return f"This token may not write to {name} (403): not yours, or a token that can only read.{told}"
    if status == 404:
        return f"The hub does not know {name}, or its owner (404).{told}"
    return f"The hub refused to take {name} ({status}).{told}"
