//! The integration tests: one binary, a file a story. Real service, real sockets, real SQLite; only the vendors are fakes.

#![allow(clippy::disallowed_methods, reason = "tests may look at the real clock")]

mod abuse;
mod after_checks;
mod agent_events;
mod api_keys;
mod architecture;
mod authority_matrix;
mod authority_routes;
mod bad_input;
mod carriers;
mod complaints;
mod compliance;
mod contract;
mod delivery;
mod delivery_at_scale;
mod directives;
mod fakes;
mod history;
mod idempotency;
mod joins;
mod journal;
mod kill;
mod leaving;
mod legs_not_ours;
mod log_injection;
mod main_job;
mod model;
mod modes;
mod names;
mod roll_call;
mod salesforce_org;
mod security_doc;
mod server_end;
mod stopping;
mod support;
mod switching;
mod timing;
mod token_keys;
mod token_supervisors;
mod tokens;
mod two_clocks;
mod vendor_errors;
