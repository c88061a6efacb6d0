//! Finds an event id in the text of a message that is not a valid event.

use std::borrow::Cow;

use claim::DedupKey;

/// Maximum number of times that a text is unescaped. A body may contain JSON inside a JSON string, as a notification
/// from SNS does.
const MAX_UNESCAPES: usize = 3;

/// Returns true if the text contains the id. If the dedup key has several pointers, the id is a JSON array, and the
/// text must contain each of its elements.
pub(super) fn mentions_event(text: &str, event_id: &str, dedup_key: &DedupKey) -> bool {
    let is_composite = dedup_key.to_string().starts_with('[');
    let parts: Option<Vec<String>> = if is_composite { serde_json::from_str(event_id).ok() } else { None };
    match parts {
        Some(parts) => parts.iter().all(|part| mentions(text, part)),
        None => mentions(text, event_id),
    }
}

/// Returns true if the text contains the id as a JSON string, as a number, or as a word between JSON's punctuation
/// characters. The id may be escaped in any way that JSON allows.
fn mentions(text: &str, event_id: &str) -> bool {
    let quoted = format!("\"{event_id}\"");
    let mut text = Cow::Borrowed(text);
    for _ in 0..=MAX_UNESCAPES {
        let is_id = |word: &str| word.trim().trim_matches(['"', '\'']) == event_id;
        // The closing quote may be missing, if the body was cut off.
        if text.contains(&quoted) || text.split(['{', '}', '[', ']', ',', ':']).any(is_id) {
            return true;
        }
        let unescaped = unescape(&text);
        if unescaped == text {
            return false;
        }
        text = Cow::Owned(unescaped);
    }
    false
}

/// Replaces JSON's escapes with the characters that they stand for. Leaves other backslashes and unpaired surrogates as
/// they are.
fn unescape(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        unescaped += &rest[..start];
        rest = &rest[start..];
        let (c, length) = read_escape(rest).unwrap_or(('\\', 1));
        unescaped.push(c);
        rest = &rest[length..];
    }
    unescaped + rest
}

/// Reads the escape at the start of a text. Returns the character and the length of the escape in bytes, or `None` if
/// the text does not start with a valid escape.
fn read_escape(text: &str) -> Option<(char, usize)> {
    let c = match text.as_bytes().get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return read_unicode_escape(text),
        c @ (b'"' | b'\\' | b'/') => char::from(*c),
        _ => return None,
    };
    Some((c, 2))
}

fn read_unicode_escape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((c, 6));
    }
    let pair = char::decode_utf16([first, unit(6)?]).next()?;
    Some((pair.ok()?, 12))
}

#[cfg(test)]
mod tests {
    use super::mentions;

    /// An id is found in every form that JSON allows, even if other parts of the body are not valid JSON.
    #[test]
    fn id_is_found_in_every_escape() {
        for (body, event_id) in [
            (r#"{"event_id":"th\u00e9","event_id":"y"}"#, "thé"),
            (r#"{"event_id":"th\u00E9","n":}"#, "thé"),
            (r#"{"event_id":"c\/d","n":}"#, "c/d"),
            (r#"{"event_id":987654321,"n":}"#, "987654321"),
            (r#"{"event_id": -7 }x"#, "-7"),
            (r#"{"event_id":"\ud83d\ude00\ud800"}"#, "😀\\ud800"),
            (r#"{"event_id":"\uD83D\uDE00","n":}"#, "😀"),
            (r#"{"event_id":"a\"b\\c\n","n":}"#, "a\"b\\c\n"),
            (r#"{"event_id":"\u0061","n":}"#, "a"),
            (r#"{"event_id":"a\b"}"#, r"a\b"),
            (r#"{"event_id":"cut off"#, "cut off"),
            ("{'event_id': 'python'}", "python"),
            (r#"{"Type":"Notification","Message":"{\"event_id\":\"th\\u00e9\"}"}"#, "thé"),
            (r#"{"Message":"{\"event_id\":7}"}"#, "7"),
            ("7", "7"),
        ] {
            assert!(mentions(body, event_id), "{body} {event_id}");
        }
    }

    #[test]
    fn part_of_another_text_is_not_the_id() {
        for (body, event_id) in [
            (r#"{"event_id":"abc","text":"this is a text"}"#, "a"),
            (r#"{"event_id":1987,"n":}"#, "987"),
            (r#"{"event_id":"th\u00e9","n":}"#, "th"),
            (r#"{"event_id":"\u12"}"#, "x"),
            ("", "a"),
        ] {
            assert!(!mentions(body, event_id), "{body} {event_id}");
        }
    }
}
