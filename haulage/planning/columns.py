"""Predicates on whole columns of tables, and filling of missing columns."""

import numpy as np
import pyarrow as pa

from haulage.model import Kind


def is_file(table: pa.Table) -> np.ndarray:
    """Tell which rows are regular files."""
    found: np.ndarray = table["kind"].to_numpy() == Kind.FILE
    return found


def is_linked(table: pa.Table) -> np.ndarray:
    """Tell which rows have more than one name; a directory never has."""
    linked: np.ndarray = ~is_dir(table) & (table["nlink"].to_numpy() > 1)
    return linked


def is_dir(table: pa.Table) -> np.ndarray:
    """Tell which rows are directories."""
    found: np.ndarray = table["kind"].to_numpy() == Kind.DIR
    return found


def with_columns(table: pa.Table, **columns: pa.Array) -> pa.Table:
    """Replace the values of columns that `table` has."""
    for name, column in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), column)
    return table


def filled(
    schema: pa.Schema, rows: int, columns: dict[str, pa.Array | pa.ChunkedArray]
) -> pa.Table:
    """Return a table with these columns; the others are null, or else zero."""
    arrays = [
        columns[field.name] if field.name in columns else _blank(field, rows)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _blank(field: pa.Field, rows: int) -> pa.Array:
    if field.nullable:
        return pa.nulls(rows, field.type)
    return pa.array(np.zeros(rows, field.type.to_pandas_dtype()), field.type)
