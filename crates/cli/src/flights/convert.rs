//! The flights data as published (see `demo/README.md`) to the files of the demo project.
//!
//! Owns what is honest about it: every time becomes an instant by its own zone, what cannot be
//! determined is left NULL and counted, nothing is known before it happened.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel_connect::Table;
use evenkeel_types::time::{SECOND, parse_timestamp};
use evenkeel_types::{Column, DataType, Field, Value, Zone};

use super::local_time::{Unknown, arrival, day, departure, zone_of};
use crate::failure::Failure;

/// The zone of both origins, Seattle and Portland.
const ORIGIN_ZONE: &str = "America/Los_Angeles";
/// From when the aircraft register is taken to be known: the data does not say.
const PLANES_KNOWN_FROM: &str = "2014-01-01T00:00:00Z";

/// What the conversion found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversion {
    /// Flights in the schedule.
    pub(crate) flights: u64,
    /// Flights that left.
    pub(crate) departed: u64,
    /// Flights that arrived at a known time.
    pub(crate) arrived: u64,
    /// Flights that left, with no time of arrival recorded.
    pub(crate) arrival_not_recorded: u64,
    /// Flights whose recorded time of departure or arrival did not exist on that day.
    pub(crate) non_existent: u64,
    /// Flights whose recorded arrival is before their landing.
    pub(crate) contradictory: u64,
    /// Flights to an airport whose zone is not known.
    pub(crate) no_zone: u64,
    /// Hours of weather.
    pub(crate) weather: u64,
    /// Aircraft.
    pub(crate) planes: u64,
}

impl Conversion {
    /// Flights that were scheduled and never left.
    pub(crate) fn cancelled(&self) -> u64 {
        self.flights - self.departed
    }

    fn count(&mut self, unknown: Unknown) {
        *match unknown {
            Unknown::NotRecorded => &mut self.arrival_not_recorded,
            Unknown::NonExistent => &mut self.non_existent,
            Unknown::Contradictory => &mut self.contradictory,
            Unknown::NoZone => &mut self.no_zone,
        } += 1;
    }
}

/// Reads the published files in `raw` and writes the project's files into `out`.
pub(crate) fn convert(raw: &Path, out: &Path) -> Result<Conversion, Failure> {
    let mut found = Conversion::default();
    let zones = airport_zones(&Source::read(raw, "airports.parquet")?)?;
    let flights = flights(&Source::read(raw, "flights.parquet")?, &zones, &mut found)?;
    flights.write(&out.join("flights.parquet"))?;
    let weather = weather(&Source::read(raw, "weather.parquet")?)?;
    found.weather = weather.len() as u64;
    weather.write(&out.join("weather.parquet"))?;
    let planes = planes(&Source::read(raw, "planes.parquet")?)?;
    found.planes = planes.len() as u64;
    planes.write(&out.join("planes.csv"))?;
    Ok(found)
}

/// A published table, and what is wrong with it if it is not as it should be.
struct Source {
    name: &'static str,
    table: Table,
}

impl Source {
    fn read(folder: &Path, name: &'static str) -> Result<Self, Failure> {
        let table = Table::read(&folder.join(name))?;
        Ok(Source { name, table })
    }

    fn texts(&self, column: &str) -> Result<Column, Failure> {
        Ok(self.table.column_as(column, &DataType::String)?)
    }

    /// A column of whole numbers, whatever its type in the file.
    fn numbers(&self, column: &str) -> Result<Vec<Option<i64>>, Failure> {
        let values = self.table.column(column)?;
        (0..values.len())
            .map(|row| match values.get(row) {
                Value::Null => Ok(None),
                Value::Int(n) => Ok(Some(i64::from(n))),
                Value::BigInt(n) => Ok(Some(n)),
                // Whole, and far inside the range where every whole number is a float.
                Value::Double(x) if x.trunc() == x && x.abs() < 9e15 => Ok(Some(x as i64)),
                other => Err(Failure::data(format!(
                    "row {row} of `{}` has {other:?} as its `{column}`, not a whole number",
                    self.name
                ))),
            })
            .collect()
    }

    fn doubles(&self, column: &str) -> Result<Column, Failure> {
        Ok(self.table.column_as(column, &DataType::Double)?)
    }
}

/// A text that is there.
fn text(column: &Column, row: usize) -> Option<String> {
    match column.get(row) {
        Value::String(text) if !text.is_empty() => Some(text.to_string()),
        _ => None,
    }
}

