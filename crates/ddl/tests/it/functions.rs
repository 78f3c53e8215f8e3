//! Functions in Python: what is refused, and what makes a new version.

use std::sync::{Arc, Mutex};

use evenkeel_ddl::{Change, Project, bind_project};
use evenkeel_types::definition::{
    Catalog, FrozenFunction, FunctionClass, FunctionHost, FunctionSpec,
};
use evenkeel_types::{Column, ColumnFunction, External, FunctionSignature, Value};

/// Runs nothing: it says that there are these texts, and how often it was asked.
#[derive(Debug, Default)]
struct Host {
    text: Mutex<String>,
    class: Mutex<FunctionClass>,
}

struct Nothing(FunctionSignature);

impl ColumnFunction for Nothing {
    fn signature(&self) -> &FunctionSignature {
        &self.0
    }

    fn may_fail(&self) -> bool {
        true
    }

    fn evaluate(&self, _: &[Column], rows: usize) -> Column {
        Column::repeat(&self.0.result, &Value::Null, rows)
    }
}

impl FunctionHost for Host {
    fn external(&self, spec: &Arc<FunctionSpec>) -> External {
        External::new(Arc::new(Nothing(FunctionSignature {
            name: spec.name.clone(),
            digest: spec.digest,
            parameters: spec.parameters.clone(),
            result: spec.result.clone(),
        })))
    }

    fn freeze(
        &self,
        spec: &FunctionSpec,
        _: Option<&FunctionSpec>,
    ) -> Result<FrozenFunction, String> {
        if spec.file == "absent.py" {
            return Err("it is not there".to_owned());
        }
        Ok(FrozenFunction {
            source: vec![(spec.file.clone(), self.text.lock().unwrap().clone())],
            lock: vec![("python".to_owned(), "3.11.7".to_owned())],
            class: self.class.lock().unwrap().clone(),
        })
    }
}

/// Binds a project over what was defined before.
fn bound(host: &Arc<Host>, text: &str, existing: &Catalog) -> Project {
    let existing = Catalog {
        host: Some(Arc::clone(host) as Arc<dyn FunctionHost>),
        ..existing.clone()
    };
    let files = [("case.sql", text)];
    bind_project(&files, &existing, &|_| false, &mut |_| {
        Err("there are no files".to_owned())
    })
}

fn changes(project: &Project) -> Vec<(&str, Change)> {
    let messages: Vec<&str> = project
        .errors
        .iter()
        .map(|e| e.diagnostic.message.as_str())
        .collect();
    assert!(messages.is_empty(), "{messages:?}");
    let objects = project.objects.iter();
    objects.map(|o| (o.definition.name(), o.change)).collect()
}

const FUNCTION: &str = "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'f.py:f';";
const VIEW: &str = "CREATE ON DEMAND FEATURE VIEW v REQUEST (y BIGINT) AS SELECT f(y) + 1 AS z;";

#[test]
fn the_text_of_a_module_and_the_clauses_are_part_of_the_version() {
    let host = Arc::<Host>::default();
    // The view first: what it calls is bound before it.
    let text = format!("{VIEW}\n{FUNCTION}");
    let first = bound(&host, &text, &Catalog::default());
    assert_eq!(changes(&first), [("f", Change::New), ("v", Change::New)]);
    let again = bound(&host, &text, &first.catalog);
    assert_eq!(
        changes(&again),
        [("f", Change::Unchanged), ("v", Change::Unchanged)]
    );

    for other in [
        text.replace("PYTHON", "PYTHON CALLED ON NULL INPUT"),
        // Views are bound to a version: a limit that was none would not reach them.
        text.replace("PYTHON", "PYTHON TIMEOUT INTERVAL '1' SECOND"),
        text.clone(),
    ] {
        if other == text {
            *host.text.lock().unwrap() = "def f(x): 'it''s another'".to_owned();
        }
        let other = bound(&host, &other, &first.catalog);
        assert_eq!(
            changes(&other),
            [("f", Change::Changed), ("v", Change::Changed)]
        );
        assert_eq!(other.catalog.view("v").unwrap().version, 2);
        // The older version stays what it was.
        assert_eq!(other.catalog.functions["f"].len(), 2);
    }
}

