//! Two ends under virtual time. One seed gives one run, octet for octet.

mod alerts;
mod cid;
mod cookie;
mod corpora;
#[cfg(feature = "ecc")]
mod curve;
mod duplicate;
mod ends;
mod extensions;
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
mod puppet;
mod reorder;
mod replay;
mod resume;
mod retransmit;
mod routability;
mod soak;
mod strangers;
mod timeout;
mod weaknesses;
mod world;
