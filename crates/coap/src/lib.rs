#![no_std]
//! CoAP (RFC 7252): an endpoint that asks and answers, without sockets and without a clock.
//!
//! The owner feeds [`Endpoint::handle`] and drains [`Endpoint::poll`] to [`Output::Wait`]; it calls
//! [`Endpoint::request`], [`Endpoint::request_group`], [`Endpoint::ping`] and [`Endpoint::respond`]
//! and polls afterwards. Peers are whatever the owner names them by: with DTLS the session (RFC
//! 7252 section 9.1.1), not the address, so that a session that moves keeps its exchanges.
//!
//! **Invariant:** nothing here reads a clock or draws from the system; no octets can make it panic;
//! every table has a bound. Who asks does so inside a session or under group keys, which keep
//! strangers out: tokens tell requests apart (RFC 9175 section 4.2), they are not secrets. Whoever is
//! not behind such keys may be answered, but not asked.

extern crate alloc;

mod answering;
mod asking;
mod block;
mod codec;
mod config;
mod endpoint;
mod ids;
mod message;
mod observing;
mod seen;
mod transmission;

pub use block::{BLOCK_NUMBER_MAX, Block};
pub use codec::{FormatDrop, MESSAGE_OCTETS_MAX, OPTIONS_MAX};
pub use config::{Bounds, Config};
pub use endpoint::{
    Addressed, CoapDrop, Endpoint, ExchangeId, Failure, Input, Output, Reliability, RequestId,
    RequestRefused, RespondRefused,
};
pub use message::{Code, ContentFormat, Method, Observe, Path, PathRefused, Request, Response};
pub use observing::ObserverId;
