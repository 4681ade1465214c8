//! Group records (in progress).