#[test]
fn what_is_recorded_binds_alone_and_is_not_written_in_files() {
    let host = Arc::<Host>::default();
    *host.text.lock().unwrap() = "def f(x):\n\treturn ''\n".to_owned();
    let first = bound(&host, FUNCTION, &Catalog::default());
    let def = Arc::clone(first.catalog.function("f").unwrap());
    assert!(
        def.sql
            .contains("SOURCE ('f.py' = 'def f(x):\n\treturn ''''\n')"),
        "{}",
        def.sql
    );
    let catalog = Catalog {
        host: Some(host.clone()),
        ..Catalog::default()
    };
    let (statements, errors) = evenkeel_ddl::parse_statements(&def.sql);
    assert!(errors.is_empty(), "{errors:?}");
    let again = evenkeel_ddl::bind(&statements[0], &catalog, &catalog).unwrap();
    assert_eq!(again.definition.sql(), def.sql);
    // With what is registered it is bound as it is; anything else is refused.
    let recorded = format!("{};", def.sql);
    assert_eq!(
        changes(&bound(&host, &recorded, &first.catalog)),
        [("f", Change::Unchanged)]
    );
    let errors = bound(&host, &recorded, &Catalog::default()).errors;
    assert!(
        errors[0]
            .diagnostic
            .message
            .contains("what `apply` records"),
        "{errors:?}"
    );
}

#[test]
fn one_that_is_recorded_only_is_refused_where_values_are_computed_again() {
    let host = Arc::<Host>::default();
    *host.class.lock().unwrap() = FunctionClass::RecordedOnly("`f(1)` is 1 and 2".to_owned());
    let alone = bound(&host, FUNCTION, &Catalog::default());
    assert_eq!(changes(&alone), [("f", Change::New)]);
    assert!(
        alone.warnings[0]
            .diagnostic
            .message
            .contains("`f(1)` is 1 and 2")
    );
    for refused in [
        VIEW,
        "CREATE FEATURE VIEW v ENTITY card AS SELECT card, f(amount) AS y FROM paid;",
        "CREATE FEATURE VIEW v ENTITY card EMIT TO 't' AS SELECT card, f(amount) AS y FROM paid;",
        // Neither in a call, nor under an operator, nor where rows are chosen.
        "CREATE STREAM s AS SELECT card, f(f(amount)) AS y FROM paid;",
        "CREATE STREAM s AS SELECT card, 1 + f(amount) AS y FROM paid;",
        "CREATE STREAM s AS SELECT card FROM paid WHERE f(amount) > 1;",
        "CREATE STREAM s AS SELECT card, amount FROM paid EMIT WHEN f(amount) > 1;",
        "CREATE STREAM s AS SELECT sum(f(amount)) OVER (PARTITION BY card LAST 1 DAYS) AS y FROM paid;",
        "CREATE FEATURE VIEW v ENTITY card MATERIALIZED AS SELECT card, f(amount) + 1 AS y FROM paid;",
    ] {
        let text = format!("{refused}\n{PAID}\n{FUNCTION}");
        let errors = bound(&host, &text, &Catalog::default()).errors;
        let [error] = &errors[..] else {
            panic!("{refused}: {errors:?}");
        };
        let error = &error.diagnostic;
        let is_condition = error.message.contains("cannot be used in");
        assert!(
            error.message.contains("`f(1)` is 1 and 2") || is_condition,
            "{refused}: {}",
            error.message
        );
        assert_eq!(error.span.text(&text), "f", "{refused}");
    }
}

const PAID: &str = "CREATE ENTITY card (card BIGINT);
CREATE STREAM paid (card BIGINT, amount DOUBLE, at TIMESTAMP, EVENT TIME at);";

