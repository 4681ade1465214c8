//! What happens to a small office in the course of its life.

mod outside;
mod restart;
mod world;
