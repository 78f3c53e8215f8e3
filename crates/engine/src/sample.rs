//! A seeded sample of keys, times and knowledge at which a view is verified: at events,
//! between them, exactly at the edges of its windows and one microsecond beside them.

use std::collections::BTreeSet;

use evenkeel_types::definition::{
    LookupTarget, RowBody, SourceDef, SourceWindows, Trigger, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::time::{DAY, TIME_MAX};
use evenkeel_types::{
    CalendarUnit, Cut, DataType, Extent, Interval, Offset, Value, VisibleAt, Zone,
};

/// A generator of numbers from a seed: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// One of a slice; none if it is empty.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }
}

/// A key, a time and a knowledge to read a view at.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// The key.
    pub(crate) key: Vec<Value>,
    /// `t`
    pub(crate) time: i64,
    /// `known_at`
    pub(crate) known_at: Option<VisibleAt>,
    /// A composed view's request columns.
    pub(crate) request: Vec<Value>,
}

/// A time at which an event's part in a view changes.
#[derive(Clone, Debug)]
enum Edge {
    /// So long after the event.
    After(Interval),
    /// The next multiples of a hop.
    Hop(i64),
    /// The next period.
    StartOf(CalendarUnit, Zone),
}

/// Where a view's keys come from: a source and its key columns.
pub(crate) struct Anchor<'a> {
    /// The source.
    pub(crate) source: &'a SourceDef,
    /// Source row slots of the view's key.
    pub(crate) key_columns: &'a [usize],
    /// Whether rows that come to a key leave another.
    pub(crate) rows_move: bool,
}

/// The sources whose events bring the keys of a view.
pub(crate) fn anchors(view: &ViewDef) -> Vec<Anchor<'_>> {
    match &view.body {
        ViewBody::Window(body) => vec![Anchor {
            source: &body.windows.source,
            key_columns: &body.windows.key_columns,
            rows_move: body.windows.has(WindowRows::Live) || body.windows.has(WindowRows::Changes),
        }],
        ViewBody::Row(body) => {
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            sides
                .into_iter()
                .map(|s| Anchor {
                    source: &s.source,
                    key_columns: &s.key_columns,
                    rows_move: false,
                })
                .collect()
        }
        ViewBody::Composed(body) => body.inputs.iter().flat_map(|v| anchors(v)).collect(),
    }
}

/// The instants at which rows of a table leave a key: `rows` are its versions and ends, each with
/// the bytes of its primary key and whether it lives. What of them holds does not matter here.
pub(crate) fn left_keys(mut rows: Vec<(Vec<u8>, Seen, bool)>) -> Vec<Seen> {
    rows.sort_by(|(a, x, _), (b, y, _)| (a, x.time).cmp(&(b, y.time)));
    let neighbours = rows.windows(2).filter_map(|pair| {
        let [(row, old, lived), (same, new, lives)] = pair else {
            return None;
        };
        let stays = *lives && old.key.iter().zip(&new.key).all(|(a, b)| a.same_bits(b));
        (row == same && *lived && !stays).then(|| Seen {
            key: old.key.clone(),
            ..new.clone()
        })
    });
    neighbours.collect()
}

fn edges(view: &ViewDef, edges: &mut Vec<Edge>) {
    match &view.body {
        ViewBody::Window(body) => window_edges(&body.windows, edges),
        ViewBody::Row(body) => row_edges(body, edges),
        ViewBody::Composed(body) => {
            for input in &body.inputs {
                self::edges(input, edges);
            }
        }
    }
}

fn row_edges(body: &RowBody, out: &mut Vec<Edge>) {
    out.extend(body.ttl.map(Edge::After));
    for windows in &body.windows {
        window_edges(windows, out);
    }
    for lookup in &body.lookups {
        out.extend(lookup.max_age.map(|limit| Edge::After(limit.age)));
        if let LookupTarget::View(view) = &lookup.target {
            edges(view, out);
        }
    }
}

