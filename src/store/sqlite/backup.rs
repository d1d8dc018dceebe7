//! Consistent copies of a database, while the service runs or not, and putting one back.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::file::{canonical, lock};
use super::{OpenError, connection, copies, migrations};

/// Why a store was not copied or put back. The store is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store cannot be opened, or a process uses it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no such file.
    #[error("there is no file {0}")]
    Missing(PathBuf),
    /// The file to write exists.
    #[error("{0} exists; move it away, or choose another name")]
    Exists(PathBuf),
    /// The file is no store, or a damaged one.
    #[error("{0} is no usable copy of a store: {1}")]
    Unusable(PathBuf, String),
    /// Another program has the store open.
    #[error("another program has {0} open; close it first")]
    Busy(PathBuf),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
}

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Its size in bytes.
    pub bytes: u64,
    /// The number of supervisions in it.
    pub supervisions: u64,
}

/// Copies the store at `url` into a new file, as it is at one moment. The service may run meanwhile, and goes on writing.
///
/// # Errors
/// [`BackupError`].
pub fn back_up(url: &str, target: &Path) -> Result<Copied, BackupError> {
    let database = existing(url)?;
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let db = connection::open_to_copy(&database).map_err(OpenError::store)?;
    let copy = copies::copy(&db, target).map_err(|e| BackupError::Unusable(target.to_owned(), e.to_string()))?;
    let copied = examine(&copy, target).inspect_err(|_| {
        let _ = std::fs::remove_file(&copy);
    })?;
    copies::publish(&copy, target).map_err(|e| BackupError::File(target.to_owned(), e))?;
    Ok(copied)
}

/// How many bytes of a copy are written so far, and how many it has at most.
pub fn progress(url: &str, target: &Path) -> Option<(u64, u64)> {
    let whole = std::fs::metadata(connection::path_of(url)?).ok()?.len();
    let written = std::fs::metadata(copies::unfinished(target)).ok()?.len();
    Some((written, whole.max(written)))
}

/// Puts a copy in the place of the store at `url`. The service must not run. The store that is there is kept; returns its new name.
///
/// # Errors
/// [`BackupError`].
pub fn restore(url: &str, copy: &Path) -> Result<(Copied, Option<PathBuf>), BackupError> {
    if !copy.exists() {
        return Err(BackupError::Missing(copy.to_owned()));
    }
    let database = connection::path_of(url).ok_or(OpenError::Url)?;
    let database = canonical(&database).map_err(|e| BackupError::File(database.clone(), e))?;
    let _lock = lock(&database)?;
    let kept = copies::beside(&database, ".before-restore");
    if kept.exists() {
        return Err(BackupError::Exists(kept));
    }
    let new = copies::unfinished(&database);
    let failed = |e| BackupError::File(new.clone(), e);
    copies::create_empty(&new).map_err(failed)?;
    // Not by `std::fs::copy`, which takes the permissions of the copy with it.
    let written = || -> std::io::Result<()> {
        let mut to = File::options().write(true).open(&new)?;
        std::io::copy(&mut File::open(copy)?, &mut to)?;
        to.sync_all()
    };
    written().map_err(failed)?;
    let copied = examine(&new, copy).inspect_err(|_| {
        let _ = std::fs::remove_file(&new);
    })?;
    let kept = database.exists().then_some(kept);
    if let Some(kept) = &kept {
        set_aside(&database, kept)?;
    }
    copies::publish(&new, &database).map_err(|e| BackupError::File(database.clone(), e))?;
    Ok((copied, kept))
}

fn existing(url: &str) -> Result<PathBuf, BackupError> {
    let database = connection::path_of(url).ok_or(OpenError::Url)?;
    if database.exists() {
        Ok(database)
    } else {
        Err(BackupError::Missing(database))
    }
}

/// Reads a copy as a whole, and checks that this version can open it. An error calls it by the name that the caller knows.
fn examine(copy: &Path, name: &Path) -> Result<Copied, BackupError> {
    let unusable = |e: String| BackupError::Unusable(name.to_owned(), e);
    let read = || -> rusqlite::Result<(String, u64)> {
        let db = connection::open_to_copy(copy)?;
        let state = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let supervisions = db.query_row("SELECT COUNT(*) FROM supervisions", [], |row| row.get::<_, i64>(0))?;
        migrations::check(&db).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        Ok((state, u64::try_from(supervisions).unwrap_or(0)))
    };
    let (state, supervisions) = read().map_err(|e| unusable(e.to_string()))?;
    if state != "ok" {
        return Err(unusable(state));
    }
    let bytes = std::fs::metadata(copy)
        .map_err(|e| BackupError::File(copy.to_owned(), e))?
        .len();
    Ok(Copied { bytes, supervisions })
}

/// Gives the store a second name. Its write-ahead log must not remain, because SQLite would apply it to the copy that is put back.
fn set_aside(database: &Path, kept: &Path) -> Result<(), BackupError> {
    let log = copies::beside(database, "-wal");
    // The last connection that closes merges the log into the database and removes it.
    let merged = connection::open_to_write(database).and_then(|db| {
        db.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        db.close().map_err(|(_, e)| e)
    });
    if merged.is_err() && log.exists() {
        // A damaged store is kept with its log.
        let kept_log = copies::beside(kept, "-wal");
        std::fs::rename(&log, &kept_log).map_err(|e| BackupError::File(kept_log, e))?;
    }
    if log.exists() {
        return Err(BackupError::Busy(database.to_owned()));
    }
    let _ = std::fs::remove_file(copies::beside(database, "-shm"));
    std::fs::hard_link(database, kept).map_err(|e| BackupError::File(kept.to_owned(), e))
}
