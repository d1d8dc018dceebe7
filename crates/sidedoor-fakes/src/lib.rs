//! Stand-ins for Amazon Connect and Salesforce on real sockets: for the demo, for our own tests, and for other teams' CI
//! (`sidedoor fakes`). As faithful as what is known of the vendors allows; independent clients (boto3, simple-salesforce)
//! hold them to it.
//!
//! They know nothing of the adapters they stand opposite to: a mistake made on both sides would prove itself right.
//!
//! Both have a small admin API under `/_fake` on the same port ([`connect::admin`], [`salesforce::admin`]): settings,
//! scripted faults, and a ledger that answers the question that matters most: *which customer contacts ended, and by
//! whom?* The same handles serve tests in this process.

pub mod browser;
pub mod clock;
pub mod connect;
pub mod demo;
pub mod faults;
pub mod salesforce;

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use browser::{Browser, Manners, Tab};
pub use connect::{ConnectFake, ConnectSettings, EventSettings};
pub use faults::{Fault, FaultScript};
pub use salesforce::{SalesforceFake, SalesforceSettings};

/// Where the fakes listen and how they begin.
#[derive(Debug, Clone)]
pub struct FakesConfig {
    /// Fake Connect's address; port 0 for any free one.
    pub connect_listen: SocketAddr,
    /// Fake Salesforce's address.
    pub salesforce_listen: SocketAddr,
    /// Fake Connect's settings.
    pub connect: ConnectSettings,
    /// Where and how it pushes events.
    pub events: EventSettings,
    /// Fake Salesforce's settings.
    pub salesforce: SalesforceSettings,
    /// Seed of everything left to chance.
    pub seed: u64,
}

impl Default for FakesConfig {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            connect_listen: any,
            salesforce_listen: any,
            connect: ConnectSettings::default(),
            events: EventSettings::default(),
            salesforce: SalesforceSettings::default(),
            seed: 1,
        }
    }
}

/// Both fakes, running. They stop when this is dropped.
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

/// Starts both.
///
/// # Errors
/// When an address cannot be had.
pub async fn start(config: FakesConfig) -> std::io::Result<Fakes> {
    let connect_listener = TcpListener::bind(config.connect_listen).await?;
    let salesforce_listener = TcpListener::bind(config.salesforce_listen).await?;
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
                tracing::error!(error = %e, "a fake stopped serving");
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

impl Fakes {
    /// Fake Connect's URL: an `endpoint_url`.
    pub fn connect_url(&self) -> &str {
        &self.connect_url
    }

    /// Fake Salesforce's URL: a `login_url`.
    pub fn salesforce_url(&self) -> &str {
        &self.salesforce_url
    }

    /// Fake Connect's handle.
    pub fn connect(&self) -> &ConnectFake {
        &self.connect
    }

    /// Fake Salesforce's handle.
    pub fn salesforce(&self) -> &SalesforceFake {
        &self.salesforce
    }
}

/// Waits for SIGINT or SIGTERM.
///
/// # Errors
/// When the process cannot listen for signals.
pub async fn shutdown_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}
