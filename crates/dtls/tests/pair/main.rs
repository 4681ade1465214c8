//! Two ends under virtual time. One seed gives one run, octet for octet.

mod alerts;
#[cfg(feature = "x509")]
mod certificates;
#[cfg(feature = "x509")]
mod chains;
mod cid;
mod cookie;
mod corpora;
#[cfg(feature = "ecc")]
mod curve;
mod duplicate;
mod ends;
mod extensions;
#[cfg(feature = "x509")]
mod forged;
mod fragment;
#[cfg(feature = "ecc")]
mod genuine;
mod heartbeat;
mod hostile;
mod identity;
mod limits;
mod loss;
mod matrix;
mod order;
mod packing;
mod pairwise;
mod puppet;
mod reorder;
mod replay;
mod resume;
mod retransmit;
mod routability;
mod soak;
mod strangers;
mod timeout;
#[cfg(feature = "x509")]
mod urls;
mod weaknesses;
mod world;
