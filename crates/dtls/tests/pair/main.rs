//! Two ends under virtual time. One seed gives one run, octet for octet.

mod alerts;
mod cid;
mod cookie;
mod duplicate;
mod extensions;
mod fragment;
mod heartbeat;
mod identity;
mod loss;
mod reorder;
mod replay;
mod resume;
mod retransmit;
mod strangers;
mod timeout;
mod world;