#[test]
fn what_is_recorded_is_a_column_of_a_derived_stream() {
    let host = Arc::<Host>::default();
    *host.class.lock().unwrap() = FunctionClass::RecordedOnly("`f(1)` is 1 and 2".to_owned());
    let text = format!(
        "CREATE STREAM s AS SELECT card, f(amount) AS y, amount, f(1) AS z FROM paid;\n{PAID}\n{FUNCTION}"
    );
    let project = bound(&host, &text, &Catalog::default());
    changes(&project);
    let stream = Arc::clone(&project.catalog.sources["s"]);
    let names: Vec<String> = stream
        .columns
        .iter()
        .map(|c| format!("{} {}", c.name, c.data_type))
        .collect();
    assert_eq!(
        names,
        [
            "trigger_id BYTES",
            "triggered_at TIMESTAMP",
            "trigger_order BYTES",
            "recorded_inputs BYTES",
            "card BIGINT",
            "y DOUBLE",
            "amount DOUBLE",
            "z DOUBLE"
        ]
    );
    let derived = stream.derived.as_ref().unwrap();
    let recorded: Vec<usize> = derived.recorded.iter().map(|call| call.column).collect();
    assert_eq!(recorded, [1, 3]);
    // Nothing of it is evaluated by whoever evaluates the query.
    let columns = &derived.body().columns;
    assert!(columns.iter().all(|column| !column.may_fail()));
    let again = bound(&host, &text, &project.catalog);
    assert!(
        changes(&again)
            .iter()
            .all(|(_, change)| *change == Change::Unchanged)
    );
    let taken = text.replace("amount, f(1)", "amount AS recorded_inputs, f(1)");
    let errors = bound(&host, &taken, &Catalog::default()).errors;
    assert!(errors[0].diagnostic.message.contains("`recorded_inputs`"));
}

