//! A strict JSON parser, whose results the tested parser must match. It is simple and slow: `serde_json` splits one
//! array or object at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum nesting of a valid body.
pub(crate) const MAX_NESTING: usize = 128;

/// A JSON value that keeps the text of each token as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// The text of a number, `true`, `false` or `null`.
    Token(String),
    Text(Text),
    Array(Vec<Json>),
    Object(Vec<(Text, Json)>),
}

/// A JSON string: `raw` is its text with quotes and escapes, and `value` is the text without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    raw: String,
    pub(crate) value: String,
}

/// The members of an object, in order and including repeated names.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Json {
    /// Parses `text`. Returns `None` if the text is not JSON, if two JSON parsers could read it differently, or if it is
    /// nested deeper than `nesting`.
    pub(crate) fn read(text: &str, nesting: usize) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        match raw.get().as_bytes().first()? {
            b'"' => Some(Self::Text(Text::read(raw)?)),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
                let nesting = nesting.checked_sub(1)?;
                items.into_iter().map(|item| Self::read(item.get(), nesting)).collect::<Option<_>>().map(Self::Array)
            }
            b'{' => {
                let Members(members) = serde_json::from_str(raw.get()).ok()?;
                let nesting = nesting.checked_sub(1)?;
                let member =
                    |(name, value): (_, &RawValue)| Some((Text::read(name)?, Self::read(value.get(), nesting)?));
                let members: Vec<(Text, Self)> = members.into_iter().map(member).collect::<Option<_>>()?;
                let names: BTreeSet<&str> = members.iter().map(|(name, _)| name.value.as_str()).collect();
                (names.len() == members.len()).then_some(Self::Object(members))
            }
            _ => Some(Self::Token(raw.get().to_owned())),
        }
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(text, _)| text.value == name).map(|(_, value)| value)
    }

    /// Returns a copy without the member at the JSON Pointer with these unescaped tokens. If there is no such member,
    /// returns an equal copy.
    pub(crate) fn without(&self, tokens: &[&str]) -> Self {
        let mut rest = self.clone();
        match (&mut rest, tokens) {
            (Self::Object(members), [name]) => members.retain(|(text, _)| text.value != *name),
            (Self::Object(members), [name, inner @ ..]) => {
                for (_, value) in members.iter_mut().filter(|(text, _)| text.value == *name) {
                    *value = value.without(inner);
                }
            }
            (Self::Array(items), [index, inner @ ..]) if !inner.is_empty() => {
                for (position, item) in items.iter_mut().enumerate() {
                    if position.to_string() == *index {
                        *item = item.without(inner);
                    }
                }
            }
            _ => {}
        }
        rest
    }

    /// Returns JSON Pointers to all places in which this value and another one differ: members in the order of their names,
    /// and items in the order of their indexes.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let children = |value: &Self| -> Option<BTreeMap<(usize, String), Self>> {
            match value {
                Self::Array(items) => {
                    let items = items.iter().cloned().enumerate();
                    Some(items.map(|(index, item)| ((index, index.to_string()), item)).collect())
                }
                Self::Object(members) => {
                    let members = members.iter().cloned();
                    Some(members.map(|(name, member)| ((0, name.value), member)).collect())
                }
                Self::Token(_) | Self::Text(_) => None,
            }
        };
        let is_same_kind = std::mem::discriminant(self) == std::mem::discriminant(other);
        let (true, Some(mine), Some(others)) = (is_same_kind, children(self), children(other)) else {
            return if self.canonical() == other.canonical() { Vec::new() } else { vec![String::new()] };
        };
        let places: BTreeSet<&(usize, String)> = mine.keys().chain(others.keys()).collect();
        let differences = places.into_iter().flat_map(|place| {
            let inside = match (mine.get(place), others.get(place)) {
                (Some(one), Some(other)) => one.differences(other),
                _ => vec![String::new()],
            };
            let token = place.1.replace('~', "~0").replace('/', "~1");
            inside.into_iter().map(move |rest| format!("/{token}{rest}"))
        });
        differences.collect()
    }

    /// Returns the event id if this value is a string or an integer of 1 to 2,042 bytes. Otherwise, returns `None`.
    pub(crate) fn as_event_id(&self) -> Option<&str> {
        let id = match self {
            Self::Text(text) => &text.value,
            Self::Token(token) if is_integer(token) => token,
            _ => return None,
        };
        (1..=2_042).contains(&id.len()).then_some(id)
    }

    /// Returns the text of this value without white space between tokens.
    pub(crate) fn compact(&self) -> String {
        match self {
            Self::Token(token) => token.clone(),
            Self::Text(text) => text.raw.clone(),
            Self::Array(items) => format!("[{}]", joined(items.iter().map(Self::compact))),
            Self::Object(members) => {
                format!(
                    "{{{}}}",
                    joined(members.iter().map(|(name, value)| format!("{}:{}", name.raw, value.compact())))
                )
            }
        }
    }

    /// Returns the canonical text of this value: members sorted by the UTF-8 bytes of their names, strings with as few
    /// escapes as possible, numbers as they were written.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Token(token) => token.clone(),
            Self::Text(text) => text.canonical(),
            Self::Array(items) => format!("[{}]", joined(items.iter().map(Self::canonical))),
            Self::Object(members) => {
                let sorted: BTreeMap<&[u8], String> = members
                    .iter()
                    .map(|(name, value)| (name.value.as_bytes(), format!("{}:{}", name.canonical(), value.canonical())))
                    .collect();
                format!("{{{}}}", joined(sorted.into_values()))
            }
        }
    }

    /// Returns a different text for the same value: with members in reverse order, additional white space, and all
    /// characters of names and strings escaped.
    pub(crate) fn rewritten(&self) -> String {
        match self {
            Self::Token(token) => format!(" {token}\r\n"),
            Self::Text(text) => text.escaped(),
            Self::Array(items) => format!("\t[{} ]", joined(items.iter().map(Self::rewritten))),
            Self::Object(members) => {
                let members =
                    members.iter().rev().map(|(name, value)| format!("\n{} :{}", name.escaped(), value.rewritten()));
                format!("{{{}}}", joined(members))
            }
        }
    }

    /// Returns a copy of this value in which the first leaf is different.
    pub(crate) fn changed(&self) -> Self {
        let mut changed = self.clone();
        match &mut changed {
            Self::Token(token) => if token == "0" { "1" } else { "0" }.clone_into(token),
            Self::Text(text) => *text = Text { raw: r#""\u0000""#.to_owned(), value: "\0".to_owned() }.unless(text),
            Self::Array(items) => match items.first_mut() {
                Some(first) => *first = first.changed(),
                None => items.push(Self::Token("0".to_owned())),
            },
            Self::Object(members) => match members.first_mut() {
                Some((_, first)) => *first = first.changed(),
                None => return Self::Array(Vec::new()),
            },
        }
        changed
    }
}

impl Text {
    fn read(raw: &RawValue) -> Option<Self> {
        Some(Self { raw: raw.get().to_owned(), value: serde_json::from_str(raw.get()).ok()? })
    }

    fn canonical(&self) -> String {
        serde_json::to_string(&self.value).expect("a string can be serialized")
    }

    fn escaped(&self) -> String {
        let units = self.value.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        format!("\"{}\"", units.collect::<String>())
    }

    /// Returns this string, or the string `x` if this string has the same value as `other`.
    fn unless(self, other: &Self) -> Self {
        if self.value == other.value { Self { raw: r#""x""#.to_owned(), value: "x".to_owned() } } else { self }
    }
}

fn is_integer(token: &str) -> bool {
    token.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && !token.contains(['.', 'e', 'E'])
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}
