//! Fakes of Amazon Connect and Salesforce on real sockets, for the demo, for Sidedoor's tests and for other teams' CI
//! (`sidedoor-fakes serve`). tests/clients checks them with boto3, simple-salesforce and jsforce, so that their requests and
//! answers have the vendors' shapes.
//!
//! This crate shares no code with Sidedoor's adapters, because a mistake in shared code would be made on both sides and no
//! test would see it.
//!
//! Each fake has a control API under `/_fake` on its own port, described by `openapi.yaml`: settings, scripted faults, and
//! records of the calls. The fake Connect keeps a ledger of ended contacts, so that a test can check the most important
//! rule: no customer contact ended because of us. A test in the same process uses [`ConnectFake`] and [`SalesforceFake`].

mod browser;
pub mod clock;
pub mod connect;
mod control;
pub mod demo;
mod faults;
pub mod salesforce;

use std::net::SocketAddr;

pub use browser::{Browser, Manners, Tab};
pub use connect::{ConnectFake, ConnectSettings, EventSettings, ForgedEvent};
pub use faults::Fault;
pub use salesforce::{SalesforceFake, SalesforceSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Addresses and first settings of both fakes.
#[derive(Debug, Clone)]
pub struct FakesConfig {
    /// Address of the fake Connect; with port 0 the operating system chooses a free port.
    pub connect_listen: SocketAddr,
    /// Address of the fake Salesforce; with port 0 the operating system chooses a free port.
    pub salesforce_listen: SocketAddr,
    /// Settings of the fake Connect.
    pub connect: ConnectSettings,
    /// Where and how the fake Connect sends events.
    pub events: EventSettings,
    /// Settings of the fake Salesforce.
    pub salesforce: SalesforceSettings,
    /// Seed of the random delays, losses and duplicates of events, so that a run can be repeated.
    pub seed: u64,
}

impl Default for FakesConfig {
    fn default() -> Self {
        let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            connect_listen: free_port,
            salesforce_listen: free_port,
            connect: ConnectSettings::default(),
            events: EventSettings::default(),
            salesforce: SalesforceSettings::default(),
            seed: 1,
        }
    }
}

/// Both fakes, running. Dropping the value stops them.
pub struct Fakes {
    connect: ConnectFake,
    salesforce: SalesforceFake,
    connect_url: String,
    salesforce_url: String,
    stop: CancellationToken,
}

impl Drop for Fakes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts both fakes.
///
/// # Errors
/// When one of the addresses cannot be bound.
pub async fn start(config: FakesConfig) -> std::io::Result<Fakes> {
    let connect_listener = bind(config.connect_listen).await?;
    let salesforce_listener = bind(config.salesforce_listen).await?;
    let connect_url = format!("http://{}", connect_listener.local_addr()?);
    let salesforce_url = format!("http://{}", salesforce_listener.local_addr()?);
    let stop = CancellationToken::new();
    let connect = ConnectFake::new(config.connect, config.events, config.seed, stop.clone());
    let salesforce = SalesforceFake::new(config.salesforce, salesforce_url.clone());
    let (app, org) = (connect::router(connect.clone()), salesforce::router(salesforce.clone()));
    for (listener, router) in [(connect_listener, app), (salesforce_listener, org)] {
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(error = %e, "a fake cannot serve requests and has stopped");
            }
        });
    }
    Ok(Fakes {
        connect,
        salesforce,
        connect_url,
        salesforce_url,
        stop,
    })
}

async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| std::io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

impl Fakes {
    /// URL of the fake Connect: Sidedoor's `connect.instances.<name>.endpoint_url`.
    pub fn connect_url(&self) -> &str {
        &self.connect_url
    }

    /// URL of the fake Salesforce: Sidedoor's `salesforce.login_url`.
    pub fn salesforce_url(&self) -> &str {
        &self.salesforce_url
    }

    /// The fake Connect, to control it from this process.
    pub fn connect(&self) -> &ConnectFake {
        &self.connect
    }

    /// The fake Salesforce, to control it from this process.
    pub fn salesforce(&self) -> &SalesforceFake {
        &self.salesforce
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn shutdown_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}

/// The W3C `traceparent` header of a call, if it has one.
fn trace_parent(headers: &axum::http::HeaderMap) -> Option<String> {
    headers.get("traceparent")?.to_str().ok().map(ToOwned::to_owned)
}
