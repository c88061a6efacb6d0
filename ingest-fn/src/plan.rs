//! Decodes the messages of a batch and groups them by event.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use claim::{BodyTooLarge, Claim, Digest, Event, EventError, EventRules, MessageAttribute, SourceMessage, TraceId};
use lambda_support::panic_guard::{Panicked, catch_panic};
use lambda_support::{Deadline, logs};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The messages of a batch, grouped by event.
#[derive(Default)]
pub(crate) struct Plan {
    /// Groups in the order in which their leaders appear in the batch.
    pub(crate) groups: Vec<Group>,
    /// Messages that cannot claim an event, even if they are redelivered.
    pub(crate) rejected: Vec<Rejection>,
    /// Messages that the function could not read before the deadline; `None` for a record without a message id.
    pub(crate) unread: Vec<Option<Message>>,
}

/// All messages of one event in a batch.
pub(crate) struct Group {
    /// The first valid message. Its id and its body become part of the claim.
    pub(crate) leader: Leader,
    /// The other messages. Their bodies are compared with the claim that holds the event.
    pub(crate) followers: Vec<Follower>,
}

/// The fields of a message that the log and the response need.
pub(crate) struct Message {
    pub(crate) id: String,
    /// Time at which the message was sent, in RFC 3339; `None` if SQS does not state it.
    pub(crate) sent_at: Option<Box<str>>,
    pub(crate) trace_id: Option<TraceId>,
    /// Number of receives so far, this one included; `None` if SQS does not state it.
    pub(crate) receive_count: Option<u32>,
}

pub(crate) struct Leader {
    pub(crate) message: Message,
    pub(crate) event: Event,
    pub(crate) body: String,
}

pub(crate) struct Follower {
    pub(crate) message: Message,
    pub(crate) digest: Digest,
    /// The body, if its digest differs from the leader's. The log line of a conflict lists the differences, so it needs
    /// this body.
    pub(crate) other_body: Option<String>,
}

/// A message that cannot claim an event, even if it is redelivered.
pub(crate) struct Rejection {
    /// `None` if the record has no message id.
    pub(crate) message: Option<Message>,
    pub(crate) event_id: Option<String>,
    pub(crate) error: MessageError,
}

/// The reason why a message cannot claim an event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("the record is not an SQS message")]
    NotSqsMessage(#[source] serde_json::Error),
    #[error("the record has no messageId")]
    NoMessageId,
    /// Boxed because it is large.
    #[error(transparent)]
    NotAnEvent(Box<EventError>),
    #[error(transparent)]
    TooLarge(#[from] BodyTooLarge),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Group {
    /// Returns all messages of the event.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        std::iter::once(&self.leader.message).chain(self.followers.iter().map(|follower| &follower.message))
    }
}

impl Plan {
    /// Decodes each record separately. An error or a panic in one record rejects only that record. A rejected message never
    /// becomes the leader of a group.
    pub(crate) fn build(records: Vec<Box<RawValue>>, rules: &EventRules, deadline: Deadline) -> Self {
        let mut plan = Self::default();
        let mut group_of: HashMap<String, usize> = HashMap::new();
        for record in records {
            if deadline.is_reached() {
                plan.unread.push(Message::read(&record));
                continue;
            }
            let read = catch_panic(|| Leader::read(&record, rules)).unwrap_or_else(|panic| {
                Err(Rejection { message: Message::read(&record), event_id: None, error: panic.into() })
            });
            match read {
                Err(rejection) => plan.rejected.push(rejection),
                Ok(leader) => match group_of.entry(leader.event.id.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(plan.groups.len());
                        plan.groups.push(Group { leader, followers: Vec::new() });
                    }
                    Entry::Occupied(group) => {
                        let group = &mut plan.groups[*group.get()];
                        let Leader { message, event: Event { digest, .. }, body } = leader;
                        let other_body = (digest != group.leader.event.digest).then_some(body);
                        group.followers.push(Follower { message, digest, other_body });
                    }
                },
            }
        }
        plan
    }
}

/// The fields of a record that the function needs. All other fields are ignored, so they cannot cause a rejection.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "messageId")]
    message_id: Option<String>,
    body: Option<String>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
    #[serde(borrow, rename = "messageAttributes")]
    message_attributes: Option<&'a RawValue>,
}

