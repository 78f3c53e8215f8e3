//! A store as a server writes it: what is logged is emitted for some time later, a piece at a time, and the
//! process dies at any step of that, and goes on.

use std::ops::ControlFlow;

use evenkeel_engine::push::{Pusher, Write};
use evenkeel_engine::{
    Emitter, Engine, FunctionCalls, Machine, Next, Online, TruncateOptions, log_backfill,
};
use evenkeel_log::LogOptions;

use crate::lake::flush;
use crate::random_history::Random;
use crate::support::{World, apply};
use crate::timer_history::{Step, backfill_of, next_steps, of_rows, rows_of, write_of};

/// An engine for who must not wait for functions.
struct Impatient<'a>(&'a Engine);

impl Online for Impatient<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(self.0)
    }

    fn makes_calls(&self) -> bool {
        false
    }
}

/// See the module.
pub(crate) struct Served<'w> {
    world: &'w World,
    machine: Machine,
    engine: Option<Engine>,
    emitter: Emitter,
    /// It dies at one of so many steps; zero: never.
    pub(crate) dies_one_in: u64,
    /// It dies at this step.
    pub(crate) dies_at: Option<usize>,
    pub(crate) steps: usize,
    pub(crate) deaths: usize,
    pub(crate) calls: usize,
    pub(crate) truncated: u64,
}

impl<'w> Served<'w> {
    /// With the definitions of the world; so many triggers are evaluated for one commit.
    pub(crate) fn new(world: &'w World, evaluated_max: usize) -> Self {
        let machine = Machine {
            clock: world.clock.clone(),
            log: LogOptions {
                segment_bytes: 2_000,
                ..LogOptions::default()
            },
            evaluated_max,
            places_max: evaluated_max.saturating_mul(16),
            ..Machine::default()
        };
        Served::on(world, machine)
    }

    /// With the definitions of the world; a commit of emissions has about so many bytes.
    pub(crate) fn with_commits_of(world: &'w World, commit_bytes: usize) -> Self {
        let machine = Machine {
            clock: world.clock.clone(),
            commit_bytes,
            ..Machine::default()
        };
        Served::on(world, machine)
    }

    fn on(world: &'w World, machine: Machine) -> Self {
        let mut served = Served {
            world,
            machine,
            engine: None,
            emitter: Emitter::default(),
            dies_one_in: 0,
            dies_at: None,
            steps: 0,
            deaths: 0,
            calls: 0,
            truncated: 0,
        };
        served.open();
        let files = world.project().definition_files().unwrap();
        apply(served.engine_mut(), &files);
        served
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is open but in between")
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("it is open but in between")
    }

    /// The engine, for who closes it; then [`Served::open`].
    pub(crate) fn take(&mut self) -> Engine {
        self.engine.take().expect("it is open but in between")
    }

    pub(crate) fn open(&mut self) {
        self.engine = None;
        self.emitter = Emitter::default();
        let opened = Engine::open_to_serve_on(&self.world.project(), self.machine.clone());
        let mut engine = opened.unwrap();
        // What is to be brought back, or to be called, is told to who reads.
        engine.defer_cold_reads();
        self.engine = Some(engine);
    }

    /// Logs and applies a write, and emits nothing.
    pub(crate) fn write(&mut self, write: Write) {
        let engine = self.engine_mut();
        let judged = Pusher::default().judge(engine, vec![write]);
        let mut commit = judged.append(&engine.writer().unwrap()).unwrap();
        while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
    }

    /// Logs the next of some steps, so many rows at most; how many steps that are.
    pub(crate) fn log(&mut self, steps: &[Step], most: usize) -> usize {
        let count = next_steps(steps, most);
        let engine = self.engine();
        let write = match &steps[0] {
            Step::Push(source, _) => Some(of_rows(engine, source, rows_of(&steps[..count]))),
            step => write_of(engine, step),
        };
        if let Some(request) = backfill_of(engine, &steps[0]) {
            log_backfill(engine, &engine.writer().unwrap(), &request).unwrap();
        }
        if let Some(write) = write {
            self.write(write);
        }
        count
    }

    /// Whether it dies now.
    fn dies(&mut self, random: &mut Random) -> bool {
        self.steps += 1;
        let dies = self.dies_one_in > 0 && random.one_in(self.dies_one_in);
        let dies = dies || self.dies_at == Some(self.steps);
        if dies {
            self.deaths += 1;
            self.open();
        }
        dies
    }

    /// A turn of the emitter; whether there is more.
    pub(crate) fn turn(&mut self, random: &mut Random) -> bool {
        let engine = self.engine.as_mut().expect("it is open but in between");
        match self.emitter.next(&Impatient(engine)) {
            Next::End => {
                engine.emitted(&self.emitter);
                assert!(!engine.is_emission_stuck());
                return false;
            }
            Next::Nothing => {}
            Next::Calls(calls) => self.answer(*calls),
            Next::Emissions(judged) => {
                if self.dies(random) {
                    return true;
                }
                let mut commit = judged.append(&self.engine().writer().unwrap()).unwrap();
                // It is durable, and not applied.
                if self.dies(random) {
                    return true;
                }
                while self
                    .engine_mut()
                    .apply_some(&mut commit, usize::MAX)
                    .unwrap()
                {}
                self.emitter.done();
            }
        }
        let engine = self.engine.as_mut().expect("it is open but in between");
        engine.emitted(&self.emitter);
        if random.one_in(6) {
            engine.checkpoint().unwrap();
        }
        self.dies(random);
        true
    }

    fn answer(&mut self, calls: FunctionCalls) {
        self.calls += 1;
        self.emitter.answered(calls.run());
    }

    /// Emits for everything that is logged.
    pub(crate) fn emit(&mut self, random: &mut Random) {
        while self.turn(random) {}
    }

    /// Lets leave the log what can.
    pub(crate) fn truncate(&mut self) {
        self.engine_mut().checkpoint().unwrap();
        flush(self.engine(), &[]);
        let truncation = self.engine().log_truncation().unwrap();
        let mut go_on = |_, _| ControlFlow::Continue(());
        let all = TruncateOptions::default();
        self.truncated += truncation.run(&all, &mut go_on).unwrap().truncated;
    }

    /// Does all of it, so many rows at once at most, now and then with some emissions, truncations of the log and
    /// deaths in between.
    pub(crate) fn play(&mut self, steps: &[Step], rows: u64, random: &mut Random) {
        let mut rest = steps;
        while !rest.is_empty() {
            let most = 1 + random.below(rows) as usize;
            let logged = self.log(rest, most);
            rest = &rest[logged..];
            if random.one_in(3) {
                let mut turns = random.below(12);
                while turns > 0 && self.turn(random) {
                    turns -= 1;
                }
            }
            if random.one_in(24) {
                self.truncate();
            }
        }
        self.emit(random);
    }
}
