//! The fixed-size structures of a segment file as bytes: segment header, marks, commit
//! header and frame headers. All numbers are little-endian. `docs/format/log.md` has the
//! tables.
//!
//! Owns the bytes and their checksums; what follows what is checked where segments are
//! walked. Every parser takes any bytes whatever and answers with a value or a [`Flaw`].

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::error::Flaw;
use crate::index::StreamKey;

/// The version that is written; older ones are read. Truncated segments have a version of their own.
pub(crate) const FORMAT_VERSION: u16 = 2;
/// The first version in which events may stand column by column.
const COLUMNS_VERSION: u16 = 2;
/// The version of commits that have a backfill; those that have neither it nor a correlation id are of the version
/// that is written.
pub(crate) const BACKFILLS_VERSION: u16 = 3;
/// The version of commits that have a correlation id.
pub(crate) const CORRELATIONS_VERSION: u16 = 4;

/// The size of a segment's header. Commits follow.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 56;
/// The size of a mark.
pub(crate) const MARK_BYTES: usize = 56;
/// Where the two marks stand in their file: in sectors of their own.
pub(crate) const MARK_OFFSETS: [usize; 2] = [0, 512];
/// The size of the marks' file.
pub(crate) const MARK_FILE_BYTES: usize = 1024;
/// The size of a commit's header without its frame headers.
pub(crate) const COMMIT_HEADER_BYTES: usize = 56;
/// The size of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

/// Begins every segment.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"EVKNLOG\0";
const MARK_MAGIC: [u8; 8] = *b"EVKNMRK\0";
/// Begins every commit.
pub(crate) const COMMIT_MAGIC: [u8; 4] = *b"EVKC";

/// How many frames a commit may hold.
pub(crate) const FRAMES_MAX: usize = 65_535;
/// How many bytes a frame's body may have, compressed and not.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
/// How many bytes a commit's bodies may have together.
pub(crate) const COMMIT_BYTES_MAX: usize = 256 << 20;

/// Checksum of a frame's body as stored.
pub(crate) fn body_checksum(stored: &[u8]) -> u64 {
    xxh3_64(stored)
}

/// Reads numbers one after the other from bytes whose length was checked.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .expect("callers pass as many bytes as the structure's constant says");
        self.bytes = rest;
        *head
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }
}

/// What a segment continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The number of its first record.
    pub(crate) first_sequence: u64,
    /// The number of its first commit.
    pub(crate) first_commit: u64,
    /// The checksum of the commit before; 0 for the first.
    pub(crate) previous_checksum: u64,
    /// The apply timeline so far.
    pub(crate) previous_logged_at: i64,
}

/// The format version of a segment or of a mark, whose bytes these are.
pub(crate) fn version(bytes: &[u8]) -> Option<u16> {
    let magic = bytes.first_chunk::<8>()?;
    if *magic != SEGMENT_MAGIC && *magic != MARK_MAGIC {
        return None;
    }
    Some(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]))
}

fn is_known(version: u16) -> bool {
    (1..=FORMAT_VERSION).contains(&version)
}

/// Magic, version and reserved bytes: how both kinds of file begin.
fn begin(magic: [u8; 8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(magic);
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend([0; 6]);
    bytes
}

/// The fields after [`begin`]'s bytes, once magic, version and checksum were checked.
fn open<'a>(bytes: &'a [u8], magic: [u8; 8], what: &'static str) -> Result<Fields<'a>, Flaw> {
    if bytes[..8] != magic {
        return Err(Flaw::Magic(what));
    }
    let (checked, checksum) = bytes.split_at(bytes.len() - 8);
    if (Fields { bytes: checksum }).u64() != xxh3_64(checked) {
        return Err(Flaw::Checksum(what));
    }
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    if !is_known(found) || bytes[10..16] != [0; 6] {
        return Err(Flaw::Field {
            field: "a file's format version",
            value: u64::from(found),
        });
    }
    Ok(Fields {
        bytes: &checked[16..],
    })
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(SEGMENT_MAGIC);
        bytes.extend(self.first_sequence.to_le_bytes());
        bytes.extend(self.first_commit.to_le_bytes());
        bytes.extend(self.previous_checksum.to_le_bytes());
        bytes.extend(self.previous_logged_at.to_le_bytes());
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Flaw> {
        let mut fields = open(bytes, SEGMENT_MAGIC, "a segment")?;
        Ok(SegmentHeader {
            first_sequence: fields.u64(),
            first_commit: fields.u64(),
            previous_checksum: fields.u64(),
            previous_logged_at: fields.i64(),
        })
    }
}

/// The high-water mark: all commits before `next_commit` were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Counts the marks; the larger of the two holds, and says which of the two places is
    /// written next.
    pub(crate) turn: u64,
    /// The first commit that is not acknowledged.
    pub(crate) next_commit: u64,
    /// The checksum of the last commit that is; 0 before the first.
    pub(crate) checksum: u64,
    /// The number of the first record after it.
    pub(crate) next_sequence: u64,
}

