//! Message attributes, as "Amazon SQS message metadata" in the developer guide describes them. Instrumented producers
//! attach attributes to every message, for example a `traceparent`.

use std::collections::BTreeMap;

use aws_smithy_types::base64;
use serde_json::{Map, Value, json};

use crate::checksum::md5_hex;
use crate::sqs::error::{SqsError, invalid};

/// Maximum number of attributes of one message.
const MAX_ATTRIBUTES: usize = 10;

/// Maximum number of characters in the name of an attribute, and in its type.
const MAX_NAME_CHARS: usize = 256;

/// The attributes of a message, by name.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// An attribute that a producer attached to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, or one of them with a custom label, such as `Number.byte`.
    pub data_type: String,
    /// The value.
    pub value: AttributeValue,
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// The value of a `String` or `Number` attribute.
    Text(String),
    /// The value of a `Binary` attribute.
    Bytes(Vec<u8>),
}

impl MessageAttribute {
    /// Creates an attribute of the type `String` or `Number`, or of one of these types with a label.
    #[must_use]
    pub fn text(data_type: &str, value: &str) -> Self {
        Self { data_type: data_type.to_owned(), value: AttributeValue::Text(value.to_owned()) }
    }

    /// Creates an attribute of the type `Binary`, with or without a label.
    #[must_use]
    pub fn bytes(data_type: &str, value: &[u8]) -> Self {
        Self { data_type: data_type.to_owned(), value: AttributeValue::Bytes(value.to_owned()) }
    }
}

impl AttributeValue {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Parses the attributes of a request.
pub(crate) fn parse(attributes: Option<&Value>) -> Result<MessageAttributes, SqsError> {
    let attributes = match attributes {
        None | Some(Value::Null) => return Ok(MessageAttributes::new()),
        Some(attributes) => attributes.as_object().ok_or_else(|| refused("MessageAttributes must be an object"))?,
    };
    attributes.iter().map(|(name, attribute)| Ok((name.clone(), parse_attribute(name, attribute)?))).collect()
}

fn parse_attribute(name: &str, attribute: &Value) -> Result<MessageAttribute, SqsError> {
    let text = |member: &str| attribute[member].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let data_type = text("DataType").ok_or_else(|| refused(&format!("The attribute {name:?} has no DataType.")))?;
    let no_value = || refused(&format!("The attribute {name:?} has no value of the type {data_type}."));
    let value = if is_of_type(&data_type, "Binary") {
        let encoded = text("BinaryValue").ok_or_else(no_value)?;
        AttributeValue::Bytes(base64::decode(encoded).map_err(|_| no_value())?)
    } else {
        AttributeValue::Text(text("StringValue").ok_or_else(no_value)?)
    };
    Ok(MessageAttribute { data_type, value })
}

/// Checks attributes against the rules of the developer guide.
pub(crate) fn check(attributes: &MessageAttributes) -> Result<(), SqsError> {
    if attributes.len() > MAX_ATTRIBUTES {
        let number = attributes.len();
        return Err(refused(&format!(
            "Number of message attributes [{number}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
        )));
    }
    for (name, MessageAttribute { data_type, value }) in attributes {
        if !is_valid_name(name) {
            return Err(refused(&format!("The attribute name {name:?} is invalid.")));
        }
        let is_known = ["String", "Number", "Binary"].iter().any(|known| is_of_type(data_type, known));
        let is_binary = matches!(value, AttributeValue::Bytes(_));
        if !is_known || data_type.chars().count() > MAX_NAME_CHARS || is_of_type(data_type, "Binary") != is_binary {
            return Err(refused(&format!("The type {data_type:?} of the attribute {name:?} is invalid.")));
        }
        if value.bytes().is_empty() {
            return Err(refused(&format!("The attribute {name:?} has no value of the type {data_type}.")));
        }
        if let AttributeValue::Text(text) = value {
            if is_of_type(data_type, "Number") && !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(refused(&format!("Can't cast the value of the attribute {name:?} to a number.")));
            }
            if text.chars().any(|c| !super::is_allowed(c)) {
                let message = format!("Invalid binary character was found in the attribute {name:?}.");
                return Err(invalid("InvalidMessageContents", &message));
            }
        }
    }
    Ok(())
}

