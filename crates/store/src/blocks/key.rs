//! The keys of rows: tenant, index, bucket, then the entity key, so that the rows of a key
//! stand together and those of a bucket, too.

use evenkeel_types::DataType;
use evenkeel_types::codec::Decoder;
use xxhash_rust::xxh3::xxh3_64;

/// Buckets that entity keys hash into, for the life of a store.
pub(super) const BUCKETS: u64 = 4096;
/// Longer keys are replaced by their digest: the embedded store takes 64 KiB.
pub(super) const KEY_BYTES_MAX: usize = 4096;
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
    put_place(bucket_of(key), key, &mut bytes);
    bytes.into()
}

/// Appends the [`place`] of a key that is in this bucket.
pub(super) fn put_place(bucket: u16, key: &[u8], out: &mut Vec<u8>) {
    out.extend(bucket.to_be_bytes());
    if key.len() <= KEY_BYTES_MAX {
        out.extend_from_slice(key);
    } else {
        out.push(DIGEST);
        out.extend_from_slice(blake3::hash(key).as_bytes());
    }
}

/// The bucket of an entity key. Keys of one bucket stand together, and the buckets in order.
pub fn bucket_of(key: &[u8]) -> u16 {
    (xxh3_64(key) % BUCKETS) as u16
}

/// What of a prefix is the same in every index: bucket and key.
pub(super) fn place(prefix: &[u8]) -> &[u8] {
    &prefix[HEADER - 2..]
}

/// Where the rows of an index begin, and where they have ended.
pub(super) fn of_index(index: u32) -> (Vec<u8>, Vec<u8>) {
    let from = [&TENANT.to_be_bytes()[..], &index.to_be_bytes()].concat();
    let mut to = from.clone();
    to.extend([0xff; 2]);
    (from, to)
}

/// Where the rows of a key's bucket begin, and where those of so many buckets have ended.
pub(super) fn buckets_from(prefix: &[u8], buckets: u64) -> (Vec<u8>, Vec<u8>) {
    let (index, bucket) = prefix.split_at(HEADER).0.split_at(HEADER - 2);
    let first = bucket.first_chunk().map_or(0, |b| u16::from_be_bytes(*b));
    let end = (u64::from(first) + buckets).min(BUCKETS) as u16;
    let at = |bucket: u16| [index, &bucket.to_be_bytes()].concat();
    (at(first), at(end))
}

/// What a row key begins with: the index and the entity key, and what follows them.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) index: u32,
    pub(super) prefix: &'a [u8],
    /// The entity key; none if only its digest is there.
    pub(super) key: Option<&'a [u8]>,
}

/// Where tenant, index and bucket end.
const HEADER: usize = 8;

/// The index of a row.
pub(super) fn index_of(row: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*row.get(2..)?.first_chunk()?))
}

/// The parts of a row key whose entity key has values of these types.
pub(super) fn parts<'a>(row: &'a [u8], key_types: &[DataType]) -> Option<Parts<'a>> {
    let rest = row.get(HEADER..)?;
    if rest.first() == Some(&DIGEST) {
        let prefix = row.get(..HEADER + 1 + blake3::OUT_LEN)?;
        return Some(Parts {
            index: index_of(row)?,
            prefix,
            key: None,
        });
    }
    let mut decoder = Decoder::new(rest);
    for data_type in key_types {
        decoder.value(data_type).ok()?;
    }
    let (prefix, _) = row.split_at(HEADER + decoder.at());
    Some(Parts {
        index: index_of(row)?,
        prefix,
        key: prefix.get(HEADER..),
    })
}

const DIRECTORY: u8 = 0;
const RUN: u8 = 1;

pub(super) fn directory(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[DIRECTORY]].concat()
}

/// The prefix of a directory's row key.
pub(super) fn of_directory(row: &[u8]) -> Option<&[u8]> {
    row.strip_suffix(&[DIRECTORY])
}

/// The prefix of a sealed block's row key.
pub(super) fn of_block(row: &[u8]) -> Option<&[u8]> {
    Some(row.split_last_chunk::<8>()?.0)
}

/// Behind the row keys of all sealed blocks of a key.
pub(super) fn behind_blocks(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff; 9]].concat()
}

/// What a key's cold part is called in the cache: no prefix is like it.
pub(super) fn cold(prefix: &[u8]) -> RowPrefix {
    [prefix, b"/cold"].concat().into()
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
