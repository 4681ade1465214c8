//! The two doors through which text gets into the page, and into XML.

use serde::Serialize;

/// `raw` as text between tags or within a quoted attribute.
pub(crate) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // HTML and XML (1.0, section 2.2) have no way to write these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() && !"\t\n\r".contains(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// `data` as JSON inside a script element, where neither a closing tag nor a comment may appear.
pub(super) fn script_data(data: &impl Serialize) -> String {
    serde_json::to_string(data)
        .expect("lists, numbers and texts; no map whose keys are not texts")
        // Outside of texts JSON has none of these; inside, the escape means the same.
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}
