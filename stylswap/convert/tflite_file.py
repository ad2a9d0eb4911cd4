"""Tensors of a TensorFlow Lite file. Nothing in the file is run, and the graph is not followed.

The file is a flatbuffer: tables that point to each other by offsets. A table begins with the distance back to its list of fields; the list
says where in the table each field lies, and 0 for one that was left out.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stylswap.errors import WeightsFileError

_MARK: Final = b"TFL3"  # at byte 4
# Numbers of fields in the format's schema.
_GRAPHS, _BUFFERS = 2, 4  # of a model
_TENSORS = 0  # of a graph
_SHAPE, _TYPE, _BUFFER, _NAME = range(4)  # of a tensor
_CONTENT = 0  # of a buffer
_TYPES: Final = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}


def read_tflite(file: Path) -> dict[str, Tensor]:
    """The constants of a TensorFlow Lite model, by name, in their own types.

    Raises:
        WeightsFileError: If the file is no such model, is damaged, or holds a constant of a type that is not read (strings, packed bits).
    """
    content = file.read_bytes()
    if content[4:8] != _MARK:
        raise WeightsFileError(f"{file} cannot be read as a TensorFlow Lite model: it does not say {_MARK.decode()} at byte 4.")
    try:
        model = _Table(content, _unsigned(content, 0))
        buffers = model.tables(_BUFFERS)
        rows = [tensor for graph in model.tables(_GRAPHS) for tensor in graph.tables(_TENSORS)]
        found = ((row, buffers[row.number(_BUFFER)].content(_CONTENT)) for row in rows)
        return {row.content(_NAME).decode(): _tensor(row, values) for row, values in found if values}
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise WeightsFileError(f"{file} cannot be read as a TensorFlow Lite model: {error!r}") from error


def _tensor(row: _Table, values: bytes) -> Tensor:
    kind = row.number(_TYPE, "b")
    if kind not in _TYPES:
        raise ValueError(f"a constant has type {kind}, read are {', '.join(map(str, _TYPES))}")
    array = np.frombuffer(values, dtype=_TYPES[kind])
    return torch.from_numpy(array.reshape(np.frombuffer(row.content(_SHAPE, 4), dtype="<i4")).copy())


class _Table(NamedTuple):
    """A table of the file.

    Attributes:
        file: All of its bytes.
        start: Where the table begins.
    """

    file: bytes
    start: int

    def number(self, field: int, kind: str = "I") -> int:
        """A number that lies in the table itself; 0 where it was left out."""
        place = self._place(field)
        return 0 if place is None else int(struct.unpack_from(f"<{kind}", self.file, place)[0])

    def content(self, field: int, size: int = 1) -> bytes:
        """The bytes of a list of numbers of `size` bytes each, or of a text; none where it was left out."""
        start, count = self._list(field)
        if start + count * size > len(self.file):
            raise ValueError(f"a list of {count} begins at byte {start} of {len(self.file)}")
        return self.file[start : start + count * size]

    def tables(self, field: int) -> list[_Table]:
        """A list of tables."""
        start, count = self._list(field)
        places = range(start, start + 4 * count, 4)
        return [_Table(self.file, place + _unsigned(self.file, place)) for place in places]

    def _list(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        start = place + _unsigned(self.file, place)
        return start + 4, _unsigned(self.file, start)

    def _place(self, field: int) -> int | None:
        fields = self.start - int(struct.unpack_from("<i", self.file, self.start)[0])
        length, at = int(struct.unpack_from("<H", self.file, fields)[0]), 4 + 2 * field
        offset = int(struct.unpack_from("<H", self.file, fields + at)[0]) if at < length else 0
        return self.start + offset if offset else None


def _unsigned(file: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", file, place)[0])
