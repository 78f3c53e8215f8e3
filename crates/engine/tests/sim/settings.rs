//! What one run is like: numbers and faults under its seed.
//!
//! A run has some kinds of faults, not all, each as often as the seed says (swarm testing:
//! Groce et al., "Swarm Testing", ISSTA 2012): what one fault hides, a run without it shows.

use evenkeel_log::Compression;
use evenkeel_sim::Random;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) clients: usize,
    /// Requests of each client.
    pub(crate) requests: u64,
    /// Of the hot tier: a quarter of it makes a checkpoint due.
    pub(crate) memory_bytes: u64,
    pub(crate) sealed_entries: usize,
    pub(crate) segment_bytes: u64,
    pub(crate) compression: Compression,
    /// Pushes that may wait.
    pub(crate) queue: usize,
    /// Requests of one commit, at most.
    pub(crate) group: usize,
    /// Events applied at once.
    pub(crate) apply_events: usize,
    /// Rows read at once.
    pub(crate) read_rows: usize,
    /// Steps that a message is under way, at most.
    pub(crate) delay: u64,
    /// Steps after which a client asks no more for an answer.
    pub(crate) patience: u64,
    /// Views that are applied while the store is in use.
    pub(crate) applies: usize,
    /// Whether a column of every source is widened while the store is in use.
    pub(crate) widens: bool,
    /// Whether old events leave the hot tier.
    pub(crate) retention: bool,
    /// Whether what has left comes back without a hold on the engine, as for a server.
    pub(crate) defers: bool,
    /// Whether there are derived streams.
    pub(crate) emits: bool,
    /// Whether some of them have timers.
    pub(crate) waits: bool,
    /// Triggers that are evaluated for one commit.
    pub(crate) evaluated_max: usize,
    pub(crate) faults: Faults,
}

/// Once in how many steps each happens; none: never.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// The process dies.
    pub(crate) kill: Option<u64>,
    /// The power is cut at one of the next file operations.
    pub(crate) power: Option<u64>,
    /// One of the next file operations fails.
    pub(crate) error: Option<u64>,
    /// The disk is full, for a while.
    pub(crate) full: Option<u64>,
    /// The clock jumps.
    pub(crate) clock: Option<u64>,
    /// A message is lost.
    pub(crate) lost: Option<u64>,
    /// A request arrives twice.
    pub(crate) repeated: Option<u64>,
}

impl Settings {
    pub(crate) fn of(random: &mut Random) -> Self {
        Settings {
            clients: 1 + random.below(5) as usize,
            requests: 10 + random.below(50),
            memory_bytes: [8_000, 30_000, 100_000, 4_000_000][random.below(4) as usize],
            sealed_entries: [2, 3, 8, 64, 512][random.below(5) as usize],
            segment_bytes: [1, 2_000, 20_000, 1 << 20][random.below(4) as usize],
            compression: match random.one_in(2) {
                true => Compression::None,
                false => Compression::Zstd { level: 1 },
            },
            queue: 1 + random.below(6) as usize,
            group: 1 + random.below(4) as usize,
            apply_events: 1 + random.below(5) as usize,
            read_rows: 1 + random.below(5) as usize,
            delay: 1 + random.below(40),
            patience: 200 + random.below(2_000),
            applies: random.below(3) as usize,
            widens: random.one_in(2),
            retention: random.one_in(2),
            defers: random.one_in(2),
            faults: Faults::of(random),
            emits: random.one_in(2),
            waits: random.one_in(2),
            evaluated_max: [1, 3, 40, 4_096][random.below(4) as usize],
        }
    }
}

impl Faults {
    fn of(random: &mut Random) -> Self {
        let mut often = |least: u64, most: u64| {
            let most = if random.one_in(4) { 2 * least } else { most };
            let n = least + random.below(most - least);
            random.one_in(2).then_some(n)
        };
        Faults {
            kill: often(60, 2_000),
            power: often(60, 2_000),
            error: often(60, 1_500),
            full: often(300, 2_000),
            clock: often(50, 500),
            lost: often(10, 200),
            repeated: often(5, 100),
        }
    }

    /// From now on all is well.
    pub(crate) fn none() -> Self {
        Faults {
            kill: None,
            power: None,
            error: None,
            full: None,
            clock: None,
            lost: None,
            repeated: None,
        }
    }
}

/// Whether something that happens once in so many steps happens now.
pub(crate) fn happens(random: &mut Random, once_in: Option<u64>) -> bool {
    once_in.is_some_and(|n| random.one_in(n))
}
