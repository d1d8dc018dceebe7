//! The durable floor: the least that a service in Rust can do that takes the same requests as Sidedoor, makes the same vendor calls,
//! and has each step on disk before it goes on. It decides nothing: it makes as many calls for each pair as it is told to.

mod http;
mod steps;
mod vendors;

use std::path::Path;
use std::sync::Arc;

use crate::Outcome;
pub(crate) use vendors::{Shares, Vendors};

/// What the floor is started with.
pub(crate) struct FloorConfig<'a> {
    pub(crate) port: u16,
    pub(crate) store: &'a Path,
    pub(crate) connect: &'a str,
    pub(crate) salesforce: &'a str,
    pub(crate) shares: Shares,
}

/// Serves until the process is killed.
pub(crate) async fn serve(config: FloorConfig<'_>) -> Outcome<()> {
    let vendors = Vendors::log_in(config.connect, config.salesforce, config.shares).await?;
    let steps = steps::Steps::open(config.store)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", config.port)).await?;
    let router = http::router(Arc::new(http::Floor::new(steps, vendors)));
    Ok(axum::serve(listener, router).await?)
}
