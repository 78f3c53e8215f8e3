//! Whether the columns that a source asks for are what they were.

use crate::table_map::{MapColumn, kind};

/// A column in words: name and type, and what its values are made of.
pub(super) fn signature(column: &MapColumn) -> String {
    let MapColumn {
        name,
        kind,
        meta,
        unsigned,
        collation,
        members,
    } = column;
    let members: Vec<_> = members.iter().map(|m| String::from_utf8_lossy(m)).collect();
    // A longer text is no other type.
    let meta = if is_of_any_length(*kind) {
        [0, 0]
    } else {
        *meta
    };
    format!(
        "{name} type {kind} {meta:?}{}{} {}",
        if *unsigned { " unsigned" } else { "" },
        if collation.is_some() { " text" } else { "" },
        members.join(",")
    )
}

fn is_of_any_length(kind: u8) -> bool {
    use kind::{BLOB, LONG_BLOB, MEDIUM_BLOB, TINY_BLOB, VAR_STRING, VARCHAR};
    matches!(
        kind,
        VARCHAR | VAR_STRING | BLOB | TINY_BLOB | MEDIUM_BLOB | LONG_BLOB
    )
}

/// What is not as it was, in words. Members may have been added behind the others.
pub(super) fn difference(before: &[String], now: &[String]) -> Option<String> {
    let changed = now.iter().find(|column| {
        let goes_on = |old: &&String| {
            column == old || !old.ends_with(' ') && column.starts_with(&format!("{old},"))
        };
        !before.iter().any(|old| goes_on(&old))
    })?;
    let name = changed.split(" type ").next().unwrap_or_default();
    Some(format!(
        "its column `{name}` is of another type than before"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: u8, meta: [u8; 2], members: &[&str]) -> MapColumn {
        MapColumn {
            name: "c".to_owned(),
            kind,
            meta,
            members: members.iter().map(|m| m.as_bytes().to_vec()).collect(),
            ..MapColumn::default()
        }
    }

    #[test]
    fn texts_may_grow_and_members_be_added() {
        let goes_on = |before: MapColumn, now: MapColumn| {
            difference(&[signature(&before)], &[signature(&now)]).is_none()
        };
        let text = |length| column(kind::VARCHAR, [length, 0], &[]);
        assert!(goes_on(text(10), text(200)));
        let member = |members: &[&str]| column(kind::ENUM, [kind::ENUM, 1], members);
        assert!(goes_on(member(&["a"]), member(&["a", "b"])));
        assert!(!goes_on(member(&["a"]), member(&["b", "a"])));
        assert!(!goes_on(member(&["a"]), member(&["ab"])));
        let decimal = |scale| column(kind::DECIMAL, [10, scale], &[]);
        assert!(goes_on(decimal(2), decimal(2)) && !goes_on(decimal(2), decimal(4)));
        assert!(!goes_on(
            column(kind::LONG, [0, 0], &[]),
            column(kind::LONGLONG, [0, 0], &[])
        ));
    }
}
