//! Definitions in SQL: no panic; what is bound says, as canonical SQL, what is bound to the same.
#![no_main]

use evenkeel_ddl::bind_project;
use evenkeel_types::definition::{Catalog, Definition};
use libfuzzer_sys::fuzz_target;

fn bound(text: &str) -> Option<Vec<String>> {
    let project = bind_project(
        &[("a.sql", text)],
        &Catalog::default(),
        &|_| false,
        &mut |_| Err("there are no files".to_owned()),
    );
    let sql = |definition: &Definition| definition.sql().to_owned();
    let objects = project.objects.iter();
    let statements = objects.map(|object| sql(&object.definition)).collect();
    project.errors.is_empty().then_some(statements)
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(first) = bound(text)
    {
        let canonical = first.iter().map(|sql| format!("{sql};\n")).collect::<String>();
        assert_eq!(bound(&canonical), Some(first));
    }
});
