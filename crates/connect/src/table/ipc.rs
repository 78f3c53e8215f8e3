//! Tables from Arrow IPC files and streams.
//!
//! The whole file is read first, so that every length it announces can be held against the
//! bytes that there are: the decoder would reserve memory for them without asking.
//! Format: Apache Arrow columnar format 1.5, "Serialization and Interprocess Communication".

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamDecoder, read_footer_length};
use arrow_ipc::{Block, root_as_footer, root_as_message};

use super::read::{Batches, Contents};
use crate::error::{Cause, ConnectError, FileAction};
use crate::guard::guarded;

/// Bytes that one compressed buffer may unpack to.
const BUFFER_BYTES_MAX: i64 = 1 << 32;
/// Bytes of the footer's length and the magic at a file's end.
const TRAILER_BYTES: usize = 10;
const CONTINUATION: [u8; 4] = [0xff; 4];
const PREFIX_BYTES: usize = 8;

/// What is wrong with an Arrow file before its decoder sees it.
#[derive(Debug, thiserror::Error)]
enum IpcError {
    #[error("the footer is cut off or cannot be read")]
    Footer,
    #[error("a block of {length} bytes at byte {offset} is not in the file")]
    Block { offset: i64, length: i64 },
    #[error("a message cannot be read")]
    Message,
    #[error("a buffer says that it unpacks to {bytes} bytes")]
    Buffer { bytes: i64 },
    #[error("the schema is missing")]
    Schema,
    #[error("it unpacks to more bytes than are allowed")]
    Unpacked,
    #[error("its byte order is another machine's")]
    ByteOrder,
}

fn load(path: &Path) -> Result<Buffer, ConnectError> {
    fs::read(path)
        .map(Buffer::from_vec)
        .map_err(ConnectError::io(FileAction::Read, path))
}

fn damaged(path: &Path, rows: usize) -> impl FnOnce(Cause) -> ConnectError {
    let path = path.to_owned();
    move |source| ConnectError::Damaged {
        path,
        place: match rows {
            0 => "before its first row".to_owned(),
            rows => format!("after row {}", rows - 1),
        },
        source,
    }
}

/// The IPC file format.
pub(super) fn read_file(path: &Path) -> Result<Contents, ConnectError> {
    let buffer = load(path)?;
    let (mut decoder, schema, dictionaries, blocks) =
        guarded(|| open_file(&buffer)).map_err(damaged(path, 0))?;
    let mut batches = Batches::new(path, &schema)?;
    for block in &dictionaries {
        guarded(|| -> Result<(), Cause> {
            let data = block_data(&buffer, block)?;
            Ok(decoder.read_dictionary(block, &data)?)
        })
        .map_err(damaged(path, 0))?;
    }
    for block in &blocks {
        let batch = guarded(|| -> Result<_, Cause> {
            let data = block_data(&buffer, block)?;
            Ok(decoder.read_record_batch(block, &data)?)
        })
        .map_err(damaged(path, batches.rows))?;
        if let Some(batch) = batch {
            batches.push(&batch)?;
        }
    }
    Ok(batches.finish())
}

type OpenFile = (FileDecoder, arrow_schema::SchemaRef, Vec<Block>, Vec<Block>);

fn open_file(buffer: &Buffer) -> Result<OpenFile, Cause> {
    let trailer_at = buffer
        .len()
        .checked_sub(TRAILER_BYTES)
        .ok_or(IpcError::Footer)?;
    let trailer = <[u8; TRAILER_BYTES]>::try_from(&buffer[trailer_at..])?;
    let footer_at = trailer_at
        .checked_sub(read_footer_length(trailer)?)
        .ok_or(IpcError::Footer)?;
    let footer = root_as_footer(&buffer[footer_at..trailer_at]).map_err(|_| IpcError::Footer)?;
    let schema = footer.schema().ok_or(IpcError::Schema)?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err(IpcError::ByteOrder.into());
    }
    let schema = Arc::new(fb_to_schema(schema));
    Ok((
        FileDecoder::new(Arc::clone(&schema), footer.version()),
        schema,
        footer.dictionaries().iter().flatten().copied().collect(),
        footer.recordBatches().iter().flatten().copied().collect(),
    ))
}

/// The bytes of a block, after a look at what they announce.
fn block_data(buffer: &Buffer, block: &Block) -> Result<Buffer, IpcError> {
    let (offset, metadata, body) = (
        block.offset(),
        i64::from(block.metaDataLength()),
        block.bodyLength(),
    );
    let outside = || IpcError::Block {
        offset,
        length: metadata.saturating_add(body),
    };
    let at = |n: i64| usize::try_from(n).map_err(|_| outside());
    let (offset, metadata, body) = (at(offset)?, at(metadata)?, at(body)?);
    let length = metadata.checked_add(body).ok_or_else(outside)?;
    let end = offset.checked_add(length).ok_or_else(outside)?;
    if end > buffer.len() || metadata < PREFIX_BYTES {
        return Err(outside());
    }
    let data = buffer.slice_with_length(offset, length);
    let prefix = if data.starts_with(&CONTINUATION) {
        8
    } else {
        4
    };
    let mut budget = u64::MAX;
    check_message(&data[prefix..metadata], &data[metadata..], &mut budget)?;
    Ok(data)
}

