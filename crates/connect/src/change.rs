//! Changes of rows that another system tells: what may be wrong with one, and where it stands
//! among the others.

/// Bits of a place for the position in a file of the log: a tebibyte.
const FILE_BITS: u32 = 40;

/// Why a record is no change of a row. Rejects the record, never its file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No envelope.
    #[error("the record has no `op`: it is no change of a row as Debezium writes it")]
    NoOperation,
    /// An operation that nobody knows.
    #[error("`op` is `{0}`: known are `c`, `r`, `u`, `d` and `t`")]
    Operation(String),
    /// A stream is a table no row of which is changed.
    #[error("`op` is `{0}`, and rows of a stream are neither changed nor deleted: declare a table")]
    Stream(String),
    /// The image of the row that the operation needs.
    #[error("`op` is `{op}`, and there is no row in `{image}`: let the source log whole rows")]
    NoImage {
        /// The operation.
        op: String,
        /// `before` or `after`.
        image: &'static str,
    },
    /// A declared column that the row does not have.
    #[error(
        "the row has no such column: name it as the source does, or add missing_columns = 'null'"
    )]
    NoColumn,
    /// What PostgreSQL leaves out of an update.
    #[error(
        "the source did not say the value, as it is long and did not change: set REPLICA IDENTITY FULL"
    )]
    Unavailable,
    /// An update of the primary key.
    #[error("the update has another primary key: that is told by a `d` and a `c`")]
    KeyChanged,
    /// Neither the source nor the record says when.
    #[error("neither `source` nor the record says when: `ts_us`, `ts_ns` or `ts_ms`")]
    NoTime,
    /// A date of zeros.
    #[error("`{0}` is no date: zero_dates = 'null' reads it as NULL")]
    ZeroDate(String),
    /// A day that does not exist, or a local time that does not.
    #[error("`{0}` does not exist in the source's zone")]
    NoDate(String),
    /// The record does not say where it stands.
    #[error("`source` has no place in a log: `file` and `pos`, or `lsn`")]
    NoPosition,
}

/// The place of a change in a log of numbered files (`binlog.000042`), as one number that grows
/// with the file's number and the position in it. `None` for a file without a number, and beyond
/// what fits.
pub fn place_in_log(file: &str, position: u64) -> Option<i64> {
    let (_, number) = file.rsplit_once('.')?;
    let number: u64 = number.parse().ok()?;
    if number >= 1 << (63 - FILE_BITS) || position >= 1 << FILE_BITS {
        return None;
    }
    i64::try_from(number << FILE_BITS | position).ok()
}

/// A length of time in hours, minutes and seconds, with a fraction if it has one.
pub fn time_text(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{sign}{hours:02}:{minutes:02}:{seconds:02}");
    if fraction > 0 {
        text.push_str(&format!(".{fraction:06}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_grow_with_file_and_position() {
        let places = [
            ("binlog.000001", 4),
            ("binlog.000001", u64::from(u32::MAX) + 7),
            ("binlog.000002", 4),
            ("mysql-bin.999999", 4),
            ("mysql-bin.1000000", 4),
        ];
        let places: Vec<i64> = (places.iter())
            .map(|(file, at)| place_in_log(file, *at).unwrap())
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b));
        for (file, at) in [("binlog", 4), ("binlog.x", 4), ("binlog.9000000", 4)] {
            assert_eq!(place_in_log(file, at), None, "{file}");
        }
        assert_eq!(place_in_log("binlog.000001", 1 << 40), None);
    }

    #[test]
    fn lengths_of_time_have_more_than_a_day() {
        for (micros, text) in [
            (0, "00:00:00"),
            (-1, "-00:00:00.000001"),
            (3_020_399_000_000, "838:59:59"),
            (-3_020_399_500_000, "-838:59:59.500000"),
        ] {
            assert_eq!(time_text(micros), text);
        }
    }
}
