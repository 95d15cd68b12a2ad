"""Rows that methods keep on a portal under a name: the CRM's here, and whatever added methods want to keep."""

from __future__ import annotations

from dataclasses import dataclass, field

Row = dict[str, object]


@dataclass
class Records:
    """Rows by their number; numbers are never used twice."""

    rows: dict[int, Row] = field(default_factory=dict)
    last: int = 0

    def add(self, row: Row) -> int:
        """Keep a row under the next number, which stands in its `ID` as a text too."""
        self.last += 1
        self.rows[self.last] = {"ID": str(self.last), **row}
        return self.last

    def all(self) -> list[Row]:
        """The rows in order of their numbers."""
        return [self.rows[number] for number in sorted(self.rows)]
