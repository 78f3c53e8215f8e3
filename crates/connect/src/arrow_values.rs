//! Arrow arrays as columns and back, slot by slot and exactly.

mod canonical;
mod from_arrow;
mod record;
mod to_arrow;

pub(crate) use canonical::encode_slot;
pub(crate) use from_arrow::{Converted, convert, natural_type};
pub(crate) use record::slot_to_json;
pub(crate) use to_arrow::{arrow_type, into_array, to_array};
