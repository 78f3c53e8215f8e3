//! The content of a disk, page by page; pages that were never written are zero.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PAGE_BYTES: usize = 4096;

/// See the module.
#[derive(Clone, Default)]
pub(crate) struct Pages(BTreeMap<u64, Box<[u8; PAGE_BYTES]>>);

/// The parts of `length` bytes at `offset`, none of which crosses a page: page, place in it,
/// place in the bytes, length.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let part = (PAGE_BYTES - within).min(length - done);
        let found = (at / PAGE_BYTES as u64, within, done, part);
        done += part;
        (part > 0).then_some(found)
    })
}

impl Pages {
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, from, length) in parts(offset, bytes.len()) {
            let page = self
                .0
                .entry(page)
                .or_insert_with(|| Box::new([0; PAGE_BYTES]));
            page[within..within + length].copy_from_slice(&bytes[from..from + length]);
        }
    }

    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) {
        for (page, within, to, length) in parts(offset, bytes.len()) {
            match self.0.get(&page) {
                Some(page) => {
                    bytes[to..to + length].copy_from_slice(&page[within..within + length]);
                }
                None => bytes[to..to + length].fill(0),
            }
        }
    }

    /// Writes a file of so many bytes, with holes where nothing was written.
    pub(crate) fn save(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(length)?;
        for (page, bytes) in &self.0 {
            file.write_all_at(&bytes[..], page * PAGE_BYTES as u64)?;
        }
        Ok(())
    }
}
