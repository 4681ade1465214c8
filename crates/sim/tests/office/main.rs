//! What happens to a small office in the course of its life.

mod groups;
mod outside;
mod pairs;
mod rekey;
mod restart;
mod trees;
mod world;
