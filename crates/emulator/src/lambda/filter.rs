//! Filter criteria of event source mappings ("Filter rule syntax" in Lambda's developer guide). The emulator supports
//! only the part of the pattern language that the pipeline uses: a tree of names whose leaves are lists of strings,
//! prefixes and `{"exists": false}`.

use serde_json::Value;

/// The criteria by which a mapping selects records for its function. A record must match at least one of the patterns.
/// The default has no pattern and passes every record.
#[derive(Clone, Debug, Default)]
pub struct FilterCriteria(Vec<Pattern>);

/// The error for a filter pattern that the emulator does not support.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot use the filter pattern {0}: the emulator supports only lists of strings, prefixes and `exists: false` under \
    names"
)]
pub struct UnsupportedPattern(Value);

#[derive(Clone, Debug)]
enum Pattern {
    /// Every member of the object must match.
    Members(Vec<(String, Pattern)>),
    /// At least one rule of the list must match.
    AnyOf(Vec<Rule>),
}

#[derive(Clone, Debug)]
enum Rule {
    Equals(String),
    Prefix(String),
    /// There is no value. Lambda checks this only at a leaf.
    Absent,
}

impl FilterCriteria {
    /// Creates criteria from patterns such as `{"dynamodb":{"NewImage":{"sk":{"S":[{"prefix":"CLAIM"}]}}}}`.
    ///
    /// # Errors
    /// Fails if a pattern contains anything other than names and lists of strings, prefixes and `{"exists": false}`, or
    /// if an object or a list is empty.
    pub fn new(patterns: impl IntoIterator<Item = Value>) -> Result<Self, UnsupportedPattern> {
        let parse = |pattern| Pattern::parse(&pattern).ok_or(UnsupportedPattern(pattern));
        patterns.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn matches(&self, record: &Value) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| pattern.matches(Some(record)))
    }
}

impl Pattern {
    fn parse(pattern: &Value) -> Option<Self> {
        match pattern {
            Value::Object(members) if !members.is_empty() => {
                let members = members.iter().map(|(name, pattern)| Some((name.clone(), Self::parse(pattern)?)));
                members.collect::<Option<_>>().map(Self::Members)
            }
            Value::Array(rules) if !rules.is_empty() => {
                rules.iter().map(Rule::parse).collect::<Option<_>>().map(Self::AnyOf)
            }
            _ => None,
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Members(members) => {
                members.iter().all(|(name, pattern)| pattern.matches(value.and_then(|value| value.get(name))))
            }
            Self::AnyOf(rules) => rules.iter().any(|rule| rule.matches(value)),
        }
    }
}

impl Rule {
    fn parse(rule: &Value) -> Option<Self> {
        match rule {
            Value::String(text) => Some(Self::Equals(text.clone())),
            Value::Object(operator) if operator.len() == 1 => match operator.iter().next()? {
                (name, Value::String(prefix)) if name == "prefix" => Some(Self::Prefix(prefix.clone())),
                (name, Value::Bool(false)) if name == "exists" => Some(Self::Absent),
                _ => None,
            },
            _ => None,
        }
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        let text = value.and_then(Value::as_str);
        match self {
            Self::Equals(expected) => text == Some(expected),
            Self::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix.as_str())),
            Self::Absent => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The deployed pattern looks only at the new image, not at the record's `eventName` or `Keys`.
    #[test]
    fn deployed_pattern_passes_only_new_claims() {
        let pattern = json!({ "dynamodb": { "NewImage": { "sk": { "S": [{ "prefix": "CLAIM" }] } } } });
        let criteria = FilterCriteria::new([pattern]).unwrap();
        let record = |image: &str, sk: Value| json!({ "eventName": "NEW", "dynamodb": { image: { "sk": sk } } });
        for sk in ["CLAIM", "CLAIM#0a1b2c3d"] {
            assert!(criteria.matches(&record("NewImage", json!({ "S": sk }))), "{sk}");
            assert!(!criteria.matches(&record("Keys", json!({ "S": sk }))), "{sk}");
        }
        for sk in [json!({ "S": "OTHER" }), json!({ "S": "CLAI" }), json!({ "S": "a CLAIM" }), json!({ "B": "CLAIM" })]
        {
            assert!(!criteria.matches(&record("NewImage", sk.clone())), "{sk}");
        }
    }

    /// The patterns are alternatives, as are the rules in a list. The names in an object must all match.
    #[test]
    fn record_must_match_one_of_the_patterns() {
        let criteria =
            FilterCriteria::new([json!({ "a": ["1", { "prefix": "2" }], "b": ["3"] }), json!({ "c": ["4"] })]);
        let criteria = criteria.unwrap();
        for record in [json!({ "a": "1", "b": "3" }), json!({ "a": "25", "b": "3" }), json!({ "c": "4" })] {
            assert!(criteria.matches(&record), "{record}");
        }
        for record in [json!({ "a": "15", "b": "3" }), json!({ "a": "1" }), json!({ "b": "3" }), json!({ "c": 4 })] {
            assert!(!criteria.matches(&record), "{record}");
        }
        assert!(FilterCriteria::default().matches(&json!({})));
    }

    /// The patterns of a pipeline with packs pass single claims and packs, and drop packed claims. An absent `layout` means
    /// a single claim.
    #[test]
    fn absent_value_matches_exists_false() {
        let claim = |layout: Value| {
            let image = json!({ "sk": { "S": [{ "prefix": "CLAIM" }] }, "layout": { "S": [layout] } });
            json!({ "dynamodb": { "NewImage": image } })
        };
        let pack = json!({ "dynamodb": { "NewImage": { "sk": { "S": ["PACK"] } } } });
        let criteria = FilterCriteria::new([claim(json!({ "exists": false })), claim(json!("object")), pack]).unwrap();
        let matches = |image: Value| criteria.matches(&json!({ "dynamodb": { "NewImage": image } }));
        assert!(matches(json!({ "sk": { "S": "CLAIM" } })));
        assert!(matches(json!({ "sk": { "S": "CLAIM#1" }, "layout": { "S": "object" } })));
        assert!(matches(json!({ "sk": { "S": "PACK" } })));
        assert!(!matches(json!({ "sk": { "S": "CLAIM" }, "layout": { "S": "pack" } })));
        assert!(!matches(json!({ "sk": { "S": "PACKS" } })));
        assert!(!criteria.matches(&json!({ "dynamodb": { "Keys": { "sk": { "S": "PACK" } } } })));
    }

    #[test]
    fn unsupported_pattern_is_an_error() {
        for pattern in [
            json!({ "a": [{ "exists": true }] }),
            json!({ "a": [{ "suffix": "b" }] }),
            json!({ "a": [{ "prefix": "b", "suffix": "c" }] }),
            json!({ "a": [{ "prefix": 1 }] }),
            json!({ "a": ["b", {}] }),
            json!({ "a": [1] }),
            json!({ "a": "b" }),
            json!({ "a": [] }),
            json!({}),
            json!([]),
        ] {
            let refused = FilterCriteria::new([json!({ "a": ["b"] }), pattern.clone()]);
            assert_eq!(refused.err(), Some(UnsupportedPattern(pattern)));
        }
    }
}
