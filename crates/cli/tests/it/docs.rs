//! The SQL of the documentation is right: each page is a project of its own.

use std::path::Path;

use crate::support::Project;

fn blocks(page: &str, language: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(tag) => inside = !inside && tag == language,
            None if inside => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    text
}

#[test]
fn the_sql_of_the_pages_is_right() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for page in ["sql.md", "windows.md"] {
        let text = std::fs::read_to_string(docs.join(page)).unwrap();
        let project = Project::empty();
        project.write("page.sql", &blocks(&text, "sql"));
        let run = project.run(&["check"]);
        assert_eq!(run.code, 0, "docs/{page}\n{}", run.stderr);
        assert!(
            !run.stderr.contains("warning"),
            "docs/{page}\n{}",
            run.stderr
        );
    }
}
