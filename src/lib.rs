//! **Sidedoor** lets a contact-centre supervisor join a live Amazon Connect contact and leave it again while the customer and the
//! agent keep talking. It writes the time at which the supervisor left, with its uncertainty, to Salesforce.
//!
//! # Architecture
//!
//! Dependencies point inwards: [`http`] → [`usecases`] → the ports in `sidedoor-domain`. The adapters implement the ports.
//! `sidedoor-domain` (rules, terms and ports) and `clock-calibration` (the calibrator of vendors' clocks) do no I/O and are crates of
//! their own, so that the compiler keeps this direction; `sidedoor-fakes` has the vendor stand-ins and is used by tests only.
//!
//! | module | contents | may import |
//! |---|---|---|
//! | [`usecases`] | the use cases, one service an area | telemetry |
//! | `connect` | the adapter for Amazon Connect; only it uses `aws_*` | config, telemetry |
//! | `salesforce` | the adapter for Salesforce; only it uses `oauth2` | config, telemetry |
//! | [`store`] | the adapter for SQLite; only it uses `rusqlite` | |
//! | `clock` | the adapter for the machine's clock | |
//! | `random` | the process's random numbers | |
//! | [`http`] | the HTTP API | usecases, telemetry |
//! | [`config`] | settings; reports every problem of a configuration together | http, telemetry, usecases |
//! | [`telemetry`] | logs, traces and metrics | |
//! | [`lifecycle`] | start, readiness, draining and stop of the process | http |
//! | [`cli`] | `sidedoor check`, `sidedoor timing`, `sidedoor fakes` | clock, config, connect, http, salesforce, store |
//! | `simulation` | for tests: the use cases in a simulated world | config, connect, store, usecases |
//! | [`untrusted`] | entry points for fuzz targets | connect, salesforce |
//! | [`app`] | the composition root | every module except cli and untrusted |
//!
//! `tests/it/architecture.rs` enforces this table.
//!
//! # Invariants
//!
//! 1. **No code path ends a customer's contact.** Only the interlock makes a `LegId`, and StopContact takes only a leg that the
//!    interlock cleared and is called in one file. See [`sidedoor_domain::interlock`].
//! 2. **Write-ahead.** What a 2xx promises is on disk before it is sent. A vendor is called only after the intention, with its
//!    ClientToken, is on disk, so that a restart repeats the same call and makes no new one.
//! 3. **One change, one transaction.** State, evidence, delivery, idempotency key and audit are written together or not at all.
//!    See [`sidedoor_domain::ports::store`].
//! 4. **Evidence decides, requests do not.** A supervision is LEFT when the vendor's evidence says so. A 200 of the vendor or
//!    DONE of a browser only causes a check. See [`sidedoor_domain::departure`].
//! 5. **One layer of retries**, in the use cases. Adapters make one attempt, and their error says whether a retry may help.
//! 6. **Every queue, body, loop and wait has a bound.**

#![warn(missing_docs)]

pub mod app;
pub mod cli;
pub(crate) mod clock;
pub mod config;
pub(crate) mod connect;
pub mod http;
pub mod lifecycle;
pub(crate) mod random;
pub(crate) mod salesforce;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod telemetry;
pub mod untrusted;
pub mod usecases;
