//! An event source mapping's filter pattern, as far as this system uses the language: a tree of names with lists of
//! exact texts as leaves.

use serde_json::Value;

/// Decides which records a mapping hands to its function.
#[derive(Clone, Debug, Default)]
pub struct FilterPattern(Option<Value>);

/// A pattern that uses more of the language than is embedded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("only lists of texts under names are embedded: {0}")]
pub struct UnknownPattern(Value);

impl FilterPattern {
    /// For example `{"dynamodb":{"NewImage":{"sk":{"S":["CLAIM"]}}}}`.
    ///
    /// # Errors
    /// When the pattern holds anything else.
    pub fn new(pattern: Value) -> Result<Self, UnknownPattern> {
        fn known(pattern: &Value) -> bool {
            match pattern {
                Value::Object(members) => !members.is_empty() && members.values().all(known),
                Value::Array(values) => !values.is_empty() && values.iter().all(Value::is_string),
                _ => false,
            }
        }
        if known(&pattern) { Ok(Self(Some(pattern))) } else { Err(UnknownPattern(pattern)) }
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

    #[test]
    fn the_deployed_pattern_passes_claims_by_their_new_image_alone() {
        let pattern = FilterPattern::new(json!({"dynamodb":{"NewImage":{"sk":{"S":["CLAIM"]}}}})).unwrap();
        assert!(pattern.matches(&json!({"eventName":"NEW","dynamodb":{"NewImage":{"sk":{"S":"CLAIM"}}}})));
        assert!(!pattern.matches(&json!({"dynamodb":{"NewImage":{"sk":{"S":"OTHER"}}}})));
        assert!(!pattern.matches(&json!({"eventName":"REMOVE","dynamodb":{"Keys":{"sk":{"S":"CLAIM"}}}})));
        assert!(FilterPattern::default().matches(&json!({})));
    }

    #[test]
    fn a_pattern_that_is_not_embedded_is_refused() {
        for pattern in [json!({"a":[{"exists":true}]}), json!({"a":"b"}), json!({"a":[]}), json!([])] {
            let _ = FilterPattern::new(pattern.clone()).map(|_| panic!("{pattern} was accepted")).unwrap_err();
        }
    }
}
