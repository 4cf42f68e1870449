"""How large a pretrained model is, from its config alone: nothing is downloaded but that."""

from mckd_ray.errors import ModelError


def parameters(model: str) -> int:
    """The number of parameters of a model by hub name or folder. Raises ModelError if its config cannot be loaded."""
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
    return sum(parameter.numel() for parameter in shapes.parameters())
