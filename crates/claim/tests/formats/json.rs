//! Generators of JSON values, and simple reimplementations of what the crate does with these values.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// Generates JSON values with names and texts from a small set, so that two generated values often share a name or a
/// text.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u8>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,4}|[\u{0}-\u{22}\\\\]{0,3}|[a\"\\\\/~,\\]}]{0,2}".prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map("[ab01é\"\\\\~/\u{1}]{0,2}", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Generates two values that differ in a few places, or not at all.
pub(crate) fn similar_json() -> impl Strategy<Value = (Value, Value)> {
    let edits = prop::collection::vec((any::<Index>(), prop::option::of(any_json())), 0..9);
    (any_json(), edits).prop_map(|(value, edits)| {
        let mut edited = value.clone();
        for (position, replacement) in edits {
            let pointers = pointers(&edited);
            let pointer = position.get(&pointers);
            match replacement {
                Some(replacement) => *edited.pointer_mut(pointer).unwrap() = replacement,
                None => remove(&mut edited, pointer),
            }
        }
        (value, edited)
    })
}

/// Returns the JSON Pointers to a value and to all values inside of it.
pub(crate) fn pointers(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (escaped(name), member)).collect(),
        _ => Vec::new(),
    };
    let mut found = vec![String::new()];
    for (token, child) in children {
        found.extend(pointers(child).into_iter().map(|rest| format!("/{token}{rest}")));
    }
    found
}

/// Removes the object member that a pointer names, if the value has it.
pub(crate) fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.remove(&name.replace("~1", "/").replace("~0", "~"));
    }
}

/// Returns the pointers to all differences of two values. Members are sorted by their names, and items by their index.
pub(crate) fn differences(a: &Value, b: &Value) -> Vec<String> {
    let pairs: Vec<(String, Option<&Value>, Option<&Value>)> = match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort_unstable();
            names.dedup();
            names.into_iter().map(|name| (escaped(name), a.get(name), b.get(name))).collect()
        }
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).map(|index| (index.to_string(), a.get(index), b.get(index))).collect()
        }
        _ if a == b => return Vec::new(),
        _ => return vec![String::new()],
    };
    let mut found = Vec::new();
    for (token, a, b) in pairs {
        let inside = match (a, b) {
            (Some(a), Some(b)) => differences(a, b),
            _ => vec![String::new()],
        };
        found.extend(inside.into_iter().map(|rest| format!("/{token}{rest}")));
    }
    found
}

/// Returns a name as a token of a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
