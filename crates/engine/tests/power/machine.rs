//! What a machine does with a disk: a loop device and a file system on it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::block_log::run;

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A loop device over a file, until it is dropped.
pub(crate) struct LoopDevice(pub(crate) String);

impl LoopDevice {
    pub(crate) fn over(file: &Path) -> Result<Self, String> {
        run("losetup", &["-f", "--show", &text(file)], Stdio::null()).map(LoopDevice)
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // If it is in use still, the end of the mount lets go of it.
        let _ = run("losetup", &["-d", &self.0], Stdio::null());
    }
}

/// Makes an ext4 file system.
pub(crate) fn make_ext4(device: &str) -> Result<(), String> {
    let arguments = [
        "-q",
        "-F",
        "-E",
        "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
        "-J",
        "size=4",
        device,
    ];
    run("mkfs.ext4", &arguments, Stdio::null()).map(drop)
}

/// A mounted file system, until it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts a device, or a file as one.
    pub(crate) fn of(device: &str, options: &str, place: &Path) -> Result<Self, String> {
        let arguments = ["-t", "ext4", "-o", options, device, &text(place)];
        run("mount", &arguments, Stdio::null())?;
        Ok(Mount(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let place = text(&self.0);
        if run("umount", &[&place], Stdio::null()).is_err() {
            let _ = run("umount", &["-l", &place], Stdio::null());
        }
    }
}
