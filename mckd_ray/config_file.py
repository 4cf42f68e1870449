"""Reading an experiment's config from YAML with overrides, and writing it back fully spelled out.

Every mistake becomes one sentence that names the file or key, the value, what is allowed and the nearest name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mckd_ray.config import ExperimentConfig
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.storage import is_uri, place_at

AnySection = TypeVar("AnySection", bound=BaseModel)


def read_config(path: Path | str, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The validated config in the YAML file at a path or URI, after `key.subkey=value` overrides.

    Raises ConfigError, and StoreError for a URI whose bucket cannot be reached.
    """
    config = read_section(ExperimentConfig, _read_yaml(path), overrides, str(path))
    return config if config.name else config.model_copy(update={"name": Path(path).stem})


def read_section(kind: type[AnySection], values: dict[str, Any], overrides: Sequence[str], where: str) -> AnySection:
    """`values`, after the overrides, as a section of this `kind`. Raises ConfigError, which begins with `where`."""
    for override in overrides:
        _override(values, override)
    return _validated(kind, values, where)


def changed(config: ExperimentConfig, settings: Mapping[str, Any], where: str) -> ExperimentConfig:
    """`config` with other values for the settings of these dotted names. Raises ConfigError, which names `where`."""
    values = config.model_dump()
    for name, value in settings.items():
        _set(values, name, value, where)
    return _validated(ExperimentConfig, values, where)


def setting_names(section: type[BaseModel] = ExperimentConfig) -> list[str]:
    """The dotted names of all settings that have a value of their own."""
    names = []
    for name, field in section.model_fields.items():
        below = _section_in(field.annotation)
        names += [name] if below is None else [f"{name}.{child}" for child in setting_names(below)]
    return names


def write_config(config: ExperimentConfig, path: Path) -> None:
    """Write `config` with all its defaults to `path`, so that `read_config` gives it back."""
    path.write_text(
        yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )


def _read_yaml(path: Path | str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(_text(path))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such config file; give the path of a YAML file, such as configs/demo.yaml."
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8; save the file in that encoding.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a readable YAML file.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise ConfigError(f"{path}{line}: is not valid YAML: {problem}.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a mapping with the keys {', '.join(ExperimentConfig.model_fields)}.")
    return values


def _text(path: Path | str) -> str:
    if not is_uri(path):
        return Path(path).read_text(encoding="utf-8")
    text = place_at(path).read()
    if text is None:
        raise FileNotFoundError
    return text


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override '{override}': write it as key=value, such as plan.stages=3.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"override '{override}': the value is not valid YAML.") from None
    _set(values, key, value, f"override '{override}'")


def _set(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        child = values.get(parent)
        if child is None:
            child = values[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{where}: '{parent}' is a value, not a section.")
        values = child
    values[last] = value


def _validated(kind: type[AnySection], values: Mapping[str, Any], where: str) -> AnySection:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise ConfigError(f"{where}: {_explain(details[0], kind)}{more}") from None


def _explain(detail: ErrorDetails, kind: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"unknown key '{key}'.{nearest(str(detail['loc'][-1]), _keys_beside(detail['loc'], kind))}"
    if detail["type"] == "missing":
        return f"the key '{key}' is missing."
    value = detail["input"]
    if detail["type"] == "literal_error":
        allowed = [word.strip("'") for word in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{key} is '{value}', which is not known.{nearest(str(value), allowed)}"
    shown = f" is {value!r}" if isinstance(value, str | int | float | bool | None) else ""
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should").rstrip(".")
    return f"{key}{shown}: {message}." if key else f"{message}."


def _keys_beside(location: tuple[int | str, ...], section: type[BaseModel]) -> list[str]:
    """The keys that are allowed where the unknown key at `location` in a `section` stands."""
    for part in location[:-1]:
        if field := section.model_fields.get(str(part)):  # Else it is the key of a mapping of sections.
            section = _section_in(field.annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field of this type holds, alone, optionally or as the values of a mapping."""
    choices = [annotation, *get_args(annotation)]
    return next((choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)), None)


def section_settings(section: BaseModel, leave_out: Sequence[str] = ()) -> Mapping[str, Any]:
    """A section as plain values, without the fields in `leave_out`: what goes into a step's identity."""
    return section.model_dump(mode="json", exclude=set(leave_out))
