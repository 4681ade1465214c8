#![no_std]
//! (in progress)
