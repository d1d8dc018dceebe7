//! The database's file: its path, its permissions and its lock.

use std::fs::{File, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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

/// Takes the rights of others than the owner from the files of a database. Earlier versions, a copy by hand or a restore may have left them.
/// A file of another owner cannot be changed: it is refused, because others may read or even change the audit in it.
pub(super) fn keep_private(database: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let path = copies::beside(database, suffix);
        let failed = |e| OpenError::Private(path.clone(), e);
        let mode = match std::fs::metadata(&path) {
            Ok(found) => found.permissions().mode() & 0o777,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(failed(e)),
        };
        if mode & 0o077 != 0 {
            tracing::warn!(
                path = %path.display(),
                "others could read {} (mode {mode:04o}); changing its mode to 0600",
                path.display()
            );
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        }
    }
    Ok(())
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
