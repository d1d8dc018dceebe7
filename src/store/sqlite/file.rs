//! The database's file: its path, its permissions and its lock.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{OpenError, copies};

/// The path without symbolic links, so that two names of one database have one lock.
pub(super) fn canonical(database: &Path) -> std::io::Result<PathBuf> {
    match database.canonicalize() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
            Ok(database.file_name().map_or(folder.clone(), |name| folder.join(name)))
        }
        found => found,
    }
}

/// Creates a database that is not there, for its owner only. SQLite gives its other files the same permissions.
pub(super) fn create(database: &Path) -> std::io::Result<()> {
    match File::options().create_new(true).write(true).mode(0o600).open(database) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

pub(super) fn lock(database: &Path) -> Result<File, OpenError> {
    let path = copies::beside(database, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| OpenError::Lock(path.clone(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(database.to_owned())),
        Err(std::fs::TryLockError::Error(e)) => Err(OpenError::Lock(path, e)),
    }
}