fn refused(message: &str) -> SqsError {
    invalid("InvalidParameterValue", message)
}

/// Returns true if `data_type` is the type `known`, with or without a custom label.
fn is_of_type(data_type: &str, known: &str) -> bool {
    data_type.strip_prefix(known).is_some_and(|label| label.is_empty() || (label.starts_with('.') && label.len() > 1))
}

fn is_valid_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=MAX_NAME_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// Returns the size of all names, types and values in bytes. This size counts toward the size of the message.
pub(crate) fn size(attributes: &MessageAttributes) -> usize {
    attributes.iter().map(|(name, it)| name.len() + it.data_type.len() + it.value.bytes().len()).sum()
}

/// Returns the attributes that a `ReceiveMessage` request asks for. Each element of `requested` is `All`, `.*`, a name,
/// or a prefix such as `trace.*`.
pub(crate) fn select(attributes: &MessageAttributes, requested: &[String]) -> MessageAttributes {
    let is_requested = |name: &str| {
        requested.iter().any(|requested| match requested.strip_suffix(".*") {
            Some(start) => name.starts_with(start),
            None => requested == name || requested == "All",
        })
    };
    attributes.iter().filter(|(name, _)| is_requested(name)).map(|(name, it)| (name.clone(), it.clone())).collect()
}

/// Returns the MD5 digest of the attributes, or `None` if there are none. Some SDKs verify this digest, for example the
/// SDK for Java. "Calculating the MD5 message digest for message attributes" in the developer guide describes the
/// encoding.
pub(crate) fn md5(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut encoded = Vec::new();
    let mut add = |bytes: &[u8], transport_type: Option<u8>| {
        encoded.extend(transport_type);
        let length = u32::try_from(bytes.len()).expect("a request is smaller than 4 GiB");
        encoded.extend(length.to_be_bytes());
        encoded.extend(bytes);
    };
    for (name, MessageAttribute { data_type, value }) in attributes {
        add(name.as_bytes(), None);
        add(data_type.as_bytes(), None);
        add(value.bytes(), Some(if matches!(value, AttributeValue::Bytes(_)) { 2 } else { 1 }));
    }
    Some(md5_hex(encoded))
}

/// Returns the attributes in the format of `ReceiveMessage`'s answer.
pub(crate) fn to_wire(attributes: &MessageAttributes) -> Value {
    let attribute = |it: &MessageAttribute| match &it.value {
        AttributeValue::Text(text) => json!({ "DataType": it.data_type, "StringValue": text }),
        AttributeValue::Bytes(bytes) => json!({ "DataType": it.data_type, "BinaryValue": base64::encode(bytes) }),
    };
    attributes.iter().map(|(name, it)| (name.clone(), attribute(it))).collect::<Map<_, _>>().into()
}

/// Returns the attributes in the format of the event that Lambda passes to a function.
pub(crate) fn to_lambda_event(attributes: &MessageAttributes) -> Value {
    let attribute = |it: &MessageAttribute| {
        let (member, value) = match &it.value {
            AttributeValue::Text(text) => ("stringValue", text.clone()),
            AttributeValue::Bytes(bytes) => ("binaryValue", base64::encode(bytes)),
        };
        json!({ member: value, "stringListValues": [], "binaryListValues": [], "dataType": it.data_type })
    };
    attributes.iter().map(|(name, it)| (name.clone(), attribute(it))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::{MessageAttribute, MessageAttributes, md5};

    /// The expected digests are from the tests of moto, `LocalStack` and `LavinMQ`.
    #[test]
    fn md5_is_that_of_sqs() {
        for (name, value, digest) in [
            ("timestamp", "1493147359900", "235c5c510d26fb653d073faed50ae77c"),
            ("timestamp", "1493147359901", "994258b45346a2cc3f9cbb611aa7af30"),
            ("SOME_Valid.attribute-Name", "1493147359900", "36655e7e9d7c0e8479fa3f3f42247ae7"),
        ] {
            let number = MessageAttribute::text("Number", value);
            assert_eq!(md5(&[(name.to_owned(), number)].into()).as_deref(), Some(digest), "{name} {value}");
        }
        assert_eq!(md5(&MessageAttributes::new()), None);
    }
}
