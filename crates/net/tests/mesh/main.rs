//! Stacks that talk to each other over a link that loses frames.

mod line;
mod world;
