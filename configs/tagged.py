"""Settings whose schema depends on a value among them, such as the name of an agent or a provider."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema


class Tagged(ABC):
    """Base of a family of settings: one schema each, chosen by what the settings say.

    The base of the family defines `config_schema`; its subclasses are the schemas, and do not define it again. So an
    entry of a registry owns its settings, and only the entry that is named is imported.
    """

    __slots__ = ()

    @classmethod
    @abstractmethod
    def config_schema(cls, values: Mapping[str, Any]) -> type:
        """The dataclass that describes `values`.

        Raises:
            ValueError: the values name no schema; the message says which there are.
        """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A base of a family validates by the chosen schema; a schema validates as any other dataclass."""
        if "config_schema" not in cls.__dict__:
            return handler(source)

        def validate(values: Any) -> Any:
            if not isinstance(values, Mapping):
                raise ValueError("input should be a mapping")
            chosen: TypeAdapter[Any] = TypeAdapter(cls.config_schema(values))
            return chosen.validate_json(json.dumps(values), strict=True)

        return core_schema.no_info_plain_validator_function(validate)
