//! Consistent copies of a database, under another name until they are whole.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Why a copy was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
}

/// The path of a file beside another one.
pub(super) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The name of a copy that is not whole yet. A file of this name is left from an interrupted copy, and is replaced.
pub(super) fn unfinished(target: &Path) -> PathBuf {
    beside(target, ".unfinished")
}

/// Creates an empty file for its owner only, in place of a file that was left behind.
pub(super) fn create_empty(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
}

/// Copies a database, as it is at one moment, into the unfinished file of `target`, which is on disk afterwards. Returns its path.
pub(super) fn copy(db: &Connection, target: &Path) -> Result<PathBuf, CopyError> {
    let copy = unfinished(target);
    // An empty file gives the copy its permissions.
    create_empty(&copy)?;
    db.execute("VACUUM INTO ?", [copy.to_string_lossy()])?;
    File::open(&copy)?.sync_all()?;
    Ok(copy)
}

/// Gives a whole copy its name, on disk.
pub(super) fn publish(copy: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::rename(copy, target)?;
    sync_folder_of(target)
}

/// Writes the name of a file to the disk.
pub(super) fn sync_folder_of(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
