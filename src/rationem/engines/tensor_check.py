"""Checks that a checkpoint's tensors match its configuration, from headers only, before loading.

transformers fills missing tensors with random numbers, drops unknown ones, and only warns. Here both are errors.
Differences that it rightly ignores stay allowed: a head tied to the embedding, a rotary embedding's buffer, a family's
own list of tensors to ignore. transformers' own rules decide, applied to tensors without data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rationem.engines.checkpoint import Tensor, listed, read_by_library, tensor_digest, tensors
from rationem.engines.models import quiet
from rationem.errors import ModelError

_LAYER = re.compile(r"\.(\d+)\.")


def check(directory: Path) -> None:
    """Reject a checkpoint with missing, unexpected or mismatched tensors.

    Raises:
        ModelError: names the tensors; or weight files are missing or damaged.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    found = tensors(directory)
    with read_by_library(directory):
        settings = AutoConfig.from_pretrained(directory, trust_remote_code=False)
    kind = AutoModelForCausalLM._model_mapping[type(settings)]
    try:
        with unreported():
            model, told = kind.from_pretrained(
                None,
                config=settings,
                state_dict={name: _empty(one) for name, one in found.items()},
                device_map="meta",
                **ASKED,
            )
    except RuntimeError:  # one of several tensors to combine is missing, and the error names none
        model, told = _by_names(settings, found)
    refuse(str(directory), model, told)
    _check_tied(directory, model, found)


#: Arguments that make transformers report its findings instead of continuing, or failing without a name.
ASKED = {"output_loading_info": True, "ignore_mismatched_sizes": True}


def refuse(path: str, model: Any, told: Mapping[str, Any]) -> None:
    """Reject a model if transformers reported wrong tensors when loading it.

    Args:
        path: the checkpoint's path.
        model: the loaded model.
        told: transformers' report: missing, unexpected and mismatched tensors.

    Raises:
        ModelError: there are any, or weights are not finite.
    """
    missing, unexpected = sorted(told["missing_keys"], key=_by_layer), sorted(told["unexpected_keys"], key=_by_layer)
    parts = [f"it lacks {listed(missing)}"] if missing else []
    parts += [f"it holds {listed(unexpected)}, which that model has not"] if unexpected else []
    shapes = [f"{name} is {_sides(has)} for {_sides(wants)}" for name, has, wants in sorted(told["mismatched_keys"])]
    parts += [listed(shapes)] if shapes else []
    parts += [str(error) for error in told.get("error_msgs", ())]
    if not parts:
        if not model.device.type == "meta" and (broken := not_finite(model)):
            raise ModelError(f"The weights in {path!r} are not finite (nan or inf): {listed(broken)}. Get them again.")
        return
    settings = model.config.get_text_config()
    layers = getattr(settings, "num_hidden_layers", None)
    asks = f"{type(model).__name__}, {layers} layers" if layers else type(model).__name__
    raise ModelError(
        f"The weights in {path!r} do not match its config.json ({asks}): {'; '.join(parts)}. Missing tensors would be "
        "random, and unexpected ones belong to another model. Get the whole checkpoint of a causal language "
        "model, with the config.json that belongs to it."
    )


def check_vocabulary(path: str, tokenizer: Any, rows: int) -> None:
    """Reject a tokenizer with tokens outside the embedding.

    Control tokens that are never used here may be outside (Gemma 3 has one for images), but not those of the template,
    nor padding, begin and end tokens.

    Args:
        path: the checkpoint's path.
        tokenizer: the checkpoint's tokenizer.
        rows: the embedding's number of rows.

    Raises:
        ModelError: names the tokens.
    """
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not beyond:
        return
    added = tokenizer.added_tokens_decoder
    asked, template = {tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id}, tokenizer.chat_template
    unused = {
        n for n in beyond if n in added and added[n].special and n not in asked and beyond[n] not in str(template)
    }
    if lost := [repr(beyond[number]) for number in sorted(set(beyond) - unused)]:
        raise ModelError(
            f"The tokenizer of {path!r} has tokens that the model does not know: {listed(lost, 4)}; the model's "
            f"embedding has {rows} rows. Use the tokenizer that belongs to these weights, or save them with an "
            "embedding that was resized (resize_token_embeddings) and trained."
        )


