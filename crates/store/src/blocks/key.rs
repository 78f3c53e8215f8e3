//! The keys of rows: tenant, index, bucket, then the entity key, so that the rows of a key
//! stand together and those of a bucket, too.

use xxhash_rust::xxh3::xxh3_64;

/// Buckets that entity keys hash into, for the life of a store.
const BUCKETS: u64 = 4096;
/// Longer keys are replaced by their digest: the embedded store takes 64 KiB.
const KEY_BYTES_MAX: usize = 4096;
/// No encoding of a value begins with this byte.
const DIGEST: u8 = 0xff;
/// The only tenant so far.
const TENANT: u16 = 0;

/// What the row keys of an entity key begin with.
pub(crate) type RowPrefix = Box<[u8]>;

pub(super) fn row_prefix(index: u32, key: &[u8]) -> RowPrefix {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend(TENANT.to_be_bytes());
    bytes.extend(index.to_be_bytes());
    let bucket = (xxh3_64(key) % BUCKETS) as u16;
    bytes.extend(bucket.to_be_bytes());
    if key.len() <= KEY_BYTES_MAX {
        bytes.extend(key);
    } else {
        bytes.push(DIGEST);
        bytes.extend(blake3::hash(key).as_bytes());
    }
    bytes.into()
}

const DIRECTORY: u8 = 0;
const RUN: u8 = 1;

pub(super) fn directory(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[DIRECTORY]].concat()
}

pub(super) fn run(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &[RUN], &number.to_be_bytes()].concat()
}

pub(super) fn block(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

/// What a row of a key is, by what follows the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Directory,
    Run(u64),
}

pub(super) fn kind(prefix: &[u8], row: &[u8]) -> Option<RowKind> {
    match row.strip_prefix(prefix)? {
        [DIRECTORY] => Some(RowKind::Directory),
        [RUN, number @ ..] => Some(RowKind::Run(u64::from_be_bytes(number.try_into().ok()?))),
        _ => None,
    }
}
