//! A child process and what it has used so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::Outcome;

/// How often the context switches are read. Those of a thread that ends in between are lost.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) switches: u64,
    /// Bytes that the process has caused to be written to disk.
    pub(crate) written: u64,
    /// `None` where no C compiler could make the counter.
    pub(crate) counted: Option<Counted>,
}

/// What [`Counter`] counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) fsyncs: u64,
    pub(crate) frames: u64,
}

/// A child process. Dropping the value kills it.
pub(crate) struct Running {
    child: Child,
    switches: Arc<Mutex<HashMap<u64, u64>>>,
    counts: Option<PathBuf>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `command`. `counts` is the file of a [`Counter`] that `command` was given.
    pub(crate) fn start(command: &mut Command, counts: Option<PathBuf>) -> Outcome<Self> {
        let child = command.spawn()?;
        let switches = Arc::new(Mutex::new(HashMap::new()));
        sample(child.id(), Arc::downgrade(&switches));
        Ok(Self {
            child,
            switches,
            counts,
        })
    }

    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Outcome<()> {
        Command::new("kill").arg(self.id().to_string()).status()?;
        for _ in 0..600 {
            if self.has_ended()? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err("a service did not stop within 30 s".into())
    }

    pub(crate) fn used(&self) -> Outcome<Used> {
        let mut switches = self.switches.lock().unwrap_or_else(PoisonError::into_inner);
        read_switches(self.id(), &mut switches);
        Ok(Used {
            cpu: cpu_of(&self.id().to_string())?,
            switches: switches.values().sum(),
            written: field(&format!("/proc/{}/io", self.id()), "write_bytes:")?,
            counted: self.counts.as_deref().map(read_counts).transpose()?,
        })
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        Ok(field(&format!("/proc/{}/status", self.id()), "VmRSS:")? * 1024)
    }
}

fn field(path: &str, name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("{path} has no {name}"))?.parse()?)
}

/// CPU time of a process, user and system, in steps of 10 ms. `self` is the caller.
pub(crate) fn cpu_of(process: &str) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name: Vec<&str> = stat.rsplit(')').next().ok_or("no stat")?.split_whitespace().collect();
    let ticks: u64 = after_name[11].parse::<u64>()? + after_name[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Reads the switches of each thread, because the kernel keeps them only for threads that live.
fn read_switches(process: u32, known: &mut HashMap<u64, u64>) {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return;
    };
    for thread in threads.flatten() {
        let status = thread.path().join("status").display().to_string();
        let id = thread.file_name().to_string_lossy().parse();
        let both = field(&status, "voluntary_ctxt_switches:")
            .and_then(|waits| Ok(waits + field(&status, "nonvoluntary_ctxt_switches:")?));
        if let (Ok(id), Ok(both)) = (id, both) {
            known.insert(id, both);
        }
    }
}

fn sample(process: u32, switches: Weak<Mutex<HashMap<u64, u64>>>) {
    std::thread::spawn(move || {
        while let Some(known) = switches.upgrade() {
            read_switches(process, &mut known.lock().unwrap_or_else(PoisonError::into_inner));
            drop(known);
            std::thread::sleep(SAMPLE_EVERY);
        }
    });
}

/// The library that counts fsyncs and WAL frames, see `counts.c`.
pub(crate) struct Counter(PathBuf);

impl Counter {
    /// `None`, with the reason on stderr, without a C compiler.
    pub(crate) fn compile(folder: &Path) -> Option<Self> {
        let library = folder.join("counts.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/counts.c");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args([source, "-ldl"]);
        match cc.status() {
            Ok(status) if status.success() => Some(Self(library)),
            other => {
                eprintln!("fsyncs and WAL pages are not counted, because cc failed: {other:?}");
                None
            }
        }
    }

    /// Has `command` counted. Returns the file of the counts.
    pub(crate) fn preload(&self, command: &mut Command, folder: &Path) -> Outcome<PathBuf> {
        let counts = folder.join("counts");
        std::fs::write(&counts, [0; 16])?;
        command.env("LD_PRELOAD", &self.0).env("SIDEDOOR_BENCH_COUNTS", &counts);
        Ok(counts)
    }
}

fn read_counts(path: &Path) -> Outcome<Counted> {
    let bytes = std::fs::read(path)?;
    let number = |at: usize| {
        Outcome::Ok(u64::from_ne_bytes(
            bytes.get(at..at + 8).ok_or("no counts")?.try_into()?,
        ))
    };
    Ok(Counted {
        fsyncs: number(0)?,
        frames: number(8)?,
    })
}
