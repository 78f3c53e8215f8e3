//! Whether a place that was recorded is one of this server's log, and everything behind it is there.

use evenkeel_engine::{CaptureGtids, CapturePlace};
use evenkeel_types::definition::SourceDef;

use crate::error::CaptureError;
use crate::gtid::{GtidSet, Known};
use crate::log_end::number_of;
use crate::server::Server;
use crate::settings::Settings;
use crate::stream::Place;

/// `files`: those of the server's log, with their lengths.
pub(crate) fn resume(
    source: &SourceDef,
    settings: &Settings,
    server: &Server,
    files: &[(String, u64)],
    recorded: &CapturePlace,
) -> Result<Place, CaptureError> {
    if recorded.table != settings.title() {
        return Err(CaptureError::OtherTable {
            source_name: source.name.clone(),
            before: recorded.table.clone(),
            now: settings.title(),
        });
    }
    let is_here = recorded.server == server.identity;
    let gtids = match &recorded.gtids {
        Some(recorded) => Some(known(source, server, recorded)?),
        None if is_here => None,
        None => {
            return Err(CaptureError::OtherServer {
                source_name: source.name.clone(),
                before: recorded.server.clone(),
                now: server.identity.clone(),
            });
        }
    };
    let last = files.last().map(|(file, _)| file.as_str());
    if gtids.is_some() && is_here && number_of(&recorded.file) > last.and_then(number_of) {
        return Err(CaptureError::OtherLog {
            source_name: source.name.clone(),
            file: last.unwrap_or_default().to_owned(),
        });
    }
    let purged = refuse_purged(source, files, recorded);
    // In another server's log, or where the file is gone, the place is found by the transactions alone.
    let is_there = is_here && purged.is_ok();
    if gtids.is_none() {
        purged?;
    }
    Ok(Place {
        file: if is_there {
            recorded.file.clone()
        } else {
            String::new()
        },
        created: if is_there { recorded.created } else { 0 },
        position: if is_there { recorded.position } else { 0 },
        gtids,
        time: recorded.time,
        columns: recorded.columns.clone(),
    })
}

/// The transactions before the place, if the server has all of them, and the binlogs of all others.
fn known(
    source: &SourceDef,
    server: &Server,
    recorded: &CaptureGtids,
) -> Result<Known, CaptureError> {
    let known = GtidSet::parse(&recorded.before);
    let (Some(known), Some(gtids)) = (known, &server.gtids) else {
        return Err(CaptureError::NoGtids {
            source_name: source.name.clone(),
        });
    };
    let missing = known.without(&gtids.executed);
    if !missing.is_empty() {
        return Err(CaptureError::LostTransactions {
            source_name: source.name.clone(),
            server: server.identity.clone(),
            missing: missing.to_string(),
        });
    }
    let purged = gtids.purged.without(&known);
    if !purged.is_empty() {
        return Err(CaptureError::PurgedTransactions {
            source_name: source.name.clone(),
            purged: purged.to_string(),
        });
    }
    Ok(Known {
        set: known,
        era: recorded.era.clone(),
    })
}

fn refuse_purged(
    source: &SourceDef,
    files: &[(String, u64)],
    place: &CapturePlace,
) -> Result<(), CaptureError> {
    let is_there = |(file, bytes): &(String, u64)| *file == place.file && place.position <= *bytes;
    if files.iter().any(is_there) {
        return Ok(());
    }
    Err(CaptureError::Purged {
        source_name: source.name.clone(),
        file: place.file.clone(),
        position: place.position,
    })
}