#[test]
fn a_materialised_view_records_over_rows_of_what_is_asked() {
    let host = Arc::<Host>::default();
    *host.class.lock().unwrap() = FunctionClass::RecordedOnly("`f(1)` is 1 and 2".to_owned());
    let text = format!(
        "CREATE FEATURE VIEW v ENTITY card MATERIALIZED AS
         SELECT card, amount, f(sum(amount) OVER (LAST 1 DAYS)) AS y, f(2) AS z FROM paid;\n{PAID}\n{FUNCTION}"
    );
    let project = bound(&host, &text, &Catalog::default());
    changes(&project);
    let features = |name: &str| {
        let view = project.catalog.view(name).unwrap();
        let names = view.features.iter().map(|f| f.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(features("v_rows"), ["amount", "y_input_1"]);
    assert_eq!(features("v"), ["amount", "y", "z"]);
    let stream = &project.catalog.sources["v_emissions"];
    assert!(
        stream.sql.contains("f(y_input_1) AS y,\n  f(2) AS z"),
        "{}",
        stream.sql
    );
    assert_eq!(stream.derived.as_ref().unwrap().recorded.len(), 2);
    // The same by a function that is defined already, and written out no other way.
    let view = text.split_once(FUNCTION).unwrap().0;
    let again = bound(&host, &format!("{view}\n{FUNCTION}"), &project.catalog);
    assert!(
        changes(&again)
            .iter()
            .all(|(_, change)| *change == Change::Unchanged)
    );
}

/// What is asked has a column of its own, whatever the others are called.
#[test]
fn columns_of_what_is_asked_have_names_of_nobody_else() {
    let host = Arc::<Host>::default();
    *host.class.lock().unwrap() = FunctionClass::RecordedOnly("`f(1)` is 1 and 2".to_owned());
    let text = format!(
        "CREATE FEATURE VIEW v ENTITY card MATERIALIZED AS
         SELECT card, amount AS y_input_1, f(amount + 1) AS y, amount + 2 AS y_input_1_ FROM paid;\n{PAID}\n{FUNCTION}"
    );
    let project = bound(&host, &text, &Catalog::default());
    changes(&project);
    let features = |name: &str| {
        let view = project.catalog.view(name).unwrap();
        let names = view.features.iter().map(|f| f.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        features("v_rows"),
        ["y_input_1", "y_input_1__", "y_input_1_"]
    );
    assert_eq!(features("v"), ["y_input_1", "y", "y_input_1_"]);
    let stream = &project.catalog.sources["v_emissions"];
    assert!(stream.sql.contains("f(y_input_1__) AS y"), "{}", stream.sql);
}

#[test]
fn mistakes_are_told_at_their_places() {
    let host = Arc::<Host>::default();
    for (text, part) in [
        (
            FUNCTION.replace("f.py:f", "f.txt:f"),
            "is not a file and a function",
        ),
        (
            FUNCTION.replace("f.py:f", "../f.py:f"),
            "is not a file and a function",
        ),
        (FUNCTION.replace("f.py:f", "absent.py:f"), "it is not there"),
        (
            FUNCTION.replace("FUNCTION f", "FUNCTION round"),
            "is a function of the language",
        ),
        (
            FUNCTION.replace("FUNCTION f", "FUNCTION sum"),
            "is a function of the language",
        ),
        (
            FUNCTION.replace("x DOUBLE", "x DOUBLE, x INT"),
            "two parameters are called `x`",
        ),
        (
            FUNCTION.replace("x DOUBLE", "x INTERVAL"),
            "neither takes nor gives INTERVAL",
        ),
        (
            FUNCTION.replace("PYTHON", "PYTHON MEMORY '3 KB'"),
            "not a size",
        ),
        (
            FUNCTION.replace("PYTHON", "PYTHON TIMEOUT INTERVAL '1' HOUR"),
            "at most a minute",
        ),
        (FUNCTION.replace("PYTHON", "JAVA"), "`PYTHON`"),
        (
            format!("{FUNCTION} {}", VIEW.replace("f(y)", "f(y, y)")),
            "argument",
        ),
        (
            format!("{FUNCTION} {}", VIEW.replace("f(y)", "f('a')")),
            "DOUBLE",
        ),
        (
            format!(
                "{FUNCTION} CREATE STREAM s (a DOUBLE, b DOUBLE AS (f(a)), t TIMESTAMP, EVENT TIME t);"
            ),
            "in Python cannot be used",
        ),
    ] {
        let errors = bound(&host, &text, &Catalog::default()).errors;
        let messages: Vec<&str> = errors
            .iter()
            .map(|e| e.diagnostic.message.as_str())
            .collect();
        assert!(
            messages.len() == 1 && messages[0].contains(part),
            "{text}\n{messages:?}"
        );
    }
}

#[test]
fn what_is_kept_and_what_chooses_rows_calls_none() {
    let host = Arc::<Host>::default();
    let shared = format!(
        "{FUNCTION}
CREATE ENTITY e (k STRING);
CREATE STREAM s (k STRING, a DOUBLE, t TIMESTAMP, EVENT TIME t);
CREATE FEATURE VIEW rows_of ENTITY e AS SELECT k, f(a) AS y FROM s;
CREATE STREAM emitted AS SELECT k, f(a) AS y FROM s;
"
    );
    let messages = |text: &str| -> Vec<String> {
        let project = bound(&host, &format!("{shared}{text}"), &Catalog::default());
        let errors = project.errors.into_iter();
        errors.map(|error| error.diagnostic.message).collect()
    };
    let aggregate = "an aggregate cannot be over a function in Python";
    let condition = "a condition cannot call a function in Python";
    for (text, expected) in [
        (
            "SELECT k, sum(f(a)) OVER (ALL HISTORY) AS x FROM s",
            Some(aggregate),
        ),
        (
            "SELECT k, sum(y) OVER (ALL HISTORY) AS x FROM rows_of",
            Some(aggregate),
        ),
        (
            "SELECT k, count(*) FILTER (WHERE f(a) > 1) OVER (ALL HISTORY) AS x FROM s",
            Some(condition),
        ),
        (
            "SELECT k, count(*) OVER (ALL HISTORY) AS x FROM s WHERE f(a) > 1",
            Some(condition),
        ),
        ("SELECT k, a FROM s WHERE f(a) > 1", Some(condition)),
        ("SELECT k, f(sum(a) OVER (ALL HISTORY)) AS x FROM s", None),
        ("SELECT k, CASE WHEN f(a) > 1 THEN 1 END AS x FROM s", None),
        (
            "SELECT k, sum(y) OVER (ALL HISTORY) AS x FROM emitted WHERE y > 1",
            None,
        ),
    ] {
        let told = messages(&format!("CREATE FEATURE VIEW v ENTITY e AS {text};"));
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn registered_functions_go_with_files_without_their_texts() {
    let host = Arc::<Host>::default();
    let first = bound(&host, FUNCTION, &Catalog::default());
    let sql = &first.catalog.function("f").unwrap().sql;
    let short = evenkeel_ddl::without_texts(sql).unwrap();
    assert!(
        short.contains("SOURCE RECORDED") && !short.contains("LOCK"),
        "{short}"
    );
    // Whatever its file has become.
    *host.text.lock().unwrap() = "another".to_owned();
    assert_eq!(
        changes(&bound(&host, &short, &first.catalog)),
        [("f", Change::Unchanged)]
    );
    assert!(!bound(&host, &short, &Catalog::default()).errors.is_empty());
}
