"""SciPy: sparse arrays made of dense ones, and back, and from format to format."""

from __future__ import annotations

from typing import Any

START = """
import numpy as np, scipy.sparse as sp
dense = np.zeros((400, 50)); dense[::7, ::3] = 1.0
rows = sp.csr_array(dense); matrix = sp.csr_matrix(dense); points = sp.coo_array(dense)
"""
TABLE = """
sp.csr_array(dense) | dense | copy | 160000 13436 | numpy:float64 scipy:float64
sp.csc_matrix(dense) | dense | copy | 160000 12036 | numpy:float64 scipy:float64
sp.coo_array(dense) | dense | copy | 160000 15776 | numpy:float64 scipy:float64
sp.csr_array((rows.data, rows.indices, rows.indptr)) | rows | view | 0 0 | numpy:mixed scipy:float64
rows.toarray() | rows | copy | 13436 160000 | scipy:float64 numpy:float64
matrix.todense() | matrix | copy | 13436 160000 | scipy:float64 numpy:float64
rows.tocsc() | rows | copy layout | 13436 12036 | scipy:float64 scipy:float64
rows.tocoo() | rows | copy layout | 1604 3944 | scipy:float64 scipy:float64
rows.asformat("csc") | rows | copy layout | 13436 12036 | scipy:float64 scipy:float64
points.tocsr() | points | copy layout | 15776 13436 | scipy:float64 scipy:float64
sp.csc_array(rows) | rows | copy layout | 13436 12036 | scipy:float64 scipy:float64
rows.astype(np.float32) | rows | copy cast | 13436 9492 | scipy:float64 scipy:float32
rows.copy() | rows | copy | 13436 13436 | scipy:float64 scipy:float64
"""
SILENT = """
rows.T; rows @ dense.T; rows + rows; rows.multiply(2); rows[0]; rows.sum(); rows.dot(dense.T)
sp.vstack([rows, rows]); abs(rows); rows.max()
rows.tocsr(); rows.asformat("csr"); sp.csr_array(rows); sp.csr_matrix((400, 5000)); sp.eye(100)
sp.random(100, 100, 0.1, format="csr")
rows.data * 2; rows.indices; rows.nnz; repr(rows); sp.issparse(rows); rows.transpose()
rows.mean(); rows.diagonal()
sp.lil_matrix(dense); rows.tolil(); rows.todok(); sp.linalg
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []
