//! `sidedoor audit verify` and `sidedoor audit export`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use sidedoor_domain::audit_chain::{AuditHead, AuditKeys, Broken, Verified};
use sidedoor_domain::ports::Clock;

use crate::clock::SystemClock;
use crate::config::{AuditConfig, Config};
use crate::store::sqlite::audit_trail::{self, TrailError};

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Verify the audit of a store, in use or not, or of an exported file. Print the first line that was changed, if any.
    Verify(VerifyArgs),
    /// Write all sealed lines into a new file, verify the file, and note in the store that these lines are exported.
    Export(ExportArgs),
}

/// The arguments of `sidedoor audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Read this configuration file. Default: sidedoor.toml, if it exists.
    #[arg(long, env = "SIDEDOOR_CONFIG")]
    config: Option<PathBuf>,
    /// Verify this store instead of the configured one, such as a backup. No configuration is read then.
    #[arg(long, value_name = "FILE", conflicts_with = "export")]
    store: Option<PathBuf>,
    /// Verify this exported file. No configuration is read then.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Use the keys in this file instead of those of audit.key_file.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Check that the audit still has this head, as the log, GET /v1/audit/head or an earlier check showed it.
    #[arg(long, value_name = "SEQ:HEX")]
    head: Option<AuditHead>,
    /// Print the result in this format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// The arguments of `sidedoor audit export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The file to write. It must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Read this configuration file. Default: sidedoor.toml, if it exists.
    #[arg(long, env = "SIDEDOOR_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for people
    Text,
    /// A JSON object for machines
    Json,
}

/// Runs a command.
///
/// # Errors
/// If the audit was changed, or something cannot be read or written.
pub async fn run(what: Audit) -> Done {
    match what {
        Audit::Verify(args) => tokio::task::spawn_blocking(move || verify(&args).map_err(|e| e.to_string())).await??,
        Audit::Export(args) => tokio::task::spawn_blocking(move || export(&args).map_err(|e| e.to_string())).await??,
    }
    Ok(())
}

fn load(path: Option<&PathBuf>) -> Done<Config> {
    let default = || Some(PathBuf::from("sidedoor.toml")).filter(|path| path.exists());
    let path = path.cloned().or_else(default);
    Ok(Config::load(path.as_deref(), std::env::vars())?)
}

fn keys_in(file: &Path) -> Done<AuditKeys> {
    AuditConfig::keys_of(file).map_err(|e| format!("{}: {e}", file.display()).into())
}

fn verify(args: &VerifyArgs) -> Done {
    // Without a configuration an auditor needs no more than the file and the key.
    let config = match (&args.store, &args.export) {
        (None, None) => Some(load(args.config.as_ref())?),
        _ => None,
    };
    let keys = match (&args.key_file, &config) {
        (Some(file), _) => keys_in(file)?,
        (None, Some(config)) => config.audit.keys.clone(),
        (None, None) => AuditKeys::none(),
    };
    let url = |path: &Path| format!("sqlite://{}", path.display());
    let verified = match (&args.export, &args.store, &config) {
        (Some(file), _, _) => audit_trail::verify_export(file, &keys, args.head),
        (None, Some(store), _) => audit_trail::verify(&url(store), &keys, args.head),
        (None, None, Some(config)) => audit_trail::verify(&config.store.url, &keys, args.head),
        (None, None, None) => return Err("name a store".into()),
    };
    match (&verified, args.output) {
        (Ok(verified), Output::Text) => print!("{}", text(verified, args.head)),
        (Ok(verified), Output::Json) => println!("{}", whole(verified)),
        (Err(TrailError::Broken(broken)), Output::Json) => println!("{}", changed(broken)),
        (Err(_), _) => {}
    }
    verified.map(|_| ()).map_err(Into::into)
}

fn whole(verified: &Verified) -> serde_json::Value {
    json!({
        "whole": true,
        "lines": verified.lines,
        "firstLine": verified.first,
        "linesWithoutMac": verified.without_mac,
        "linesWithoutKey": verified.without_key,
        "unsealedLines": verified.unsealed,
        "seals": verified.seals,
        "head": verified.head.map(|head| head.to_string()),
        "signed": verified.signed,
        "headFound": verified.head_found,
    })
}

fn changed(broken: &Broken) -> serde_json::Value {
    json!({"whole": false, "line": broken.seq, "problem": broken.to_string()})
}

/// What was verified, and what that does not show.
fn text(verified: &Verified, given: Option<AuditHead>) -> String {
    let mut lines = vec![format!(
        "{} lines and {} seals were checked; nothing was changed.",
        verified.lines, verified.seals
    )];
    match verified.head {
        Some(head) => lines.push(format!("sealed up to line {}; head {head}", head.seq)),
        None => lines.push("No line is sealed yet.".to_owned()),
    }
    if let Some(first) = verified.first.filter(|first| *first > 1) {
        lines.push(format!(
            "Lines 1 to {} were removed behind a verified export.",
            first - 1
        ));
    }
    if verified.unsealed > 0 {
        lines.push(format!(
            "{} newer lines are not sealed yet: if they were removed, this check would not notice it.",
            verified.unsealed
        ));
    }
    if verified.without_mac > 0 {
        lines.push(format!(
            "{} lines are of an earlier version without MACs: they are protected only since the first seal was made.",
            verified.without_mac
        ));
    }
    if !verified.signed {
        lines.push(
            "No key signs the audit: this shows damage, and with --head any change before that head, but anyone who can write the \
             store could have rewritten everything."
                .to_owned(),
        );
    } else if verified.without_key > 0 {
        lines.push(format!(
            "{} lines were written before there was a key: they are protected only since the first seal with a key was made.",
            verified.without_key
        ));
    }
    match given {
        Some(head) => lines.push(format!("The given head is that of the seal up to line {}.", head.seq)),
        None => lines.push(
            "Without --head a cut end, or an old copy in the place of the store, is not noticed. Keep this head outside the store."
                .to_owned(),
        ),
    }
    lines.join("\n") + "\n"
}

fn export(args: &ExportArgs) -> Done {
    let config = load(args.config.as_ref())?;
    let now = SystemClock::start().now();
    let exported = audit_trail::export(&config.store.url, &args.to, &config.audit.keys, now)?;
    println!(
        "lines {} to {} are in {}, which was read again and verified\nhead {}\nSHA-256 {}",
        exported.first,
        exported.last,
        args.to.display(),
        exported.head,
        hex::encode(exported.file)
    );
    Ok(())
}
