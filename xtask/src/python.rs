//! The Python environment of the comparison tests: a virtual environment under `target/`
//! with the pinned packages of `xtask/requirements.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// The tests find the interpreter in this environment variable.
pub(crate) const VARIABLE: &str = "EVENKEEL_PYTHON";

const NEEDED: &str = "\
the comparison tests need python3 (3.10 or newer) with venv and pip, and the packages of \
xtask/requirements.txt; `cargo test --workspace` runs the other tests";

/// The interpreter of the environment, which is made if it is not there or not current.
pub(crate) fn environment(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target").join("python");
    let requirements = root.join("xtask").join("requirements.txt");
    let interpreter = folder.join("bin").join("python");
    let installed = folder.join("installed.txt");
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| format!("cannot read `{}`: {error}", requirements.display()))?;
    if interpreter.exists() && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(interpreter);
    }
    let explain = |error: String| format!("{error}\n{NEEDED}");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))
    .map_err(explain)?;
    run(Command::new(&interpreter)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(&requirements))
    .map_err(explain)?;
    // Written last: an interrupted installation is begun anew.
    fs::write(&installed, wanted)
        .map_err(|error| format!("cannot write `{}`: {error}", installed.display()))?;
    Ok(interpreter)
}
