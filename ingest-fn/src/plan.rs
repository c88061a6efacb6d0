//! Decodes the messages of a batch and groups them by event.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use claim::{BodyTooLarge, Claim, Digest, Event, EventError, EventIdPointer};
use lambda_support::panic_guard::{Panicked, catch_panic};
use lambda_support::{Deadline, logs};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The messages of a batch, grouped by event.
#[derive(Default)]
pub(crate) struct Plan {
    /// Groups in the order in which their leaders appear in the batch.
    pub(crate) groups: Vec<Group>,
    /// Messages that can never be claimed.
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
    pub(crate) sent_at: Option<String>,
}

pub(crate) struct Leader {
    pub(crate) message: Message,
    pub(crate) event: Event,
    pub(crate) body: String,
}

pub(crate) struct Follower {
    pub(crate) message: Message,
    pub(crate) digest: Digest,
}

/// A message that can never be claimed.
pub(crate) struct Rejection {
    /// `None` if the record has no message id.
    pub(crate) message: Option<Message>,
    pub(crate) event_id: Option<String>,
    pub(crate) error: MessageError,
}

/// The reason why a message can never be claimed.
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

impl Plan {
    /// Decodes each record separately. An error or a panic in one record rejects only that record. A rejected message never
    /// becomes the leader of a group.
    pub(crate) fn build(records: Vec<Box<RawValue>>, pointer: &EventIdPointer, deadline: Deadline) -> Self {
        let mut plan = Self::default();
        let mut group_of: HashMap<String, usize> = HashMap::new();
        for record in records {
            if deadline.is_reached() {
                plan.unread.push(Message::read(&record));
                continue;
            }
            let read = catch_panic(|| Leader::read(&record, pointer)).unwrap_or_else(|panic| {
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
                        let Leader { message, event, .. } = leader;
                        plan.groups[*group.get()].followers.push(Follower { message, digest: event.digest });
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
}

impl Leader {
    fn read(record: &RawValue, pointer: &EventIdPointer) -> Result<Self, Rejection> {
        let Record { message_id, body, attributes } = serde_json::from_str(record.get()).map_err(|error| {
            Rejection { message: Message::read(record), event_id: None, error: MessageError::NotSqsMessage(error) }
        })?;
        let Some(message) = Message::new(message_id, attributes) else {
            return Err(Rejection { message: None, event_id: None, error: MessageError::NoMessageId });
        };
        let body = body.unwrap_or_default();
        let event = match Event::parse(&body, pointer) {
            Ok(event) => event,
            Err(error) => {
                let error = MessageError::NotAnEvent(Box::new(error));
                return Err(Rejection { message: Some(message), event_id: None, error });
            }
        };
        match Claim::check_size(&event, &message.id, &body) {
            Ok(()) => Ok(Self { message, event, body }),
            Err(error) => Err(Rejection { message: Some(message), event_id: Some(event.id), error: error.into() }),
        }
    }
}

impl Message {
    /// Returns `None` if the id is missing or empty, because the response can name a message only by its id. `attributes`
    /// may be malformed, because only the log uses them.
    fn new(id: Option<String>, attributes: Option<&RawValue>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Attributes {
            /// Epoch milliseconds.
            #[serde(rename = "SentTimestamp")]
            sent: String,
        }
        let id = id.filter(|id| !id.is_empty())?;
        let attributes = attributes.and_then(|text| serde_json::from_str::<Attributes>(text.get()).ok());
        Some(Self { id, sent_at: attributes.and_then(|attributes| logs::rfc3339_from_ms(&attributes.sent)) })
    }

    /// Reads the id and the attributes of a record, even if its other fields are malformed.
    fn read(record: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct NoBody<'a> {
            #[serde(rename = "messageId")]
            message_id: Option<String>,
            #[serde(borrow)]
            attributes: Option<&'a RawValue>,
        }
        let NoBody { message_id, attributes } = serde_json::from_str(record.get()).ok()?;
        Self::new(message_id, attributes)
    }
}
