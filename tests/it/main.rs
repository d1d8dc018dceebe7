//! The integration tests: one binary, one folder for each area, one file for each feature. The service, its sockets and its SQLite
//! are real; only the vendors are fakes.

#![allow(unreachable_pub, reason = "no other crate uses a test binary")]
#![allow(clippy::disallowed_methods, reason = "tests may read the real clock")]

mod architecture;

/// The board of agents, and starts from it.
mod board {
    mod agents;
    mod limits;
    mod starts;
}

/// Calibration of the vendors' clocks, probes, and a run with two separate clocks.
mod clocks {
    pub mod calibration;
    mod probes;
    mod separate_clocks;
}

/// Directives to a supervisor's browser: delivery, tabs, and announcements by Platform Events.
mod directives {
    mod platform_events;
    mod streams;
    mod tabs;
}

/// How events from vendors, agents and carriers become evidence about a leg.
mod evidence {
    mod agent_events;
    pub mod carriers;
    mod claims;
    mod lost_joins;
    mod uncertain_sources;
    mod unusable_events;
}

/// The HTTP API: contract, idempotency, input validation, deadlines, lists and the External Services document.
mod http {
    mod bad_input;
    mod compatibility;
    mod contract;
    mod coverage;
    mod deadlines;
    mod external_service;
    mod idempotency;
    mod lists_and_timelines;
    mod reports;
    mod strict_bodies;
}

/// Which supervisor a request means: by user name, or by the user that a token names.
mod identity {
    mod names;
    mod token_supervisors;
    mod user_names;
}

/// Disconnecting: one supervision, all of a supervisor's, from the server, and the checks after a departure.
mod leaving {
    mod after_checks;
    mod close;
    mod disconnect;
    mod disconnect_all;
    mod stop_contact;
}

/// Joining a contact, changing the mode, switching contacts, and legs that supervisors start elsewhere.
mod monitoring {
    mod joins;
    mod known_failures;
    mod main_job;
    mod modes;
    mod monitor_contact_errors;
    mod observed_legs;
    mod rejoin_rules;
    mod replicated_instances;
    mod switching;
    mod waiting;
}

/// Running the service: `sidedoor check`, start and stop, and the vendor fakes.
mod operations {
    mod advisories;
    mod backups;
    mod check;
    mod check_measured;
    mod check_org;
    mod check_transport;
    mod fakes;
    mod readiness;
    mod start_and_stop;
    mod traces;
    mod version;
}

/// Asking Amazon Connect about legs in batches.
mod polling {
    mod batch_poll;
    mod clock_jumps;
    mod completeness;
    mod job_classes;
}

/// Writing departures to Salesforce: single records, collections, faults, dead letters and comparisons.
mod salesforce_sync {
    mod agent_notices;
    mod bulk_delivery;
    mod calls_in_flight;
    mod comparisons;
    mod dead_letters;
    mod delivery;
    mod error_table;
    mod late_commits;
    mod moved_org;
    mod org;
    mod outage;
}

/// Credentials, authorization, limits, hostile input, and the audit.
mod security {
    mod abuse;
    mod access;
    mod api_keys;
    mod audit;
    mod audit_chain;
    mod audit_exports;
    mod authority_matrix;
    mod authority_routes;
    mod barge;
    mod bulkheads;
    mod claimed;
    mod event_senders;
    mod hostile_input;
    mod load;
    mod log_injection;
    mod open_mode;
    mod proxies;
    mod request_heads;
    mod secret_files;
    mod security_doc;
    mod shares;
    mod tls;
    mod tls_limits;
    mod token_keys;
    mod tokens;
}

/// The store: the database's file, unreadable documents, crashes, and random commands against the whole service.
mod store {
    mod database_file;
    mod failures;
    mod growth;
    mod kill;
    mod locked;
    mod old_store;
    mod random_commands;
    mod unreadable_documents;
}

mod support;