fn airport_zones(airports: &Source) -> Result<BTreeMap<String, Zone>, Failure> {
    let codes = airports.texts("faa")?;
    let rules = airports.texts("dst")?;
    let offsets = airports.numbers("tz")?;
    let mut zones = BTreeMap::new();
    for (row, offset) in offsets.iter().enumerate() {
        let zone = text(&codes, row)
            .zip(offset.zip(text(&rules, row)))
            .and_then(|(code, (offset, rule))| Some((code, Zone::named(zone_of(offset, &rule)?)?)));
        zones.extend(zone);
    }
    Ok(zones)
}

fn flights(
    source: &Source,
    zones: &BTreeMap<String, Zone>,
    found: &mut Conversion,
) -> Result<Table, Failure> {
    let origin_zone = Zone::named(ORIGIN_ZONE)
        .ok_or_else(|| Failure::data(format!("the zone database has no `{ORIGIN_ZONE}`")))?;
    let (years, months) = (source.numbers("year")?, source.numbers("month")?);
    let (days, numbers) = (source.numbers("day")?, source.numbers("flight")?);
    let (left, delays) = (source.numbers("dep_time")?, source.numbers("dep_delay")?);
    let (arrived, air) = (source.numbers("arr_time")?, source.numbers("air_time")?);
    let (carriers, tails) = (source.texts("carrier")?, source.texts("tailnum")?);
    let (origins, destinations) = (source.texts("origin")?, source.texts("dest")?);

    let mut ids = Column::new(&DataType::String);
    let mut tailnums = Column::new(&DataType::String);
    let mut flight_numbers = Column::new(&DataType::Int);
    let mut scheduled_at = Column::new(&DataType::Timestamp);
    let mut departed_at = Column::new(&DataType::Timestamp);
    let mut arrived_at = Column::new(&DataType::Timestamp);
    for row in 0..source.table.len() {
        let incomplete = || {
            Failure::data(format!(
                "row {row} of `{}` has no complete flight",
                source.name
            ))
        };
        let (Some(year), Some(month), Some(of_month), Some(number)) =
            (years[row], months[row], days[row], numbers[row])
        else {
            return Err(incomplete());
        };
        let date = day(year, month, of_month).ok_or_else(incomplete)?;
        let carrier = text(&carriers, row).ok_or_else(incomplete)?;
        let origin = text(&origins, row).ok_or_else(incomplete)?;
        let destination = text(&destinations, row).ok_or_else(incomplete)?;
        // An airline flies a number once a day from an airport: checked by a test.
        ids.push(&Value::string(format!(
            "{carrier}{number}-{year:04}-{month:02}-{of_month:02}-{origin}"
        )));
        tailnums.push(&text(&tails, row).map_or(Value::Null, Value::string));
        flight_numbers.push(&i32::try_from(number).map_or(Value::Null, Value::Int));

        let leaving = departure(&origin_zone, date, left[row], delays[row]);
        scheduled_at.push(&leaving.scheduled_at.map_or(Value::Null, Value::Timestamp));
        departed_at.push(&leaving.departed_at.map_or(Value::Null, Value::Timestamp));
        found.flights += 1;
        let arriving = leaving.departed_at.and_then(|t| {
            found.departed += 1;
            arrival(zones.get(&destination), t, air[row], arrived[row])
        });
        arrived_at.push(&arriving.map_or(Value::Null, Value::Timestamp));
        match arriving {
            Ok(_) => found.arrived += 1,
            // A cancelled flight is counted as such.
            Err(Unknown::NotRecorded) if leaving.departed_at.is_err() => {}
            Err(unknown) => found.count(unknown),
        }
    }
    Ok(Table::from_columns(vec![
        (Field::new("flight_id", DataType::String), ids),
        (Field::new("carrier", DataType::String), carriers),
        (Field::new("flight", DataType::Int), flight_numbers),
        (Field::new("tailnum", DataType::String), tailnums),
        (Field::new("origin", DataType::String), origins),
        (Field::new("dest", DataType::String), destinations),
        (
            Field::new("distance", DataType::Double),
            source.doubles("distance")?,
        ),
        (
            Field::new("scheduled_at", DataType::Timestamp),
            scheduled_at,
        ),
        (Field::new("departed_at", DataType::Timestamp), departed_at),
        (
            Field::new("dep_delay", DataType::Double),
            source.doubles("dep_delay")?,
        ),
        (
            Field::new("air_time", DataType::Double),
            source.doubles("air_time")?,
        ),
        (Field::new("arrived_at", DataType::Timestamp), arrived_at),
        (
            Field::new("arr_delay", DataType::Double),
            source.doubles("arr_delay")?,
        ),
    ])?)
}

