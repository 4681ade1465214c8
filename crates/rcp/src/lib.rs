//! A radio co-processor: Spinel on one side, the radio seam on the other. It holds no key.
#![no_std]
