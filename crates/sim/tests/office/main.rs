//! What happens to a small office in the course of its life.

mod groups;
mod outside;
mod rekey;
mod restart;
mod trees;
mod world;
