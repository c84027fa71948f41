"""Timestamps of a source as UTC microseconds; a time zone is never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dwcp_ml.errors import (
    MissingColumnError,
    MissingValuesError,
    OutOfRangeError,
    ParamsError,
    TimeZoneError,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from dwcp_ml.telemetry.columns import ColumnMap

MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
ZONE = r":\d\d(\.\d+)? ?(Z|[+-]\d\d(:?\d\d)?)$"


@dataclass
class Clock:
    """Reads timestamps batch by batch and remembers whether they carried a zone."""

    column_map: ColumnMap
    latest_s: float  # the schema's last second
    zoned: bool | None = None

    def read(self, column: pa.Array, where: str) -> pa.Array:
        """Timestamps of one batch as timestamp[us, UTC].

        Raises:
            TimeZoneError: naive without ``timezone``, mixed, or an hour that a clock change
                skips or repeats.
            MissingColumnError: neither a number, a timestamp nor ISO 8601 text.
            MissingValuesError: an empty timestamp.
            OutOfRangeError: the unit of numbers is wrong.
        """
        import pyarrow as pa

        kind = column.type
        if column.null_count:
            raise MissingValuesError(
                f"{where} has {column.null_count:,} empty timestamps; drop these rows"
            )
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._numbers(column, where)
        if pa.types.is_timestamp(kind):
            self._zone(kind.tz is not None, where)
            micros = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
            return self._to_utc(micros, where)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._text(column, where)
        raise MissingColumnError(f"{where} is {kind}, not a time; map another column to timestamp")

    def _numbers(self, column: pa.Array, where: str) -> pa.Array:
        import numpy as np
        import pyarrow as pa

        unit = self.column_map.timestamp_unit
        if unit is None:
            raise ParamsError(
                f"{where} holds numbers such as {column[0].as_py()}; "
                "say in the column map what they count: timestamp_unit: s, ms or us"
            )
        self._zone(True, where)
        values = column.to_numpy(zero_copy_only=False)
        if not np.isfinite(values).all():
            raise MissingValuesError(f"{where} has timestamps that are no number; drop these rows")
        latest = float(values.max()) * MICROS[unit] / 1e6
        if latest > self.latest_s or values.min() < 0:
            raise OutOfRangeError(
                f"{where}: {values.max():.0f} or {values.min():.0f} in {unit} is no time between "
                "1970 and 2100; check timestamp_unit"
            )
        if values.dtype.kind == "f":
            return pa.array(np.rint(values * MICROS[unit]).astype(np.int64)).cast(_utc())
        return pa.array(values.astype(np.int64) * MICROS[unit]).cast(_utc())

    def _text(self, column: pa.Array, where: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pc.any(pc.equal(column, "")).as_py():
            raise MissingValuesError(f"{where} has empty timestamps; drop these rows")
        zoned = pc.match_substring_regex(column, ZONE)
        if pc.any(zoned).as_py() and not pc.all(zoned).as_py():
            self._zone(True, where)
            self._zone(False, where)
        has_zone = bool(pc.any(zoned).as_py())
        try:
            micros = column.cast(pa.timestamp("us", tz="UTC" if has_zone else None))
        except pa.ArrowInvalid as error:
            if pc.all(pc.match_substring_regex(column, r"^\d+(\.\d+)?$")).as_py():
                return self._numbers(column.cast(pa.float64()), where)
            raise MissingColumnError(
                f"{where}: {str(error).splitlines()[0].split(' as a scalar')[0]}; "
                "write ISO 8601 such as 2025-01-31T12:00:00Z"
            ) from error
        self._zone(has_zone, where)
        return self._to_utc(micros, where)

    def _to_utc(self, micros: pa.Array, where: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if micros.type.tz is not None:
            return micros.cast(_utc())
        try:
            return pc.assume_timezone(micros, self.column_map.timezone).cast(_utc())
        except (pa.ArrowInvalid, ValueError) as error:
            raise TimeZoneError(
                f"{where}: {str(error).splitlines()[0]}; clocks change in that hour: export UTC"
            ) from error

    def _zone(self, zoned: bool, where: str) -> None:
        if self.zoned is not None and zoned != self.zoned:
            raise TimeZoneError(
                f"{where} mixes times with and without a time zone (in one file or between "
                "files); export all of them with one"
            )
        if not zoned and self.column_map.timezone is None:
            raise TimeZoneError(
                f"{where} has no time zone; say in the column map which one it is, "
                "for example timezone: UTC"
            )
        self.zoned = zoned


def _utc() -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC")
