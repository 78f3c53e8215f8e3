//! `CREATE FUNCTION`.

use std::fmt::{self, Write};

use super::{comma_separated, data_type, interval};
use crate::ast::{CreateFunction, Tag};

/// Up to its metadata.
pub(super) fn head(f: &mut dyn Write, function: &CreateFunction) -> fmt::Result {
    write!(f, "CREATE FUNCTION {} (", function.name)?;
    comma_separated(f, &function.parameters, |f, parameter| {
        write!(f, "{} ", parameter.name)?;
        data_type(f, &parameter.data_type.data_type)?;
        match &parameter.comment {
            Some(text) => write!(f, " COMMENT {text}"),
            None => Ok(()),
        }
    })?;
    f.write_str(") RETURNS ")?;
    data_type(f, &function.result.data_type)?;
    f.write_str(" LANGUAGE PYTHON")?;
    let clauses = &function.clauses;
    if clauses.vectorized.is_some() {
        f.write_str(" VECTORIZED")?;
    }
    if clauses.called_on_null.is_some() {
        f.write_str(" CALLED ON NULL INPUT")?;
    }
    if let Some(timeout) = &clauses.timeout {
        f.write_str(" TIMEOUT ")?;
        interval(f, timeout)?;
    }
    if let Some(memory) = &clauses.memory {
        write!(f, " MEMORY {memory}")?;
    }
    if clauses.network.is_some() {
        f.write_str(" ALLOW NETWORK")?;
    }
    if clauses.files.is_some() {
        f.write_str(" ALLOW FILES")?;
    }
    Ok(())
}

/// Behind its metadata.
pub(super) fn place(f: &mut dyn Write, function: &CreateFunction) -> fmt::Result {
    write!(f, " AS {}", function.place)?;
    let Some(frozen) = &function.frozen else {
        return Ok(());
    };
    if frozen.is_recorded {
        return f.write_str("\nSOURCE RECORDED");
    }
    f.write_str("\nSOURCE (")?;
    texts(f, &frozen.source)?;
    f.write_str(")\nLOCK (")?;
    texts(f, &frozen.lock)?;
    write!(f, ")\nCLASS {}", frozen.class)
}

fn texts(f: &mut dyn Write, texts: &[Tag]) -> fmt::Result {
    comma_separated(f, texts, |f, text| {
        write!(f, "{} = {}", text.key, text.value)
    })
}