fn window_edges(windows: &SourceWindows, out: &mut Vec<Edge>) {
    out.extend(
        windows
            .source
            .retain
            .iter()
            .map(|r| Edge::After(Interval::from_micros(r.gap))),
    );
    for aggregate in &windows.aggregates {
        match &aggregate.frame.extent {
            Extent::Range { start, end } => {
                out.extend(start.map(Edge::After));
                out.push(Edge::After(*end));
            }
            Extent::Hop { start, end, hop } => {
                out.extend(start.map(|s| Edge::After(Interval::from_micros(s))));
                out.push(Edge::After(Interval::from_micros(*end)));
                out.push(Edge::Hop(*hop));
            }
            Extent::StartOf { unit, zone } => out.push(Edge::StartOf(*unit, zone.clone())),
            Extent::Session { gap } => out.push(Edge::After(Interval::from_micros(*gap))),
            Extent::Rows { .. } => {}
        }
    }
}

/// The instants at which the windows of a view begin to have an event of a time, each a microsecond on, as a
/// window may end before the instant that it is read at.
pub(crate) fn begins_to_count(view: &ViewDef, time: i64) -> BTreeSet<i64> {
    let mut instants = BTreeSet::from([time]);
    extents(view, &mut |extent| {
        instants.insert(match extent {
            Extent::Range { end, .. } => {
                let mut at = end.after(time);
                // Months are not equally long.
                while end.before(at) < time && at < TIME_MAX {
                    at = at.saturating_add(DAY);
                }
                at
            }
            Extent::Hop { end, hop, .. } => {
                let whole = time.saturating_add(*end);
                let below = whole.div_euclid(*hop).saturating_mul(*hop);
                match below == whole {
                    true => whole,
                    false => below.saturating_add(*hop),
                }
            }
            Extent::StartOf { .. } | Extent::Rows { .. } | Extent::Session { .. } => time,
        });
    });
    let behind = |at: &i64| at.saturating_add(1);
    instants.iter().map(behind).collect()
}

/// The extents of a view's windows.
fn extents(view: &ViewDef, take: &mut dyn FnMut(&Extent)) {
    let mut of = |windows: &SourceWindows| {
        for aggregate in &windows.aggregates {
            take(&aggregate.frame.extent);
        }
    };
    match &view.body {
        ViewBody::Window(body) => of(&body.windows),
        ViewBody::Row(body) => body.windows.iter().for_each(of),
        ViewBody::Composed(body) => body.inputs.iter().for_each(|input| extents(input, take)),
    }
}

/// Draws points for one view.
pub(crate) struct Sampler<'a> {
    view: &'a ViewDef,
    edges: Vec<Edge>,
}

/// An event to draw a point at: its key (of the view) and its times.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The view's key.
    pub(crate) key: Vec<Value>,
    /// Event time.
    pub(crate) time: i64,
    /// Visible time.
    pub(crate) visible_at: i64,
}

impl<'a> Sampler<'a> {
    /// For a view.
    pub(crate) fn new(view: &'a ViewDef) -> Self {
        let mut found = Vec::new();
        edges(view, &mut found);
        Sampler { view, edges: found }
    }

    /// A point at, near, or at an edge of an event; `other` is any other event of the source.
    pub(crate) fn point(&self, random: &mut Random, seen: &Seen, other: &Seen) -> Point {
        let beside = random.below(3) as i64 - 1;
        let time = match random.below(8) {
            0 | 1 => seen.time,
            2 => seen.time.saturating_add(beside),
            3 => {
                let (a, b) = (seen.time.min(other.time), seen.time.max(other.time));
                let span = u64::try_from(b.saturating_sub(a)).unwrap_or(0);
                a.saturating_add(i64::try_from(random.below(span)).unwrap_or(0))
            }
            _ => match random.pick(&self.edges) {
                None => seen.time.saturating_add(beside),
                Some(edge) => at_edge(edge, seen.time, random).saturating_add(beside),
            },
        };
        let mut key = seen.key.clone();
        match random.below(64) {
            0 => key.iter_mut().for_each(|part| *part = Value::Null),
            1 => key.iter_mut().for_each(|part| *part = unheard_of(part)),
            _ => {}
        }
        let known_at = match random.below(8) {
            0 => Some(VisibleAt(time)),
            1 => Some(VisibleAt(seen.visible_at.saturating_add(beside))),
            _ => None,
        };
        Point {
            key,
            time,
            known_at,
            request: self.request(random),
        }
    }

