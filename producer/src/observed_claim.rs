//! The part of a claim that the verdict needs.

use chrono::{DateTime, SecondsFormat, Utc};
use claim::{Body, Claim, Digest, EventRules, Layout};
use uuid::Uuid;

use crate::message_id::MessageId;
use crate::send::SendResults;

/// A claim as the verdict needs it. A run may have a million claims, so this type leaves out what can be derived from the
/// plan and the sends: the event id, the winning message's id, and its body.
#[derive(Clone, Debug)]
pub struct ObservedClaim {
    pub claim_id: Uuid,
    pub claimed_at: DateTime<Utc>,
    /// The digest in the form that can be compared with those of the run's messages; `None` if the claim's body cannot be
    /// read.
    pub digest: Option<Digest>,
    pub layout: Layout,
    pub winner: Winner,
}

/// The message that won a claim.
#[derive(Clone, Debug)]
pub enum Winner {
    /// A confirmed message of this run, by its index in [`Plan::messages`](crate::events::Plan::messages).
    Confirmed(usize),
    /// A message that another run sent, or whose send was not confirmed.
    Unknown(Box<UnknownWinner>),
}

/// The id and the body of a winning message that is not a confirmed message of this run, as the claim has them.
#[derive(Clone, Debug)]
pub struct UnknownWinner {
    pub message_id: MessageId,
    pub body: Body,
}

impl ObservedClaim {
    #[must_use]
    pub fn new(claim: Claim, rules: &EventRules, sent: &SendResults) -> Self {
        let digest = claim.comparable_digest(rules).ok();
        let Claim { claim_id, claimed_at, layout, message_id, body, .. } = claim;
        let message_id = MessageId::from(message_id.as_str());
        let winner = match sent.confirmed.get(&message_id) {
            Some(&index) => Winner::Confirmed(index),
            None => Winner::Unknown(Box::new(UnknownWinner { message_id, body })),
        };
        Self { claim_id, claimed_at, digest, layout, winner }
    }

    /// Returns the winning message's index in [`Plan::messages`](crate::events::Plan::messages); `None` if it is not a
    /// confirmed message of this run.
    #[must_use]
    pub fn confirmed_winner(&self) -> Option<usize> {
        match &self.winner {
            Winner::Confirmed(index) => Some(*index),
            Winner::Unknown(_) => None,
        }
    }

    /// Returns the id of the winning message.
    pub(crate) fn message_id<'a>(&'a self, sent: &'a SendResults) -> Option<&'a MessageId> {
        match &self.winner {
            Winner::Confirmed(index) => sent.message_ids[*index].as_ref(),
            Winner::Unknown(winner) => Some(&winner.message_id),
        }
    }

    /// Returns `claimed_at` as the claim stores it.
    pub(crate) fn claimed_at_text(&self) -> String {
        self.claimed_at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}
