//! Requests and responses as applications see them (RFC 7252 section 5).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Block;

/// The methods of RFC 7252 section 5.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// Retrieves.
    Get = 1,
    /// Has the payload processed.
    Post = 2,
    /// Creates or replaces.
    Put = 3,
    /// Removes.
    Delete = 4,
}

impl Method {
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Get),
            2 => Some(Self::Post),
            3 => Some(Self::Put),
            4 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// A response code: class 2, 4 or 5 (RFC 7252 section 5.9).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(u8);

impl Code {
    /// 2.01
    pub const CREATED: Self = Self(0x41);
    /// 2.02
    pub const DELETED: Self = Self(0x42);
    /// 2.04
    pub const CHANGED: Self = Self(0x44);
    /// 2.05
    pub const CONTENT: Self = Self(0x45);
    /// 4.00
    pub const BAD_REQUEST: Self = Self(0x80);
    /// 4.01
    pub const UNAUTHORIZED: Self = Self(0x81);
    /// 4.02
    pub const BAD_OPTION: Self = Self(0x82);
    /// 4.03
    pub const FORBIDDEN: Self = Self(0x83);
    /// 4.04
    pub const NOT_FOUND: Self = Self(0x84);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Self = Self(0x85);
    /// 4.06
    pub const NOT_ACCEPTABLE: Self = Self(0x86);
    /// 4.09 (RFC 8132 section 2.3)
    pub const CONFLICT: Self = Self(0x89);
    /// 4.13
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self(0x8d);
    /// 4.15
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self(0x8f);
    /// 5.00
    pub const INTERNAL_SERVER_ERROR: Self = Self(0xa0);
    /// 5.01
    pub const NOT_IMPLEMENTED: Self = Self(0xa1);
    /// 5.03
    pub const SERVICE_UNAVAILABLE: Self = Self(0xa3);
    /// 5.05
    pub const PROXYING_NOT_SUPPORTED: Self = Self(0xa5);

    /// `None` for a number that is no response.
    pub const fn new(raw: u8) -> Option<Self> {
        if matches!(raw >> 5, 2 | 4 | 5) { Some(Self(raw)) } else { None }
    }

    /// The octet on the wire.
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// Whether the request was received, understood and accepted: class 2.
    pub const fn is_success(self) -> bool {
        self.0 >> 5 == 2
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 >> 5, self.0 & 0x1f)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number of the registry of content formats (RFC 7252 section 12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// text/plain; charset=utf-8
    pub const TEXT: Self = Self(0);
    /// application/octet-stream
    pub const OCTET_STREAM: Self = Self(42);
    /// application/cbor
    pub const CBOR: Self = Self(60);
}

/// Octets of one segment of a path (RFC 7252 section 5.10).
const SEGMENT_OCTETS_MAX: usize = 255;

/// The text names no resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRefused {
    /// A segment is longer than 255 octets.
    SegmentTooLong,
    /// A segment is `.` or `..`, which name nothing (RFC 7252 section 5.10.1).
    DotSegment,
}

/// The path of a resource: one Uri-Path option per segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

impl Path {
    /// From `a/b`, with or without a slash in front; empty text is the root.
    ///
    /// # Errors
    /// When a segment is impossible.
    pub fn new(text: &str) -> Result<Self, PathRefused> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split('/')
            .map(|segment| Self::segment(segment.into()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn segment(segment: String) -> Result<String, PathRefused> {
        if segment.len() > SEGMENT_OCTETS_MAX {
            Err(PathRefused::SegmentTooLong)
        } else if segment == "." || segment == ".." {
            Err(PathRefused::DotSegment)
        } else {
            Ok(segment)
        }
    }

    pub(crate) const fn from_segments(segments: Vec<String>) -> Self {
        Self(segments)
    }

    /// The segments in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The path without its first segments.
    pub fn after(&self, segments: usize) -> Self {
        Self(self.0.iter().skip(segments).cloned().collect())
    }

    /// Whether this is the path `a/b`, written with or without a slash in front.
    pub fn is(&self, text: &str) -> bool {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.is_empty() { self.0.is_empty() } else { self.segments().eq(text.split('/')) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// With what.
    pub path: Path,
    /// Uri-Query options in order, each `name` or `name=value`.
    pub query: Vec<String>,
    /// What the payload is.
    pub content_format: Option<ContentFormat>,
    /// What the answer should be.
    pub accept: Option<ContentFormat>,
    /// Whether to be told of every change (RFC 7641 section 2), or of none any more.
    pub observe: Option<Observe>,
    /// The part of the answer that is asked for. A resource that does not answer in parts takes the first for the
    /// whole (RFC 7959 section 2.4).
    pub block2: Option<Block>,
    /// May be empty.
    pub payload: Vec<u8>,
}

impl Request {
    /// A request with nothing but a method and a path.
    pub const fn new(method: Method, path: Path) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            content_format: None,
            accept: None,
            observe: None,
            block2: None,
            payload: Vec::new(),
        }
    }

    /// With a payload of this format.
    pub fn with_payload(self, format: ContentFormat, payload: Vec<u8>) -> Self {
        Self { content_format: Some(format), payload, ..self }
    }

    /// Of the answer this part.
    pub fn with_block2(self, block: Block) -> Self {
        Self { block2: Some(block), ..self }
    }

    /// Whether it asks for a part past the first: a resource with short answers has none (4.00).
    pub fn is_past_first_block(&self) -> bool {
        self.block2.is_some_and(|block| block.number() > 0)
    }
}

/// What a GET says about changes to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// Tell me.
    Register,
    /// Tell me no more.
    Deregister,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it went.
    pub code: Code,
    /// What the payload is.
    pub content_format: Option<ContentFormat>,
    /// Orders notifications (RFC 7641 section 3.4), 24 bits; `None`: none follow.
    pub observe: Option<u32>,
    /// Which part of the answer the payload is; `None`: all of it.
    pub block2: Option<Block>,
    /// May be empty.
    pub payload: Vec<u8>,
}

impl Response {
    /// A response without payload.
    pub const fn new(code: Code) -> Self {
        Self { code, content_format: None, observe: None, block2: None, payload: Vec::new() }
    }

    /// With a payload of this format.
    pub fn with_payload(self, format: ContentFormat, payload: Vec<u8>) -> Self {
        Self { content_format: Some(format), payload, ..self }
    }

    /// The payload is this part of the answer.
    pub fn with_block2(self, block: Block) -> Self {
        Self { block2: Some(block), ..self }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn paths_have_segments() {
        let path = Path::new("/lights/3").expect("a path");
        assert!(path.is("lights/3") && path.is("/lights/3") && !path.is("lights"));
        assert_eq!(path.to_string(), "/lights/3");
        assert!(path.after(1).is("3") && path.after(2).is("") && path.after(9).is(""));
        assert!(Path::new("").expect("the root").is("/"));
        assert_eq!(Path::new("a/../b"), Err(PathRefused::DotSegment));
        assert_eq!(Path::new(&"x".repeat(256)), Err(PathRefused::SegmentTooLong));
    }

    #[test]
    fn codes_of_other_classes_are_no_responses() {
        assert_eq!(Code::new(0x45), Some(Code::CONTENT));
        assert_eq!(Code::CONTENT.to_string(), "2.05");
        for raw in [0x00, 0x01, 0x20, 0x60, 0xc0, 0xe1] {
            assert_eq!(Code::new(raw), None, "{raw:#x}");
        }
    }
}
