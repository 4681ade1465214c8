//! Stacks that talk to each other over a link that loses frames.

mod crowd;
mod groups;
mod line;
mod noise;
mod repair;
mod world;