def not_finite(model: Any) -> list[str]:
    """Return the names of weights with nan or inf; of sharded weights only this process's part is checked."""
    import torch

    found = []
    for name, weight in model.named_parameters():
        one = weight.detach()
        one = one.to_local() if hasattr(one, "to_local") else one
        if one.is_floating_point() and one.numel() and not all(torch.isfinite(end) for end in torch.aminmax(one)):
            found.append(name)
    return found


def check_adapter(directory: Path, base: Path) -> None:
    """Reject an adapter whose tensors or shapes do not fit its settings on its base model.

    Raises:
        ModelError: names the tensors.
    """
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from transformers import AutoConfig, AutoModelForCausalLM

    with read_by_library(base), torch.device("meta"):
        settings = AutoConfig.from_pretrained(base, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    try:
        with quiet():
            adapted = get_peft_model(model, LoraConfig.from_pretrained(str(directory)))
            state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    except Exception as error:  # a stranger's JSON makes a library raise anything
        raise ModelError(f"The adapter {str(directory)!r} cannot be put on {str(base)!r}: {error}") from error
    wanted = {name: tuple(one.shape) for name, one in state.items()}
    found = {name: one.shape for name, one in tensors(directory).items()}
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    parts = [f"it lacks {listed(missing)}"] if missing else []
    parts += [f"it holds {listed(unexpected)}, which that model has not"] if unexpected else []
    other = [name for name in sorted(set(wanted) & set(found)) if wanted[name] != found[name]]
    parts += (
        [listed([f"{name} is {_sides(found[name])} for {_sides(wanted[name])}" for name in other])] if other else []
    )
    if parts:
        raise ModelError(
            f"The adapter {str(directory)!r} does not fit its base model {str(base)!r}: {'; '.join(parts)}. Name the "
            "base that it was trained on: --adapter-base DIR."
        )


def linear_layers(directory: Path) -> list[str]:
    """Return the distinct names of a model's linear layers, without their path and without the head."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with read_by_library(directory), torch.device("meta"):
        settings = AutoConfig.from_pretrained(directory, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    head = model.get_output_embeddings()
    found = [name for name, one in model.named_modules() if isinstance(one, torch.nn.Linear) and one is not head]
    return sorted({name.rsplit(".", 1)[-1] for name in found})


@contextmanager
def unreported() -> Iterator[None]:
    """Suppress transformers' loading report: here a mismatch is one readable error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _check_tied(directory: Path, model: Any, found: Mapping[str, Tensor]) -> None:
    """Reject a separate head if the configuration ties it to the embedding: loaders disagree on which one to use."""
    for name, source in (getattr(model, "all_tied_weights_keys", None) or {}).items():
        if name in found and source in found and tensor_digest(directory, name) != tensor_digest(directory, source):
            raise ModelError(
                f"The weights in {str(directory)!r} have different values in {name} and {source}, but config.json "
                "says that they are tied (tie_word_embeddings). Correct config.json, or remove the wrong tensor."
            )


def _by_names(settings: Any, found: Mapping[str, Tensor]) -> tuple[Any, Mapping[str, Any]]:
    """Return a checkpoint's missing and unexpected tensors, by the names that transformers would save.

    Raises:
        ModelError: the names show no fault.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.core_model_loading import revert_weight_conversion

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings, trust_remote_code=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    held = {name: one for name, one in model.state_dict().items() if name not in tied}
    names = set(revert_weight_conversion(model, held))
    if names == set(found):
        raise ModelError(f"transformers cannot combine the tensors of a {type(model).__name__} from their shapes.")
    return model, {"missing_keys": names - set(found), "unexpected_keys": set(found) - names, "mismatched_keys": ()}


def _empty(one: Tensor) -> Any:
    import torch

    kinds = {
        "F64": torch.float64,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "U8": torch.uint8,
    }
    return torch.empty(one.shape, dtype=kinds.get(one.dtype, torch.float32), device="meta")


def _by_layer(name: str) -> tuple[int, str]:
    layer = _LAYER.search(name)
    return (int(layer[1]) if layer else -1, name)


def _sides(shape: Any) -> str:
    return "x".join(map(str, shape)) or "one number"
