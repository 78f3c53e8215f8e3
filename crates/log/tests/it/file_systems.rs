//! The file system in memory answers as the disk does, to any sequence of operations.

use std::io;
use std::path::Path;
use std::sync::Arc;

use evenkeel_log::{DiskFileSystem, File, FileSystem, Lock, MemoryFileSystem, OpenMode};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Operation {
    Open(u8, OpenMode),
    Write(usize, u64, Vec<u8>),
    Read(usize, u64, usize),
    Truncate(usize, u64),
    Length(usize),
    Sync(usize),
    Rename(u8, u8),
    Remove(u8),
    List,
    SyncDirectory,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let mode = prop_oneof![
        Just(OpenMode::Create),
        Just(OpenMode::Write),
        Just(OpenMode::Read)
    ];
    let bytes = prop::collection::vec(any::<u8>(), 1..20);
    let operation = prop_oneof![
        4 => (0u8..4, mode).prop_map(|(name, mode)| Operation::Open(name, mode)),
        4 => (0usize..4, 0u64..30, bytes).prop_map(|(f, at, b)| Operation::Write(f, at, b)),
        3 => (0usize..4, 0u64..40, 0usize..40).prop_map(|(f, at, n)| Operation::Read(f, at, n)),
        1 => (0usize..4, 0u64..40).prop_map(|(f, length)| Operation::Truncate(f, length)),
        1 => (0usize..4).prop_map(Operation::Length),
        1 => (0usize..4).prop_map(Operation::Sync),
        2 => (0u8..4, 0u8..4).prop_map(|(from, to)| Operation::Rename(from, to)),
        1 => (0u8..4).prop_map(Operation::Remove),
        1 => Just(Operation::List),
        1 => Just(Operation::SyncDirectory),
    ];
    prop::collection::vec(operation, 1..40)
}

/// A file system with the files that were opened on it.
struct Subject<'a> {
    file_system: &'a dyn FileSystem,
    directory: &'a Path,
    files: Vec<Arc<dyn File>>,
}

impl Subject<'_> {
    /// Does it, and says in text what came of it.
    fn answer(&mut self, operation: &Operation) -> String {
        let path = |name: u8| self.directory.join(format!("file-{name}"));
        let file = |index: usize| self.files.get(index % self.files.len().max(1));
        let told = |result: io::Result<()>| match result {
            Ok(()) => "done".to_owned(),
            // What a file that is open for reading says to a write differs between systems.
            Err(_) if matches!(operation, Operation::Write(..) | Operation::Truncate(..)) => {
                "refused".to_owned()
            }
            Err(e) => e.kind().to_string(),
        };
        match operation {
            Operation::Open(name, mode) => match self.file_system.open(&path(*name), *mode) {
                Ok(file) => {
                    self.files.push(file);
                    "opened".into()
                }
                Err(e) => e.kind().to_string(),
            },
            Operation::Write(index, at, bytes) => {
                file(*index).map_or_else(String::new, |f| told(f.write_at(*at, bytes)))
            }
            Operation::Read(index, at, length) => {
                let mut buffer = vec![0xaa; *length];
                let read = file(*index).map(|f| f.read_at(*at, &mut buffer).map_err(|e| e.kind()));
                format!("{read:?} {buffer:?}")
            }
            Operation::Truncate(index, length) => {
                file(*index).map_or_else(String::new, |f| told(f.truncate(*length)))
            }
            Operation::Length(index) => {
                format!(
                    "{:?}",
                    file(*index).map(|f| f.length().map_err(|e| e.kind()))
                )
            }
            Operation::Sync(index) => {
                file(*index).map_or_else(String::new, |f| told(f.sync_data()))
            }
            Operation::Rename(from, to) => told(self.file_system.rename(&path(*from), &path(*to))),
            Operation::Remove(name) => told(self.file_system.remove(&path(*name))),
            Operation::List => format!("{:?}", self.file_system.list(self.directory)),
            Operation::SyncDirectory => told(self.file_system.sync_directory(self.directory)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn memory_answers_as_the_disk_does(operations in operations()) {
        let base = tempfile::tempdir().unwrap();
        let memory = MemoryFileSystem::new();
        let directory = base.path().join("directory");
        let subject = |file_system| Subject {
            file_system,
            directory: &directory,
            files: Vec::new(),
        };
        let (mut disk, mut memory) = (subject(&DiskFileSystem), subject(&memory));
        prop_assert_eq!(disk.answer(&Operation::List).contains("NotFound"), true);
        prop_assert_eq!(memory.answer(&Operation::List).contains("NotFound"), true);
        for subject in [&disk, &memory] {
            subject.file_system.create_directory(&directory).unwrap();
            subject.file_system.create_directory(&directory).unwrap();
        }
        for operation in &operations {
            prop_assert_eq!(disk.answer(operation), memory.answer(operation), "{:?}", operation);
        }
    }
}

#[test]
fn a_lock_is_one_holders_until_it_is_dropped() {
    let base = tempfile::tempdir().unwrap();
    let memory = MemoryFileSystem::new();
    for file_system in [&DiskFileSystem as &dyn FileSystem, &memory] {
        let path = base.path().join("lock");
        let Lock::Taken(guard) = file_system.lock(&path).unwrap() else {
            panic!("nobody holds it");
        };
        let Lock::Held { pid } = file_system.lock(&path).unwrap() else {
            panic!("it was given twice");
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(guard);
        assert!(matches!(file_system.lock(&path).unwrap(), Lock::Taken(_)));
    }
}