/// Whether the buffers of a message are in its body, and what they would unpack to:
/// subtracted from `budget`.
fn check_message(metadata: &[u8], body: &[u8], budget: &mut u64) -> Result<(), IpcError> {
    let message = root_as_message(metadata).map_err(|_| IpcError::Message)?;
    let batch = message
        .header_as_record_batch()
        .or_else(|| message.header_as_dictionary_batch()?.data());
    let Some(batch) = batch else {
        return Ok(());
    };
    for buffer in batch.buffers().iter().flatten() {
        let outside = || IpcError::Block {
            offset: buffer.offset(),
            length: buffer.length(),
        };
        let start = usize::try_from(buffer.offset()).map_err(|_| outside())?;
        let length = usize::try_from(buffer.length()).map_err(|_| outside())?;
        let bytes = start
            .checked_add(length)
            .and_then(|end| body.get(start..end))
            .ok_or_else(outside)?;
        if batch.compression().is_some()
            && let Some(announced) = bytes.first_chunk::<PREFIX_BYTES>()
        {
            let announced = i64::from_le_bytes(*announced);
            if announced > BUFFER_BYTES_MAX {
                return Err(IpcError::Buffer { bytes: announced });
            }
            // -1 says that the buffer is not compressed after all.
            let bytes = u64::try_from(announced).unwrap_or(0);
            *budget = budget.checked_sub(bytes).ok_or(IpcError::Unpacked)?;
        }
    }
    Ok(())
}

/// The IPC stream format. A stream may end without its end marker.
pub(super) fn read_stream(path: &Path) -> Result<Contents, ConnectError> {
    stream(path, load(path)?, u64::MAX)
}

/// A stream in memory, of which compressed buffers may unpack to so many bytes; `path` is
/// what errors call it.
pub(super) fn stream(
    path: &Path,
    buffer: Buffer,
    unpacked_bytes_max: u64,
) -> Result<Contents, ConnectError> {
    let (whole, problem) = whole_messages(&buffer, unpacked_bytes_max);
    let mut decoder = StreamDecoder::new();
    let mut batches: Option<Batches<'_>> = None;
    let end_marker = Buffer::from_vec([CONTINUATION, [0; 4]].concat());
    for mut part in [buffer.slice_with_length(0, whole), end_marker] {
        while !part.is_empty() {
            let rows = batches.as_ref().map_or(0, |b| b.rows);
            let batch = guarded(|| decoder.decode(&mut part)).map_err(damaged(path, rows))?;
            if batches.is_none()
                && let Some(schema) = decoder.schema()
            {
                batches = Some(Batches::new(path, &schema)?);
            }
            if let (Some(batch), Some(batches)) = (batch, &mut batches) {
                batches.push(&batch)?;
            }
        }
    }
    let rows = batches.as_ref().map_or(0, |b| b.rows);
    if let Some(problem) = problem {
        return Err(damaged(path, rows)(problem.into()));
    }
    batches
        .map(Batches::finish)
        .ok_or_else(|| damaged(path, 0)(IpcError::Schema.into()))
}

/// How many bytes whole messages take, and what is wrong behind them.
fn whole_messages(buffer: &[u8], mut budget: u64) -> (usize, Option<IpcError>) {
    let mut at = 0;
    while at < buffer.len() {
        match message_length(&buffer[at..], &mut budget) {
            Ok(0) => break,
            Ok(length) => at += length,
            Err(problem) => return (at, Some(problem)),
        }
    }
    (at, None)
}

/// The bytes of the first message; 0 for the end marker.
fn message_length(data: &[u8], budget: &mut u64) -> Result<usize, IpcError> {
    let number = |at: usize| -> Result<usize, IpcError> {
        let bytes = data
            .get(at..at + 4)
            .and_then(|b| <[u8; 4]>::try_from(b).ok());
        let number = u32::from_le_bytes(bytes.ok_or(IpcError::Message)?);
        usize::try_from(number).map_err(|_| IpcError::Message)
    };
    let prefix = if data.starts_with(&CONTINUATION) {
        8
    } else {
        4
    };
    let metadata = number(prefix - 4)?;
    if metadata == 0 {
        return Ok(0);
    }
    let metadata = data
        .get(prefix..prefix + metadata)
        .ok_or(IpcError::Message)?;
    let message = root_as_message(metadata).map_err(|_| IpcError::Message)?;
    let body_at = prefix + metadata.len();
    let body = usize::try_from(message.bodyLength())
        .ok()
        .and_then(|length| data[body_at..].get(..length))
        .ok_or(IpcError::Message)?;
    check_message(metadata, body, budget)?;
    Ok(body_at + body.len())
}