impl Mark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(MARK_MAGIC);
        bytes.extend(self.turn.to_le_bytes());
        bytes.extend(self.next_commit.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(self.next_sequence.to_le_bytes());
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; MARK_BYTES]) -> Result<Self, Flaw> {
        let mut fields = open(bytes, MARK_MAGIC, "a mark")?;
        Ok(Mark {
            turn: fields.u64(),
            next_commit: fields.u64(),
            checksum: fields.u64(),
            next_sequence: fields.u64(),
        })
    }
}

/// What a commit says of itself. Its checksum also covers its frame headers and through
/// their body checksums everything in it; the next commit repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitHeader {
    /// The format version of its frames.
    pub(crate) version: u16,
    pub(crate) frames: usize,
    /// The length of all bodies.
    pub(crate) bodies_bytes: u64,
    /// The commit's number, from 0.
    pub(crate) commit: u64,
    /// The number of its first record.
    pub(crate) first_sequence: u64,
    /// The checksum of the commit before; 0 for the first.
    pub(crate) previous_checksum: u64,
    /// The apply timeline.
    pub(crate) logged_at: i64,
    pub(crate) checksum: u64,
}

impl CommitHeader {
    /// Writes header and frame headers; answers the checksum.
    pub(crate) fn encode(&self, frames: &[FrameHeader], out: &mut [u8]) -> u64 {
        let mut head = Vec::with_capacity(COMMIT_HEADER_BYTES - 8);
        head.extend(COMMIT_MAGIC);
        head.extend(self.version.to_le_bytes());
        // The number of frames is checked against `FRAMES_MAX` before anything is encoded.
        head.extend((frames.len() as u16).to_le_bytes());
        head.extend(self.bodies_bytes.to_le_bytes());
        head.extend(self.commit.to_le_bytes());
        head.extend(self.first_sequence.to_le_bytes());
        head.extend(self.previous_checksum.to_le_bytes());
        head.extend(self.logged_at.to_le_bytes());
        out[..COMMIT_HEADER_BYTES - 8].copy_from_slice(&head);
        let table = &mut out[COMMIT_HEADER_BYTES..];
        for (frame, place) in frames
            .iter()
            .zip(table.chunks_exact_mut(FRAME_HEADER_BYTES))
        {
            place.copy_from_slice(&frame.encode());
        }
        let checksum = commit_checksum(out);
        out[COMMIT_HEADER_BYTES - 8..COMMIT_HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }

    /// Reads a header without its checksum, which needs the frame headers too.
    pub(crate) fn decode(bytes: &[u8; COMMIT_HEADER_BYTES]) -> Result<Self, Flaw> {
        let mut fields = Fields { bytes };
        if fields.take() != COMMIT_MAGIC {
            return Err(Flaw::Magic("a commit"));
        }
        let version = fields.u16();
        if !(1..=CORRELATIONS_VERSION).contains(&version) {
            return Err(Flaw::Field {
                field: "a commit's format version",
                value: u64::from(version),
            });
        }
        let header = CommitHeader {
            version,
            frames: usize::from(fields.u16()),
            bodies_bytes: fields.u64(),
            commit: fields.u64(),
            first_sequence: fields.u64(),
            previous_checksum: fields.u64(),
            logged_at: fields.i64(),
            checksum: fields.u64(),
        };
        if header.frames == 0 {
            return Err(Flaw::Field {
                field: "a commit's number of frames",
                value: 0,
            });
        }
        if header.bodies_bytes > COMMIT_BYTES_MAX as u64 {
            return Err(Flaw::Field {
                field: "the length of a commit's bodies",
                value: header.bodies_bytes,
            });
        }
        Ok(header)
    }

    /// The length of header and frame headers.
    pub(crate) fn head_bytes(&self) -> usize {
        COMMIT_HEADER_BYTES + self.frames * FRAME_HEADER_BYTES
    }

    /// The length of the commit.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.head_bytes() as u64 + self.bodies_bytes
    }

    /// Checks the checksum over `head` (header and frame headers) and reads the latter.
    pub(crate) fn decode_frames(&self, head: &[u8]) -> Result<Vec<FrameHeader>, Flaw> {
        if commit_checksum(head) != self.checksum {
            return Err(Flaw::Checksum("a commit"));
        }
        let mut frames = Vec::with_capacity(self.frames);
        let mut bodies_bytes = 0;
        for bytes in head[COMMIT_HEADER_BYTES..].chunks_exact(FRAME_HEADER_BYTES) {
            let frame = FrameHeader::decode(bytes, self.version)?;
            bodies_bytes += u64::from(frame.stored_bytes);
            frames.push(frame);
        }
        if bodies_bytes != self.bodies_bytes {
            return Err(Flaw::Discontinuity {
                field: "the length of a commit's bodies",
                expected: bodies_bytes,
                found: self.bodies_bytes,
            });
        }
        Ok(frames)
    }
}

