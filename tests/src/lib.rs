//! Tests over the whole of Lowgate.
