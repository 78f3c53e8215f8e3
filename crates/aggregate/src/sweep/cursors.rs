//! Frames of the events of many keys as ranges, for reads that are in the order of time whatever
//! their keys.
//!
//! Of each key it is kept where each edge of a frame stands; frames that share an edge share its
//! place. Cost: each event passes each edge once, and a read touches a few neighbouring numbers
//! of its key.
//!
//! Invariant: the ranges are those of [`super::index_ranges`] for the reads of each key.

use evenkeel_types::{Extent, Frame, Interval};

use crate::frame::{Instants, instants};

/// See the module.
pub struct Cursors {
    edges: Vec<Edge>,
    /// Of each frame, where its start and its end are among the edges.
    of_frames: Vec<(usize, usize)>,
    /// Of each key, the first event that each edge has not passed.
    at: Vec<u32>,
}

/// One end of a frame that times give.
#[derive(PartialEq)]
enum Edge {
    /// So long before each read, or so much later.
    Fixed { back: Interval, later: i64 },
    /// Of a frame whose ends move otherwise: its start, or its end.
    Moving { frame: Frame, is_start: bool },
}

impl Edge {
    fn start_of(frame: &Frame) -> Self {
        match frame.extent {
            Extent::Range {
                start: Some(back), ..
            } if back.months == 0 => Edge::Fixed { back, later: 0 },
            _ => Edge::Moving {
                frame: frame.clone(),
                is_start: true,
            },
        }
    }

    fn end_of(frame: &Frame) -> Self {
        match frame.extent {
            // The events at a read count unless they are excluded; those at any other end do.
            Extent::Range { end, .. } if end.months == 0 && end.micros >= 0 => Edge::Fixed {
                back: end,
                later: i64::from(!(frame.exclude_group && end.micros == 0)),
            },
            _ => Edge::Moving {
                frame: frame.clone(),
                is_start: false,
            },
        }
    }

    /// The earliest time that it has not passed at a read; `None` if events give it.
    #[inline]
    fn limit(&self, t: i64) -> Option<i64> {
        match self {
            Edge::Fixed { back, later } => Some(back.before(t) + later),
            Edge::Moving { frame, is_start } => {
                let Instants { first, last } = instants(frame, t)?;
                Some(match is_start {
                    true => first,
                    false => last.saturating_add(1),
                })
            }
        }
    }
}

impl Cursors {
    /// For the events of keys, of which those of key `k` are `starts[k]..starts[k + 1]`. None if
    /// an end of a frame is given by events and not by times.
    pub fn new(frames: &[Frame], starts: &[u32]) -> Option<Self> {
        let mut edges: Vec<Edge> = Vec::new();
        let mut number = |edge: Edge| {
            edge.limit(0)?;
            let known = edges.iter().position(|known| *known == edge);
            Some(known.unwrap_or_else(|| {
                edges.push(edge);
                edges.len() - 1
            }))
        };
        let of_frames = frames
            .iter()
            .map(|frame| Some((number(Edge::start_of(frame))?, number(Edge::end_of(frame))?)))
            .collect::<Option<_>>()?;
        let (_, firsts) = starts.split_last()?;
        let at = firsts
            .iter()
            .flat_map(|start| std::iter::repeat_n(*start, edges.len()));
        Some(Cursors {
            at: at.collect(),
            of_frames,
            edges,
        })
    }

    /// Moves on to a read of a key at `t`, not earlier than its reads before, and tells the range
    /// of each frame. `times` are those of all events, `end` is where those of the key end.
    ///
    /// # Panics
    /// If there is no such key.
    #[inline]
    pub fn read(
        &mut self,
        key: usize,
        end: u32,
        times: &[i64],
        t: i64,
        mut range_of: impl FnMut(usize, (u32, u32)),
    ) {
        let at = &mut self.at[key * self.edges.len()..][..self.edges.len()];
        let times = &times[..end as usize];
        for (edge, at) in self.edges.iter().zip(at.iter_mut()) {
            let limit = edge.limit(t).unwrap_or(i64::MIN);
            while times.get(*at as usize).is_some_and(|&time| time < limit) {
                *at += 1;
            }
        }
        for (frame, (start, end)) in self.of_frames.iter().enumerate() {
            range_of(frame, (at[*start].min(at[*end]), at[*end]));
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{CalendarUnit, Zone};
    use proptest::prelude::*;

    use super::super::index_ranges;
    use super::*;

    fn frame() -> impl Strategy<Value = Frame> {
        let back = prop_oneof![Just(0i64), 0i64..40];
        let range = (prop::option::of(back.clone()), back, any::<bool>()).prop_map(
            |(start, end, exclude_group)| Frame {
                extent: Extent::Range {
                    start: start.map(|start| Interval::from_micros(start.max(end))),
                    end: Interval::from_micros(end),
                },
                exclude_group,
            },
        );
        let hop = (prop::option::of(1i64..5), 0i64..3, 1i64..20).prop_map(|(start, end, hop)| {
            let extent = Extent::Hop {
                start: start.map(|start| (start + end) * hop),
                end: end * hop,
                hop,
            };
            Frame {
                extent,
                exclude_group: false,
            }
        });
        let day = any::<bool>().prop_map(|exclude_group| Frame {
            extent: Extent::StartOf {
                unit: CalendarUnit::Day,
                zone: Zone::utc(),
            },
            exclude_group,
        });
        prop_oneof![6 => range, 2 => hop, 1 => day]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn like_one_key_after_the_other(
            frames in prop::collection::vec(frame(), 1..5),
            events in prop::collection::vec(prop::collection::vec(-100i64..100, 0..30), 1..5),
            mut reads in prop::collection::vec((-110i64..110, any::<prop::sample::Index>()), 0..40),
        ) {
            let mut starts = vec![0u32];
            let mut times = Vec::new();
            for mut of_key in events {
                of_key.sort_unstable();
                times.extend(of_key);
                starts.push(times.len() as u32);
            }
            let keys = starts.len() - 1;
            reads.sort_by_key(|(t, _)| *t);
            let reads: Vec<(i64, usize)> = reads.iter().map(|(t, key)| (*t, key.index(keys))).collect();
            let mut cursors = Cursors::new(&frames, &starts).unwrap();
            let mut found = vec![vec![Vec::new(); frames.len()]; keys];
            for &(t, key) in &reads {
                cursors.read(key, starts[key + 1], &times, t, |frame, range| {
                    found[key][frame].push(range);
                });
            }
            for key in 0..keys {
                let of_key = &times[starts[key] as usize..starts[key + 1] as usize];
                let at: Vec<i64> =
                    reads.iter().filter(|(_, k)| *k == key).map(|(t, _)| *t).collect();
                for (frame, found) in frames.iter().zip(&found[key]) {
                    let mut want = Vec::new();
                    index_ranges(frame, None, of_key, &at, starts[key], &mut want);
                    prop_assert_eq!(found, &want, "{:?}", frame);
                }
            }
        }
    }

    #[test]
    fn what_events_end_has_none() {
        for extent in [
            Extent::Rows {
                start: Some(1),
                end: 0,
            },
            Extent::Session { gap: 5 },
        ] {
            let frame = Frame {
                extent,
                exclude_group: false,
            };
            assert!(Cursors::new(&[frame], &[0, 3]).is_none());
        }
    }
}
