//! The integration tests: one binary, a file a story. Real service, real sockets, real SQLite; only the vendors are fakes.

#![allow(clippy::disallowed_methods, reason = "tests may look at the real clock")]

mod architecture;
mod bad_input;
mod carriers;
mod contract;
mod delivery;
mod fakes;
mod idempotency;
mod joins;
mod journal;
mod kill;
mod leaving;
mod legs_not_ours;
mod main_job;
mod model;
mod names;
mod roll_call;
mod server_end;
mod stopping;
mod support;
mod switching;
mod timing;
mod two_clocks;
mod vendor_errors;