    fn request(&self, random: &mut Random) -> Vec<Value> {
        let ViewBody::Composed(body) = &self.view.body else {
            return Vec::new();
        };
        body.request
            .iter()
            .map(|f| any_value(&f.data_type, random))
            .collect()
    }
}

fn at_edge(edge: &Edge, time: i64, random: &mut Random) -> i64 {
    match edge {
        Edge::After(interval) => interval.after(time),
        Edge::Hop(hop) => {
            let hops = i64::try_from(random.below(3)).unwrap_or(0);
            time.div_euclid(*hop)
                .saturating_add(hops)
                .saturating_mul(*hop)
        }
        Edge::StartOf(unit, zone) => {
            let period = match unit {
                CalendarUnit::Day => Interval::from_micros(evenkeel_types::time::DAY),
                CalendarUnit::Week => Interval::from_micros(7 * evenkeel_types::time::DAY),
                CalendarUnit::Month => Interval::from_months(1),
                CalendarUnit::Year => Interval::from_months(12),
            };
            zone.start_of(*unit, period.after(time))
        }
    }
}

/// A value of the same type that no event is likely to have.
fn unheard_of(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::string(format!("{text}\u{0}?")),
        Value::BigInt(x) => Value::BigInt(!x),
        Value::Int(x) => Value::Int(!x),
        _ => Value::Null,
    }
}

/// Any value of a type, among them NULL and the awkward ones; NULL for types that a request
/// seldom has.
fn any_value(data_type: &DataType, random: &mut Random) -> Value {
    let small = i64::try_from(random.below(1000)).unwrap_or(0) - 100;
    if random.below(16) == 0 {
        return Value::Null;
    }
    match data_type {
        DataType::Boolean => Value::Boolean(random.below(2) == 0),
        DataType::Int => Value::Int(i32::try_from(small).unwrap_or(0)),
        DataType::BigInt => Value::BigInt(small),
        DataType::Double => match random.below(16) {
            0 => Value::double(0.0),
            1 => Value::double(f64::NAN),
            2 => Value::double(f64::INFINITY),
            _ => Value::double(small as f64 * 0.37),
        },
        DataType::Float => Value::float(small as f32),
        DataType::String => Value::string(format!("r{small}")),
        DataType::Decimal { .. } => Value::decimal(i128::from(small)),
        DataType::Date => Value::Date(i32::try_from(small).unwrap_or(0)),
        DataType::Timestamp => Value::Timestamp(small.saturating_mul(1_000_000)),
        _ => Value::Null,
    }
}

/// An earlier cut: of each partition at least half of what is applied.
pub(crate) fn earlier_cut(applied: &Cut, random: &mut Random) -> Cut {
    let mut cut = Cut::empty();
    for (source, partition, end) in applied.iter() {
        let least = end.0 / 2;
        cut.set_end(
            source,
            partition,
            Offset(least + random.below(end.0 - least + 1)),
        );
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_moves_or_ends_leaves_a_key() {
        let version = |row: u8, key: &str, time: i64, lives: bool| {
            let seen = Seen {
                key: vec![Value::string(key)],
                time,
                visible_at: time + 1,
            };
            (vec![row], seen, lives)
        };
        let left = left_keys(vec![
            version(1, "b", 20, true),
            version(1, "a", 10, true),
            version(2, "a", 15, true),
            version(1, "b", 25, true),
            // An end has the key of no row.
            version(1, "", 30, false),
            version(1, "c", 40, true),
        ]);
        let left: Vec<(Value, i64, i64)> = left
            .iter()
            .map(|s| (s.key[0].clone(), s.time, s.visible_at))
            .collect();
        assert_eq!(
            left,
            [(Value::string("a"), 20, 21), (Value::string("b"), 30, 31)]
        );
    }
}
