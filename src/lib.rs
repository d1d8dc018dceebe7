//! Sidedoor.
pub mod app;
pub mod clock;
pub mod config;
pub mod connect;
pub mod demo;
pub mod domain;
pub mod fakes;
pub mod flows;
pub mod http;
pub mod journal;
pub mod lifecycle;
pub mod ports;
pub mod salesforce;
pub mod telemetry;
pub mod timing;
