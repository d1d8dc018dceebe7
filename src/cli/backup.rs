//! `sidedoor backup` and `sidedoor restore`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::Config;
use crate::store::sqlite::backup;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How often the progress is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// The arguments of both commands.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file of the copy.
    file: PathBuf,
    /// The configuration file; default: sidedoor.toml, if it exists.
    #[arg(long, env = "SIDEDOOR_CONFIG")]
    config: Option<PathBuf>,
}

impl BackupArgs {
    fn store_url(&self) -> Done<String> {
        let default = || Some(PathBuf::from("sidedoor.toml")).filter(|path| path.exists());
        let path = self.config.clone().or_else(default);
        Ok(Config::load(path.as_deref(), std::env::vars())?.store.url)
    }
}

/// Copies the store into a new file. The service may run.
///
/// # Errors
/// An invalid configuration, or [`backup::BackupError`].
pub async fn back_up(args: BackupArgs) -> Done {
    let (url, file) = (args.store_url()?, args.file);
    let (from, to) = (url.clone(), file.clone());
    let mut copying = tokio::task::spawn_blocking(move || backup::back_up(&from, &to));
    let copied = loop {
        tokio::select! {
            done = &mut copying => break done??,
            () = tokio::time::sleep(SHOWN_EVERY) => show_progress(&url, &file),
        }
    };
    println!(
        "{} holds {} supervisions ({} KiB); its contents were read again and are whole",
        file.display(),
        copied.supervisions,
        copied.bytes / 1024
    );
    Ok(())
}

fn show_progress(url: &str, file: &std::path::Path) {
    let mut terminal = std::io::stderr();
    if let (true, Some((written, whole))) = (terminal.is_terminal(), backup::progress(url, file)) {
        let _ = write!(terminal, "\r{} of {} KiB ", written / 1024, whole / 1024);
    }
}

/// Puts a copy in the place of the store. The service must not run.
///
/// # Errors
/// An invalid configuration, or [`backup::BackupError`].
pub async fn restore(args: BackupArgs) -> Done {
    let (url, file) = (args.store_url()?, args.file.clone());
    let (copied, kept) = tokio::task::spawn_blocking(move || backup::restore(&url, &file)).await??;
    println!(
        "the store now holds the {} supervisions of {}; nothing that happened since that copy is known any more",
        copied.supervisions,
        args.file.display()
    );
    if let Some(kept) = kept {
        println!("the store that was there before is {}", kept.display());
    }
    Ok(())
}
