//! Filter patterns of event source mappings. The emulator supports only the part of the pattern language that the
//! pipeline uses: a tree of names whose leaves are lists of exact strings.

use serde_json::Value;

/// A filter that decides which records a mapping passes to its function. The default passes every record.
#[derive(Clone, Debug, Default)]
pub struct FilterPattern(Option<Value>);

/// The error for a filter pattern that the emulator does not support.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the filter pattern {0}: the emulator supports only lists of strings under names")]
pub struct UnsupportedPattern(Value);

impl FilterPattern {
    /// Creates a filter from a pattern such as `{"dynamodb":{"NewImage":{"sk":{"S":["CLAIM"]}}}}`.
    ///
    /// # Errors
    /// Fails if the pattern contains anything other than names and lists of strings, or if an object or a list is
    /// empty.
    pub fn new(pattern: Value) -> Result<Self, UnsupportedPattern> {
        fn is_supported(pattern: &Value) -> bool {
            match pattern {
                Value::Object(members) => !members.is_empty() && members.values().all(is_supported),
                Value::Array(values) => !values.is_empty() && values.iter().all(Value::is_string),
                _ => false,
            }
        }
        if is_supported(&pattern) { Ok(Self(Some(pattern))) } else { Err(UnsupportedPattern(pattern)) }
    }

    pub(crate) fn matches(&self, record: &Value) -> bool {
        fn matches(pattern: &Value, value: Option<&Value>) -> bool {
            match pattern {
                Value::Object(members) => {
                    members.iter().all(|(name, pattern)| value.is_some_and(|value| matches(pattern, value.get(name))))
                }
                Value::Array(allowed) => value.is_some_and(|value| allowed.contains(value)),
                _ => false,
            }
        }
        self.0.as_ref().is_none_or(|pattern| matches(pattern, Some(record)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The deployed pattern looks only at the new image: the record's event name and the item's keys do not matter.
    #[test]
    fn deployed_pattern_passes_only_new_claims() {
        let pattern = FilterPattern::new(json!({"dynamodb":{"NewImage":{"sk":{"S":["CLAIM"]}}}})).unwrap();
        assert!(pattern.matches(&json!({"eventName":"NEW","dynamodb":{"NewImage":{"sk":{"S":"CLAIM"}}}})));
        assert!(!pattern.matches(&json!({"dynamodb":{"NewImage":{"sk":{"S":"OTHER"}}}})));
        assert!(!pattern.matches(&json!({"eventName":"REMOVE","dynamodb":{"Keys":{"sk":{"S":"CLAIM"}}}})));
        assert!(FilterPattern::default().matches(&json!({})));
    }

    #[test]
    fn unsupported_pattern_is_an_error() {
        for pattern in [json!({"a":[{"exists":true}]}), json!({"a":"b"}), json!({"a":[]}), json!([])] {
            let _ = FilterPattern::new(pattern.clone()).map(|_| panic!("{pattern} was accepted")).unwrap_err();
        }
    }
}
