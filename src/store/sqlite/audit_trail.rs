//! The whole audit, for commands: its verification, in a store that may be in use or in an exported file, and its export.
//!
//! An export is a file of one JSON object a line: the receipts of earlier exports, then the lines that a seal covers, each followed by that
//! seal. It ends with a seal, and is verified as it is read again from the disk before it gets a receipt.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use sidedoor_domain::audit::{AuditAction, AuditEntry, SELF};
use sidedoor_domain::audit_chain::{
    AuditHead, AuditKeys, AuditSeal, Broken, Digest32, ExportReceipt, LineContent, LineSignature, Signature, Verified,
    Verifier,
};
use sidedoor_domain::ports::StoreError;

use self::record::{Record, RecordError};
use super::rows::{millis, run};
use super::{OpenError, audit, audit_seals, connection, copies};

mod record;

/// Lines, and seals, that are read at a time.
const PAGE: u32 = 1000;
/// The longest line of an exported file in bytes. A line of the audit is far shorter.
const LONGEST_RECORD: u64 = 1024 * 1024;

/// Why the audit was not verified or exported.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// It was changed.
    #[error("the audit was changed: {0}")]
    Broken(Broken),
    /// An earlier version of Sidedoor wrote the store, so its audit has no seals.
    #[error(
        "an earlier version wrote this store, and its audit has no seals; start the service once, which upgrades the store"
    )]
    Earlier,
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// A line of an exported file is not what an export writes.
    #[error("{0}: line {1} is no record of an export: {2}")]
    Record(PathBuf, usize, String),
    /// Nothing is sealed, so that nothing can be exported.
    #[error("no line of the audit is sealed yet; the service seals a second after it has written a line")]
    NothingSealed,
    /// The file that was written is not what was read again.
    #[error("{0} was changed while it was written; it is no export")]
    Changed(PathBuf),
}

impl From<Broken> for TrailError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// One thing of the audit, in the order in which it is verified.
enum Item<'a> {
    Receipt(&'a ExportReceipt),
    Line(&'a LineContent<'a>, LineSignature<'a>),
    Seal(&'a AuditSeal),
}

fn give(verifier: &mut Verifier<'_>, item: Item<'_>) -> Result<(), TrailError> {
    match item {
        Item::Receipt(receipt) => verifier.receipt(receipt)?,
        Item::Line(content, signature) => verifier.line(content, signature)?,
        Item::Seal(seal) => verifier.seal(seal)?,
    }
    Ok(())
}

fn open(url: &str) -> Result<Connection, TrailError> {
    let path = connection::path_of(url).ok_or(OpenError::Url)?;
    let db = connection::open_to_read(&path).map_err(OpenError::store)?;
    let has_seals = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'audit_seals')";
    match db.query_row(has_seals, [], |row| row.get(0)) {
        Ok(true) => Ok(db),
        Ok(false) => Err(TrailError::Earlier),
        Err(e) => Err(OpenError::store(e).into()),
    }
}

/// Verifies the audit of the store at `url`, which a service may use meanwhile. Nothing is written. `head` is a copy that was kept
/// outside.
///
/// # Errors
/// [`TrailError`]; the first place that is wrong as [`TrailError::Broken`].
pub fn verify(url: &str, keys: &AuditKeys, head: Option<AuditHead>) -> Result<Verified, TrailError> {
    let mut db = open(url)?;
    // All reads see the store at one moment.
    let snapshot = db.transaction().map_err(OpenError::store)?;
    let mut verifier = Verifier::new(keys, head);
    walk(&snapshot, true, |item| give(&mut verifier, item))?;
    let written = audit::last_written(&snapshot)?;
    Ok(verifier.finish(Some(written).filter(|seq| *seq > 0))?)
}

/// Verifies an exported file.
///
/// # Errors
/// [`TrailError`].
pub fn verify_export(file: &Path, keys: &AuditKeys, head: Option<AuditHead>) -> Result<Verified, TrailError> {
    let mut verifier = Verifier::new(keys, head);
    read_file(file, |item| give(&mut verifier, item))?;
    Ok(verifier.finish(None)?)
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The position of the first line.
    pub first: i64,
    /// The position of the last line.
    pub last: i64,
    /// The head of the seal that covers it.
    pub head: AuditHead,
    /// The SHA-256 of the file.
    pub file: Digest32,
}

/// Writes all sealed lines of the store at `url` into a new file, reads it again, verifies it, and notes that in the store, so that these
/// lines may be removed once their retention is over. A service may use the store meanwhile.
///
/// # Errors
/// [`TrailError`]. Without a receipt nothing may be removed, whatever the file holds.
pub fn export(url: &str, target: &Path, keys: &AuditKeys, at: Timestamp) -> Result<Exported, TrailError> {
    let failed = |e| TrailError::File(target.to_owned(), e);
    let mut db = open(url)?;
    let snapshot = db.transaction().map_err(OpenError::store)?;
    if audit_seals::last(&snapshot)?.is_none() {
        return Err(TrailError::NothingSealed);
    }
    let created = File::options().create_new(true).write(true).mode(0o600).open(target);
    let mut out = BufWriter::new(created.map_err(failed)?);
    let mut hash = Sha256::new();
    walk(&snapshot, false, |item| {
        let mut text = serde_json::to_vec(&Record::of(item)).map_err(|e| failed(e.into()))?;
        text.push(b'\n');
        hash.update(&text);
        out.write_all(&text).map_err(failed)
    })?;
    drop(snapshot);
    out.into_inner()
        .map_err(|e| failed(e.into_error()))?
        .sync_all()
        .map_err(failed)?;
    copies::sync_folder_of(target).map_err(failed)?;
    let written: Digest32 = hash.finalize().into();
    let mut last_seal: Option<AuditSeal> = None;
    let mut verifier = Verifier::new(keys, None);
    let read = read_file(target, |item| {
        if let Item::Seal(seal) = item {
            last_seal = Some(seal.clone());
        }
        give(&mut verifier, item)
    })?;
    let verified = verifier.finish(None)?;
    let (Some(last), true) = (last_seal, read == written) else {
        return Err(TrailError::Changed(target.to_owned()));
    };
    let receipt = ExportReceipt {
        first: verified.first.unwrap_or(last.last + 1),
        last: last.last,
        lines: i64::try_from(verified.lines).unwrap_or(i64::MAX),
        head: last.head,
        file: written,
        at: Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at),
        signature: Signature {
            key_id: None,
            mac: [0; 32],
        },
    };
    note(url, &receipt.clone().signed(keys), keys)?;
    Ok(Exported {
        first: receipt.first,
        last: receipt.last,
        head: last.head(),
        file: written,
    })
}

