//! HDLC-lite and Spinel, as a radio co-processor and its host speak it.
#![no_std]
