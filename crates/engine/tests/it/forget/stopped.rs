//! Stopped at any call of the file system.

use super::*;

/// A disk that refuses every change after so many.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) left: Arc<AtomicI64>,
}

impl Failing {
    fn take(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            true => Ok(()),
            false => Err(io::Error::other("pulled")),
        }
    }
}

#[derive(Debug)]
struct FailingFile(Arc<dyn File>, Arc<AtomicI64>);

impl File for FailingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let left = Arc::clone(&self.1);
        Failing { left }.take()?;
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

impl FileSystem for Failing {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if mode == OpenMode::Create {
            self.take()?;
        }
        let file = DiskFileSystem.open(path, mode)?;
        Ok(Arc::new(FailingFile(file, Arc::clone(&self.left))))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        DiskFileSystem.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.take()?;
        DiskFileSystem.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        DiskFileSystem.lock(path)
    }
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).unwrap()),
        }
    }
}

/// Stopped at any step it did nothing, or is carried out by whoever opens the store next; and nobody reads
/// a store in between.
#[test]
fn stopped_anywhere_it_is_not_begun_or_ends() {
    let world = World::new(DEFINITIONS);
    let mut engine = open(&world);
    load(&world, &mut engine, 0, false);
    flush(&engine, &[]);
    truncate(&mut engine);
    load(&world, &mut engine, 1, false);
    flush(&engine, &["orders"]);
    remove_inputs(&world);
    engine.checkpoint().unwrap();
    let before = told(&engine, 3);
    drop(engine);
    let (mut undone, mut carried_out, mut steps) = (0, 0, 0);
    loop {
        let copied = World::new(DEFINITIONS);
        copy(
            &world.path().join(".evenkeel"),
            &copied.path().join(".evenkeel"),
        );
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let machine = Machine {
            clock: copied.clock.clone(),
            files: Arc::new(Failing {
                left: Arc::clone(&left),
            }),
            log: LogOptions {
                segment_bytes: 3_000,
                compression: Compression::None,
            },
            ..Machine::default()
        };
        let project = copied.project();
        let engine = Engine::open_on(&project, machine).unwrap();
        let request = ForgetRequest {
            entity: "customer".to_owned(),
            key: KEY.to_owned(),
            ..ForgetRequest::default()
        };
        let plan = engine
            .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
            .unwrap();
        left.store(steps, Ordering::SeqCst);
        let done = engine.forget(plan);
        let is_decided = copied
            .path()
            .join(".evenkeel/forgetting/plan.json")
            .exists();
        match (&done, is_decided) {
            (Ok(_), _) => assert!(!is_decided),
            (Err(_), false) if carried_out == 0 => undone += 1,
            (Err(_), true) => {
                carried_out += 1;
                let refused = Offline::open(&project).map(drop).unwrap_err();
                assert!(matches!(refused, EngineError::Forget(_)), "{refused}");
            }
            // The last steps, when nothing of it is left.
            (Err(_), false) => {}
        }
        drop(open(&copied));
        let found = found(&copied, &[KEY, WORD]);
        assert_eq!(
            found.is_empty(),
            done.is_ok() || is_decided || carried_out > 0,
            "step {steps}"
        );
        assert_eq!(told(&open(&copied), 3), before, "step {steps}");
        if done.is_ok() {
            break;
        }
        // Most steps are alike.
        steps += 9;
    }
    assert!(
        undone > 3 && carried_out > 3,
        "{undone} and {carried_out} of {steps} steps"
    );
}
