"""Hypothesis strategies for every message of the wire contract."""

from __future__ import annotations

import types
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from sync.contract import AnyMessage
from sync.topics import MESSAGE_OF_KIND, Kind

INT64 = st.integers(-(2**63), 2**63 - 1)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="+#/", exclude_categories=("C", "Z")),
    min_size=1,
    max_size=16,
).filter(lambda name: len(name.encode()) <= 64)


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a contract field's type."""
    if kind in (str, bytes, bool, type(None)):
        plain = {str: st.text(max_size=20), bytes: st.binary(max_size=64), bool: st.booleans()}
        return plain.get(kind, st.none())
    if kind is int:
        return INT64
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(of_type, arguments))
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of_type, arguments))
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return of_struct(kind)


def of_struct(kind: type[Any], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return structs of this type, the fields given drawn from elsewhere."""
    fields = {field.name: of_type(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **{**fields, **given})


def messages(kind: Kind) -> st.SearchStrategy[AnyMessage]:
    """Return messages of a kind whose names may stand in a topic."""
    names = [field.name for field in msgspec.structs.fields(MESSAGE_OF_KIND[kind])]
    given = {name: NAMES for name in ("unit", "bed", "command_id") if name in names}
    return of_struct(MESSAGE_OF_KIND[kind], **given)


ANY_MESSAGE = st.sampled_from(Kind).flatmap(messages)