fn weather(source: &Source) -> Result<Table, Failure> {
    let mut observed_at = Column::new(&DataType::Timestamp);
    for seconds in source.numbers("date")? {
        observed_at.push(&seconds.map_or(Value::Null, |s| Value::Timestamp(s * SECOND)));
    }
    let mut columns = vec![
        (
            Field::new("origin", DataType::String),
            source.texts("origin")?,
        ),
        (Field::new("observed_at", DataType::Timestamp), observed_at),
    ];
    for name in [
        "temp",
        "dewp",
        "humid",
        "wind_dir",
        "wind_speed",
        "wind_gust",
        "precip",
        "pressure",
        "visib",
    ] {
        columns.push((Field::new(name, DataType::Double), source.doubles(name)?));
    }
    Ok(Table::from_columns(columns)?)
}

fn planes(source: &Source) -> Result<Table, Failure> {
    let known_from = parse_timestamp(PLANES_KNOWN_FROM, &Zone::utc())
        .map_err(|error| Failure::data(error.to_string()))?;
    let mut columns = vec![(
        Field::new("tailnum", DataType::String),
        source.texts("tailnum")?,
    )];
    for (name, from) in [
        ("built", "year"),
        ("engines", "engines"),
        ("seats", "seats"),
    ] {
        let column = source.table.column_as(from, &DataType::Int)?;
        columns.push((Field::new(name, DataType::Int), column));
    }
    for name in ["manufacturer", "model", "engine"] {
        columns.push((Field::new(name, DataType::String), source.texts(name)?));
    }
    let known_from = Column::repeat(
        &DataType::Timestamp,
        &Value::Timestamp(known_from),
        source.table.len(),
    );
    columns.push((Field::new("known_from", DataType::Timestamp), known_from));
    Ok(Table::from_columns(columns)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flights::unpack;

    /// All of it: the counts are those of the published data.
    #[test]
    fn the_flights_are_converted_honestly() {
        let folder = tempfile::tempdir().unwrap();
        unpack::raw_data(folder.path()).unwrap();
        let found = convert(folder.path(), folder.path()).unwrap();
        assert_eq!(
            found,
            Conversion {
                flights: 162_049,
                departed: 161_192,
                arrived: 161_057,
                arrival_not_recorded: 131,
                non_existent: 0,
                contradictory: 4,
                no_zone: 0,
                weather: 17_426,
                planes: 2_628,
            }
        );
        assert_eq!(found.cancelled(), 857);

        let flights = Table::read(&folder.path().join("flights.parquet")).unwrap();
        let ids = flights.column("flight_id").unwrap();
        let distinct: BTreeSet<String> = (0..ids.len()).filter_map(|i| text(&ids, i)).collect();
        assert_eq!(distinct.len(), flights.len());

        // An aircraft cannot leave before it has arrived. (The published data says so of two
        // hands full of flights; were the date that of the departure, it would of many more.)
        assert!(left_before_arriving(&flights) <= 10);

        let weather = Table::read(&folder.path().join("weather.parquet")).unwrap();
        let (origins, times) = (
            weather.column("origin").unwrap(),
            weather.column("observed_at").unwrap(),
        );
        let hours: BTreeSet<(String, String)> = (0..weather.len())
            .filter_map(|i| Some((text(&origins, i)?, format!("{:?}", times.get(i)))))
            .collect();
        assert_eq!(hours.len(), weather.len());
    }

    fn left_before_arriving(flights: &Table) -> usize {
        let column = |name| flights.column(name).unwrap();
        let (tails, left, arrived) = (
            column("tailnum"),
            column("departed_at"),
            column("arrived_at"),
        );
        let mut trips: Vec<(String, i64, i64)> = (0..flights.len())
            .filter_map(|i| match (text(&tails, i), left.get(i), arrived.get(i)) {
                (Some(tail), Value::Timestamp(left), Value::Timestamp(arrived)) => {
                    Some((tail, left, arrived))
                }
                _ => None,
            })
            .collect();
        trips.sort();
        trips
            .windows(2)
            .filter(|w| w[0].0 == w[1].0 && w[1].1 < w[0].2)
            .count()
    }
}