/// Writes the receipt of an export, and a line about it.
fn note(url: &str, receipt: &ExportReceipt, keys: &AuditKeys) -> Result<(), TrailError> {
    let path = connection::path_of(url).ok_or(OpenError::Url)?;
    let mut db = connection::open_to_copy(&path).map_err(OpenError::store)?;
    // Waits while the service writes, as the service then waits for this.
    let change = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(OpenError::store)?;
    run(
        &change,
        "INSERT INTO audit_exports (first_seq, last_seq, lines, head, file, at, key_id, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            receipt.first,
            receipt.last,
            receipt.lines,
            receipt.head,
            receipt.file,
            millis(receipt.at),
            receipt.signature.key_id,
            receipt.signature.mac
        ],
    )?;
    let outcome = format!(
        "lines {} to {} into a file with the SHA-256 {}",
        receipt.first,
        receipt.last,
        hex::encode(receipt.file)
    );
    let entry = AuditEntry::done(receipt.at, SELF, AuditAction::AuditExported, outcome);
    audit::write(&change, &audit::LineWriter::new(keys.clone()), &entry)?;
    change.commit().map_err(OpenError::store)?;
    Ok(())
}

/// Gives the receipts, and then each seal after the lines that it covers; with `open_too` also the lines that no seal covers.
fn walk(
    db: &Connection,
    open_too: bool,
    mut each: impl FnMut(Item<'_>) -> Result<(), TrailError>,
) -> Result<(), TrailError> {
    for receipt in audit_seals::receipts(db)? {
        each(Item::Receipt(&receipt))?;
    }
    let (mut number, mut sealed_to) = (0, 0);
    loop {
        let seals = audit_seals::after(db, number, PAGE)?;
        for seal in &seals {
            walk_lines(db, (sealed_to, seal.last), &mut each)?;
            each(Item::Seal(seal))?;
            (number, sealed_to) = (seal.number, sealed_to.max(seal.last));
        }
        if seals.len() < PAGE as usize {
            break;
        }
    }
    if open_too {
        walk_lines(db, (sealed_to, i64::MAX), &mut each)?;
    }
    Ok(())
}

fn walk_lines(
    db: &Connection,
    (mut after, to): (i64, i64),
    each: &mut impl FnMut(Item<'_>) -> Result<(), TrailError>,
) -> Result<(), TrailError> {
    loop {
        let page = audit_seals::lines(db, (after, to), PAGE, |content, signature| {
            each(Item::Line(content, signature)).map(|()| content.seq)
        })?;
        let read = page.len();
        for seq in page {
            after = seq?;
        }
        if read < PAGE as usize {
            return Ok(());
        }
    }
}

/// Gives what an exported file holds. Returns the SHA-256 of the file.
fn read_file(path: &Path, mut each: impl FnMut(Item<'_>) -> Result<(), TrailError>) -> Result<Digest32, TrailError> {
    let failed = |e| TrailError::File(path.to_owned(), e);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let (mut hash, mut text, mut number) = (Sha256::new(), String::new(), 0);
    loop {
        text.clear();
        number += 1;
        let read = (&mut reader)
            .take(LONGEST_RECORD)
            .read_line(&mut text)
            .map_err(failed)?;
        if read == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(text.as_bytes());
        let record: Record<'_> =
            serde_json::from_str(&text).map_err(|e| TrailError::Record(path.to_owned(), number, e.to_string()))?;
        record.give_to(&mut each).map_err(|e| match e {
            RecordError::Unreadable(why) => TrailError::Record(path.to_owned(), number, why),
            RecordError::Refused(why) => why,
        })?;
    }
}
