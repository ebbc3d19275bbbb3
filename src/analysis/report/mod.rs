//! The report: what there is to know of a dump's memory, as JSON and as one page that needs nothing else.
//!
//! What a dump says is not to be trusted. It stands in the page as JSON in which no markup can begin, the script puts
//! it nowhere but into text, and the page's own policy lets no script run and no style apply but the two of known hash,
//! and no connection be made.

mod document;

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use document::{bytes, document};

use crate::json;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page that draws a [`document()`], signed with the version of the program that makes it.
pub fn page(document: &Value, version: &str) -> String {
    let data = embedded(&document.to_string());
    let (style_hash, script_hash) = (hash(STYLE), hash(SCRIPT));
    let parts = [
        ("style-hash", style_hash.as_str()),
        ("script-hash", &script_hash),
        ("version", version),
        ("style", STYLE),
        ("script", SCRIPT),
        ("data", &data),
    ];
    // From piece to piece and never over what was put in: data may have braces as well.
    let mut out = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("braces of the page are closed");
        let part = parts.iter().find(|(known, _)| *known == name).expect("the page names only what there is");
        out.push_str(before);
        out.push_str(part.1);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// JSON without anything that could end its element or a line of a script.
fn embedded(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// How a policy names a script or style.
fn hash(text: &str) -> String {
    let mut base64 = Vec::new();
    json::write_base64(&Sha256::digest(text), &mut base64);
    format!("sha256-{}", String::from_utf8_lossy(&base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_markup_begins_in_the_data() {
        let data = serde_json::json!({"key": "</script><script>alert(1)</script>\u{2028}&amp;{{style}}"});
        let embedded = embedded(&data.to_string());
        assert!(!embedded.contains(['<', '>', '&', '\u{2028}']), "{embedded}");
        assert_eq!(serde_json::from_str::<Value>(&embedded).unwrap(), data);
        let page = page(&data, "1.0");
        assert!(page.contains("{{style}}") && page.matches("</script>").count() == 2, "{page}");
    }

    #[test]
    fn hashes_are_those_of_policies() {
        // From the specification of subresource integrity: alert('Hello, world.');
        assert_eq!(hash("alert('Hello, world.');"), "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
    }
}
