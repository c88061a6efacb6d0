//! What a batch asks for: which messages are events, which of them lead, and which follow.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use aws_lambda_events::sqs::SqsMessage;
use batch::deliberate_fault;
use batch::fence::fenced;
use batch::{Deadline, error_chain};
use claim::{Claim, Digest, Event, EventIdPointer};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A batch, sorted out.
#[derive(Default)]
pub(crate) struct Plan {
    /// In the order of their leaders.
    pub(crate) groups: Vec<Group>,
    /// Can never be claimed.
    pub(crate) rejected: Vec<Rejected>,
    /// Ids of the messages that there was no time to read.
    pub(crate) unread: Vec<Option<String>>,
}

/// All messages of one event in a batch.
pub(crate) struct Group {
    /// The first acceptable one, which alone is written.
    pub(crate) leader: Leader,
    /// The others, which are judged by the claim that the leader's write, or the cache, confirms.
    pub(crate) followers: Vec<Follower>,
}

pub(crate) struct Leader {
    pub(crate) message_id: String,
    pub(crate) event: Event,
    pub(crate) body: String,
}

pub(crate) struct Follower {
    pub(crate) message_id: String,
    pub(crate) digest: Digest,
}

/// A message that is no event, and why.
pub(crate) struct Rejected {
    /// None if the record does not even say which message it is.
    pub(crate) message_id: Option<String>,
    pub(crate) event_id: Option<String>,
    pub(crate) reason: String,
}

impl Plan {
    /// Reads each record by itself; what goes wrong with one, a panic included, rejects that one. A rejected message
    /// never leads.
    pub(crate) fn of(records: Vec<Box<RawValue>>, pointer: &EventIdPointer, deadline: Deadline) -> Self {
        let mut plan = Self::default();
        let mut group_of: HashMap<String, usize> = HashMap::new();
        for record in records {
            if deadline.is_reached() {
                plan.unread.push(message_id(&record));
                continue;
            }
            let read = fenced(|| Leader::read(&record, pointer)).unwrap_or_else(|panic| {
                Err(Rejected { message_id: message_id(&record), event_id: None, reason: panic.to_string() })
            });
            match read {
                Err(rejected) => plan.rejected.push(rejected),
                Ok(message) => match group_of.entry(message.event.id.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(plan.groups.len());
                        plan.groups.push(Group { leader: message, followers: Vec::new() });
                    }
                    Entry::Occupied(group) => {
                        let Leader { message_id, event, .. } = message;
                        plan.groups[*group.get()].followers.push(Follower { message_id, digest: event.digest });
                    }
                },
            }
        }
        plan
    }
}

impl Leader {
    fn read(record: &RawValue, pointer: &EventIdPointer) -> Result<Self, Rejected> {
        let reject = |event_id, reason| Rejected { message_id: message_id(record), event_id, reason };
        let message: SqsMessage = serde_json::from_str(record.get())
            .map_err(|error| reject(None, format!("the record is not an SQS message: {error}")))?;
        let Some(message_id) = message.message_id.filter(|id| !id.is_empty()) else {
            return Err(reject(None, "the record has no messageId".to_owned()));
        };
        let body = message.body.unwrap_or_default();
        let event = Event::parse(&body, pointer).map_err(|error| reject(None, error_chain(&error)))?;
        deliberate_fault::trap("plan", &event.id);
        Claim::check_size(&event, &message_id, &body)
            .map_err(|error| reject(Some(event.id.clone()), error_chain(&error)))?;
        Ok(Self { message_id, event, body })
    }
}

/// The id of a message that cannot be read otherwise: without it, the message cannot be reported by itself.
fn message_id(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct OnlyId {
        #[serde(rename = "messageId")]
        message_id: String,
    }
    serde_json::from_str::<OnlyId>(record.get()).ok().map(|only| only.message_id).filter(|id| !id.is_empty())
}
