//! Lanes: threads that answer what takes moments, one per processor, each with connections of its own
//! (`docs/decisions/0066-lanes.md`).
//!
//! A request is read, answered and written by one thread, without a word to another. Whatever takes longer must not
//! stand in a lane, where the lane's other connections wait for it: it goes to the runtime [`beside`] the lanes,
//! whose threads take work from one another.

use std::cell::OnceCell;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{JoinHandle, available_parallelism};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// Connections on their way to a lane.
const ARRIVING: usize = 64;

thread_local! {
    /// In a lane: the runtime beside it.
    static BESIDE: OnceCell<Handle> = const { OnceCell::new() };
}

/// The runtime for what takes long, or blocks: of a lane the one beside it, elsewhere the one that is there.
pub(crate) fn beside() -> Handle {
    let beside = BESIDE.with(|beside| beside.get().cloned());
    beside.unwrap_or_else(Handle::current)
}

/// Whether this thread is a lane.
pub(crate) fn is_lane() -> bool {
    BESIDE.with(|beside| beside.get().is_some())
}

/// Does work beside the lanes. It ends with whoever waits for it. None if it panicked.
pub(crate) async fn done_beside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    // A set of one: what is in it is ended when it is dropped.
    let mut working = JoinSet::new();
    working.spawn_on(work, &beside());
    working.join_next().await.and_then(Result::ok)
}

/// See the module. They end when they are dropped, and what is in them with them.
pub(crate) struct Lanes(Vec<Lane>);

struct Lane {
    arriving: Option<Sender<Job>>,
    /// What is in it, or arrives.
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Starts something in a lane.
type Job = Box<dyn FnOnce() + Send>;

/// A place in a lane.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// Lanes with a runtime beside them, which must outlive them.
    pub(crate) fn start(beside: &Handle) -> std::io::Result<Lanes> {
        let count = available_parallelism().map_or(1, NonZeroUsize::get);
        let lane = |number| Lane::start(number, beside.clone());
        (0..count)
            .map(lane)
            .collect::<std::io::Result<_>>()
            .map(Lanes)
    }

    /// Starts what `start` makes, in the lane in which there is least.
    pub(crate) async fn give<F: Future<Output = ()> + Send + 'static>(
        &self,
        start: impl FnOnce() -> F + Send + 'static,
    ) {
        let lanes = self.0.iter();
        let Some(lane) = lanes.min_by_key(|lane| lane.load.load(Ordering::Relaxed)) else {
            return;
        };
        lane.load.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&lane.load));
        let job = move || {
            let work = start();
            tokio::spawn(async move {
                work.await;
                drop(place);
            });
        };
        if let Some(arriving) = &lane.arriving {
            // A lane ends with its sender alone.
            let _ = arriving.send(Box::new(job)).await;
        }
    }
}

impl Lane {
    fn start(number: usize, beside: Handle) -> std::io::Result<Lane> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (sender, arriving) = channel(ARRIVING);
        let work = move || {
            BESIDE.with(|place| _ = place.set(beside));
            runtime.block_on(take_in(arriving));
        };
        let thread = std::thread::Builder::new().name(format!("lane-{number}"));
        Ok(Lane {
            arriving: Some(sender),
            load: Arc::default(),
            thread: Some(thread.spawn(work)?),
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.arriving = None;
        if let Some(thread) = self.thread.take() {
            // What panicked in it was a connection's, and was told to nobody.
            let _ = thread.join();
        }
    }
}

async fn take_in(mut arriving: Receiver<Job>) {
    while let Some(start) = arriving.recv().await {
        start();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    /// What is beside the lanes, and these.
    fn lanes(count: usize) -> (Lanes, Runtime) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("beside")
            .build()
            .unwrap();
        let lane = |number| Lane::start(number, runtime.handle().clone()).unwrap();
        (Lanes((0..count).map(lane).collect()), runtime)
    }

    fn thread_name() -> String {
        std::thread::current().name().unwrap().to_owned()
    }

    #[test]
    fn what_comes_goes_where_there_is_least() {
        let (lanes, runtime) = lanes(3);
        let place = |end: oneshot::Receiver<()>| {
            let lanes = &lanes;
            async move {
                let (sender, name) = oneshot::channel();
                let work = move || async move {
                    sender.send(thread_name()).unwrap();
                    let _ = end.await;
                };
                lanes.give(work).await;
                name.await.unwrap()
            }
        };
        runtime.block_on(async {
            let mut ends = Vec::new();
            for expected in ["lane-0", "lane-1", "lane-2", "lane-0", "lane-1"] {
                let (end, ended) = oneshot::channel();
                assert_eq!(place(ended).await, expected);
                ends.push(end);
            }
            // The one with two in it, once both have ended, is the least of all.
            ends.swap_remove(4).send(()).unwrap();
            ends.swap_remove(1).send(()).unwrap();
            while lanes.0[1].load.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(place(oneshot::channel().1).await, "lane-1");
            for end in ends {
                end.send(()).unwrap();
            }
        });
    }

    #[test]
    fn long_work_is_beside_the_lanes_and_ends_with_who_waits_for_it() {
        let (lanes, runtime) = lanes(1);
        let (sender, told) = oneshot::channel();
        let work = || async {
            assert!(is_lane());
            let name = done_beside(async { (thread_name(), is_lane()) }).await;
            let blocking = beside().spawn_blocking(thread_name).await.unwrap();
            let defect = done_beside(async { panic!("as a defect would") }).await;
            let defect: Option<()> = defect;
            let (held, dropped) = oneshot::channel::<()>();
            let endless = async move {
                let _held = held;
                pending::<()>().await;
            };
            let mut endless = Box::pin(done_beside(endless));
            tokio::select! {
                biased;
                _ = &mut endless => panic!("it ended by itself"),
                () = tokio::task::yield_now() => {}
            }
            drop(endless);
            let is_dropped = dropped.await.is_err();
            sender.send((name, blocking, defect, is_dropped)).unwrap();
        };
        runtime.block_on(lanes.give(work));
        let (name, blocking, defect, is_dropped) = runtime.block_on(told).unwrap();
        assert_eq!(name, Some(("beside".to_owned(), false)));
        assert_eq!(blocking, "beside");
        assert_eq!((defect, is_dropped), (None, true));
        assert!(!is_lane());
    }

    #[test]
    fn what_is_in_lanes_ends_with_them() {
        let (lanes, runtime) = lanes(2);
        let ends = [(); 4].map(|()| {
            let (held, dropped) = oneshot::channel::<()>();
            runtime.block_on(lanes.give(move || async move {
                let _held = held;
                pending::<()>().await;
            }));
            dropped
        });
        drop(lanes);
        for mut end in ends {
            assert_eq!(end.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
    }
}