impl Leader {
    fn read(record: &RawValue, rules: &EventRules) -> Result<Self, Rejection> {
        let Record { message_id, body, attributes, message_attributes } =
            serde_json::from_str(record.get()).map_err(|error| Rejection {
                message: Message::read(record),
                event_id: None,
                error: MessageError::NotSqsMessage(error),
            })?;
        let message_attributes = MessageAttributes(message_attributes);
        let Some(message) = Message::new(message_id, attributes, message_attributes) else {
            return Err(Rejection { message: None, event_id: None, error: MessageError::NoMessageId });
        };
        let body = body.unwrap_or_default();
        let key = rules.dedup_key().attribute().and_then(|name| message_attributes.get(name));
        let event = match rules.event(&body, key.as_ref().map(Attribute::as_key)) {
            Ok(event) => event,
            Err(error) => {
                let error = MessageError::NotAnEvent(Box::new(error));
                return Err(Rejection { message: Some(message), event_id: None, error });
            }
        };
        let leader = Self { message, event, body };
        match Claim::check_size(&leader.event, &leader.source()) {
            Ok(()) => Ok(leader),
            Err(error) => {
                let Self { message, event, .. } = leader;
                Err(Rejection { message: Some(message), event_id: Some(event.id), error: error.into() })
            }
        }
    }

    /// Returns the message in the form that its claim needs.
    pub(crate) fn source(&self) -> SourceMessage<'_> {
        let Message { id, trace_id, .. } = &self.message;
        SourceMessage { id, trace_id: trace_id.as_ref(), body: &self.body }
    }
}

/// The message attributes of a record, as unparsed JSON.
#[derive(Clone, Copy)]
struct MessageAttributes<'a>(Option<&'a RawValue>);

/// One message attribute, as Lambda delivers it.
#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "dataType")]
    data_type: String,
    #[serde(rename = "stringValue")]
    string_value: Option<String>,
}

impl MessageAttributes<'_> {
    /// Returns an attribute; `None` if the message does not have it, or if the record is malformed.
    fn get(self, name: &str) -> Option<Attribute> {
        let text = self.0?.get();
        // Most messages have no attributes. This check saves the map.
        if text == "{}" {
            return None;
        }
        let attributes: HashMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        serde_json::from_str(attributes.get(name)?.get()).ok()
    }
}

impl Attribute {
    fn as_key(&self) -> MessageAttribute<'_> {
        MessageAttribute { data_type: &self.data_type, string_value: self.string_value.as_deref() }
    }
}

impl Message {
    /// Returns `None` if the id is missing or empty, because the response can name a message only by its id. The system
    /// attributes in `attributes` may be malformed, because the outcome of the message does not depend on them.
    fn new(
        id: Option<String>,
        attributes: Option<&RawValue>,
        message_attributes: MessageAttributes<'_>,
    ) -> Option<Self> {
        #[derive(Deserialize, Default)]
        struct Attributes {
            /// Epoch milliseconds.
            #[serde(rename = "SentTimestamp")]
            sent: Option<String>,
            #[serde(rename = "AWSTraceHeader")]
            xray_header: Option<String>,
            #[serde(rename = "ApproximateReceiveCount")]
            receive_count: Option<String>,
        }
        let id = id.filter(|id| !id.is_empty())?;
        let attributes = attributes.and_then(|text| serde_json::from_str::<Attributes>(text.get()).ok());
        let Attributes { sent, xray_header, receive_count } = attributes.unwrap_or_default();
        let sent_at = sent.and_then(|sent| logs::rfc3339_from_ms(&sent)).map(String::into_boxed_str);
        let from_traceparent = || {
            let traceparent = message_attributes.get("traceparent")?.string_value?;
            TraceId::from_traceparent(&traceparent)
        };
        let trace_id = xray_header.and_then(|header| TraceId::from_xray_header(&header)).or_else(from_traceparent);
        let receive_count = receive_count.and_then(|count| count.parse().ok());
        Some(Self { id, sent_at, trace_id, receive_count })
    }

    /// Reads the id and the attributes of a record, even if its other fields are malformed.
    fn read(record: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct NoBody<'a> {
            #[serde(rename = "messageId")]
            message_id: Option<String>,
            #[serde(borrow)]
            attributes: Option<&'a RawValue>,
            #[serde(borrow, rename = "messageAttributes")]
            message_attributes: Option<&'a RawValue>,
        }
        let NoBody { message_id, attributes, message_attributes } = serde_json::from_str(record.get()).ok()?;
        Self::new(message_id, attributes, MessageAttributes(message_attributes))
    }
}
