"""Whether a pretrained model is there, and how large it is, from its config alone: nothing else is downloaded."""

from pathlib import Path

from mckd_ray.errors import ModelError

WEIGHTS = (".safetensors", ".bin")


def parameters(model: str) -> int:
    """The number of parameters of a model by hub name or folder.

    Raises ModelError if its config cannot be loaded, or the folder has no weights.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
        with torch.device("meta"):  # Shapes only, no memory.
            shapes = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{model}: is not a model that can be loaded; give a hub name that this machine can reach, or a folder "
            f"with config.json ({next(iter(str(error).splitlines()), '')})."
        ) from error
    if Path(model).is_dir() and not any(file.suffix in WEIGHTS for file in Path(model).iterdir()):
        raise ModelError(f"{model}: has a config, but no weights (*.safetensors, *.bin); copy the whole checkpoint.")
    return sum(parameter.numel() for parameter in shapes.parameters())