/// Over header and frame headers without the place of the checksum itself.
fn commit_checksum(head: &[u8]) -> u64 {
    let table = xxh3_64(&head[COMMIT_HEADER_BYTES..]);
    xxh3_64_with_seed(&head[..COMMIT_HEADER_BYTES - 8], table)
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Events = 1,
    DeadLetters = 2,
    Redriven = 3,
    Backfills = 4,
    Correlations = 5,
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Whether the body is compressed with zstd.
    pub(crate) compressed: bool,
    /// Whether its events stand column by column.
    pub(crate) columnar: bool,
    pub(crate) tenant: u32,
    pub(crate) source: u32,
    pub(crate) partition: u32,
    pub(crate) schema_version: u32,
    /// The first offset, or dead letter id, or number of the redriven mark, backfill or correlation id.
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// The body's length in the file.
    pub(crate) stored_bytes: u32,
    /// The body's length when expanded.
    pub(crate) plain_bytes: u32,
    /// The least and the greatest event time; 0 for other frames than events.
    pub(crate) event_times: (i64, i64),
    /// Of the stored body.
    pub(crate) checksum: u64,
}

const FLAG_ZSTD: u8 = 1;
const FLAG_COLUMNS: u8 = 1 << 1;

impl FrameHeader {
    fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES);
        bytes.extend([
            self.kind as u8,
            (u8::from(self.compressed) * FLAG_ZSTD) | (u8::from(self.columnar) * FLAG_COLUMNS),
            0,
            0,
        ]);
        bytes.extend(self.tenant.to_le_bytes());
        bytes.extend(self.source.to_le_bytes());
        bytes.extend(self.partition.to_le_bytes());
        bytes.extend(self.schema_version.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.stored_bytes.to_le_bytes());
        bytes.extend(self.plain_bytes.to_le_bytes());
        bytes.extend(self.event_times.0.to_le_bytes());
        bytes.extend(self.event_times.1.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes
            .try_into()
            .expect("the fields above are as long as the constant says")
    }

    /// Of a commit of this format version.
    fn decode(bytes: &[u8], version: u16) -> Result<Self, Flaw> {
        let flawed = |field, value| Err(Flaw::Field { field, value });
        let mut fields = Fields { bytes };
        let kind = match (fields.u8(), version) {
            (1, _) => FrameKind::Events,
            (2, _) => FrameKind::DeadLetters,
            (3, _) => FrameKind::Redriven,
            (4, BACKFILLS_VERSION..) => FrameKind::Backfills,
            (5, CORRELATIONS_VERSION..) => FrameKind::Correlations,
            (kind, _) => return flawed("a frame's kind", u64::from(kind)),
        };
        let flags = fields.u8();
        let known = match (kind, version) {
            (FrameKind::Events, COLUMNS_VERSION..) => FLAG_ZSTD | FLAG_COLUMNS,
            _ => FLAG_ZSTD,
        };
        if flags & !known != 0 {
            return flawed("a frame's flags", u64::from(flags));
        }
        let reserved = fields.u16();
        if reserved != 0 {
            return flawed("a frame's reserved bytes", u64::from(reserved));
        }
        let frame = FrameHeader {
            kind,
            compressed: flags & FLAG_ZSTD != 0,
            columnar: flags & FLAG_COLUMNS != 0,
            tenant: fields.u32(),
            source: fields.u32(),
            partition: fields.u32(),
            schema_version: fields.u32(),
            count: fields.u32(),
            first: fields.u64(),
            stored_bytes: fields.u32(),
            plain_bytes: fields.u32(),
            event_times: (fields.i64(), fields.i64()),
            checksum: fields.u64(),
        };
        if frame.tenant != 0 {
            return flawed("a frame's tenant", u64::from(frame.tenant));
        }
        if frame.count == 0 {
            return flawed("a frame's number of records", 0);
        }
        for bytes in [frame.stored_bytes, frame.plain_bytes] {
            if bytes as usize > FRAME_BYTES_MAX {
                return flawed("a frame's length", u64::from(bytes));
            }
        }
        if !frame.compressed && frame.stored_bytes != frame.plain_bytes {
            return flawed(
                "a plain frame's stored length",
                u64::from(frame.stored_bytes),
            );
        }
        if frame.first.checked_add(u64::from(frame.count)).is_none() {
            return flawed("a frame's first offset", frame.first);
        }
        Ok(frame)
    }

    /// The records that this frame's are numbered with.
    pub(crate) fn stream(&self) -> StreamKey {
        StreamKey {
            kind: self.kind,
            source: self.source,
            partition: self.partition,
        }
    }

    /// The first offset, id or number after the frame.
    pub(crate) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}
