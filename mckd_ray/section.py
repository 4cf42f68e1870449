"""What every part of a config is: frozen, and closed to keys that it does not declare."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the config: frozen, and any key that it does not declare is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())
