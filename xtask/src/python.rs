//! The Python environment of the tests: a virtual environment under `target/` with the pinned
//! packages of `xtask/requirements.txt`, and the package `evenkeel` put together from its
//! sources and the extension module.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, run};

/// What Python calls the extension module.
const MODULE: &str = if cfg!(windows) {
    "_evenkeel.pyd"
} else {
    "_evenkeel.abi3.so"
};

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

/// Builds the extension module and runs the tests of `python/`; `rest` goes to pytest.
pub(crate) fn test(root: &Path, interpreter: &Path, rest: &[OsString]) -> Result<(), String> {
    run(cargo([
        "build",
        "--package",
        "evenkeel-python",
        "--package",
        "evenkeel",
    ]))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let built = target.join("debug");
    let packages = root.join("target").join("python-packages");
    assemble(
        &root.join("python").join("evenkeel"),
        &built.join(format!("{DLL_PREFIX}_evenkeel{DLL_SUFFIX}")),
        &packages.join("evenkeel"),
    )?;
    run(Command::new(interpreter)
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .args(rest)
        .current_dir(root.join("python").join("tests"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "EVENKEEL_BINARY",
            built.join(format!("evenkeel{EXE_SUFFIX}")),
        )
        .env("PYTHONPATH", packages))
}

/// Puts the package's files and the module into a folder of its own: the sources stay clean.
fn assemble(sources: &Path, module: &Path, package: &Path) -> Result<(), String> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("cannot copy to `{path}`: {error}")
    };
    if package.exists() {
        fs::remove_dir_all(package).map_err(failed(package))?;
    }
    fs::create_dir_all(package).map_err(failed(package))?;
    for entry in fs::read_dir(sources).map_err(failed(package))?.flatten() {
        if entry.path().is_file() {
            let to = package.join(entry.file_name());
            fs::copy(entry.path(), &to).map_err(failed(&to))?;
        }
    }
    let to = package.join(MODULE);
    fs::copy(module, &to).map_err(failed(&to))?;
    Ok(())
}
