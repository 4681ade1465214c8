//! Linux: serial lines, TUN, addresses and routes, UDP. Async drivers that decide nothing.
