//! A command for a group, through the border router: the manager's CoAP request `group/<id>/<path>`.
//!
//! Method, content format and payload are what the members of the group hear, sealed under its keys; the
//! path is the rest. Nobody answers a command, so that GET is not allowed. 2.04 says that it left; 4.04 that
//! the border router does not send to the group, 4.13 that it is too long for a record, 5.03 that it cannot
//! leave now.

/// The first segment of the path.
pub const GROUP_PATH: &str = "group";
