//! Generates the messages of a scenario.

use std::sync::Arc;

use claim::{Claim, Event, SourceMessage};

use super::bodies;
use super::plan::{ANY_MESSAGE_ID, Attribute, Plan, PlanError, message_bytes};
use super::zipf::Zipf;
use crate::cli::RunArgs;
use crate::scenario::{Content, Scenario};
use crate::send::refused_character;

/// Default of `--duplicates`.
const SHARE_OF_DUPLICATES: f64 = 0.5;

/// Default of `--zipf`: the exponent in Zipf's original law.
const EXPONENT: f64 = 1.0;

/// Interval of the invalid messages in the scenario `poison`: every fifth message is invalid.
const POISON_EVERY: usize = 5;

/// Number of messages of one event in the scenario `conflicts`. Two of them have one content, and the other three have
/// another.
const MESSAGES_IN_CONFLICT: u32 = 5;

/// Number of sources in the scenario `cloudevents`. Each id, except perhaps the last one, occurs in every source.
const SOURCES: u32 = 3;

/// Number of messages per event in the scenario `cloudevents`. The last event may have fewer.
const COPIES_OF_CLOUD_EVENT: u32 = 3;

/// Number of messages per event in the scenario `restamped`. The last event may have fewer.
const COPIES_OF_RESTAMPED: u32 = 5;

impl Plan {
    /// Adds `messages` messages with the scenario's content.
    pub(super) fn generate(
        &mut self,
        scenario: &Scenario,
        args: &RunArgs,
        messages: u32,
        max_bytes: usize,
    ) -> Result<(), PlanError> {
        let seed = args.seed;
        let base = &args.event_id;
        let id = |number: u32| format!("{base}-{}-{number}", scenario.name);
        match scenario.content {
            Content::File | Content::Same => {
                self.push_generated(base, &bodies::reading(base, seed))?;
                self.repeat(messages);
            }
            Content::Distinct => {
                for number in 1..=messages {
                    let id = format!("{base}-{number}");
                    self.push_generated(&id, &bodies::reading(&id, seed))?;
                }
            }
            Content::Mixed => {
                let share = args.duplicates.unwrap_or(SHARE_OF_DUPLICATES);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the value is between 0 and `messages`"
                )]
                let events = messages - (f64::from(messages) * share).floor().min(f64::from(messages - 1)) as u32;
                for number in 1..=events {
                    self.push_generated(&id(number), &bodies::reading(&id(number), seed))?;
                }
                let zipf = Zipf::new(events as usize, args.zipf.unwrap_or(EXPONENT));
                let mut random = fastrand::Rng::with_seed(seed);
                for _ in events..messages {
                    self.messages.push(self.messages[zipf.sample(&mut random)].clone());
                }
                random.shuffle(&mut self.messages);
            }
            Content::Conflicting => {
                for number in 0..messages {
                    let id = id(number / MESSAGES_IN_CONFLICT + 1);
                    let seed = if (number % MESSAGES_IN_CONFLICT).is_multiple_of(2) { seed } else { !seed };
                    self.push_generated(&id, &bodies::reading(&id, seed))?;
                }
                fastrand::Rng::with_seed(seed).shuffle(&mut self.messages);
            }
            Content::CloudEvents => {
                for number in 0..messages {
                    let event = number / COPIES_OF_CLOUD_EVENT;
                    let id = id(event / SOURCES + 1);
                    self.push_generated(&id, &bodies::cloud_event(event % SOURCES, &id, number, seed))?;
                }
                fastrand::Rng::with_seed(seed).shuffle(&mut self.messages);
            }
            Content::Restamped => {
                for number in 0..messages {
                    let id = id(number / COPIES_OF_RESTAMPED + 1);
                    self.push_generated(&id, &bodies::restamped(&id, number, seed))?;
                }
                fastrand::Rng::with_seed(seed).shuffle(&mut self.messages);
            }
            Content::Poisoned => {
                for number in 1..=messages {
                    match number as usize {
                        poisoned if poisoned.is_multiple_of(POISON_EVERY) => {
                            let body = bodies::poison(poisoned / POISON_EVERY - 1, &id(number));
                            // The dedup key `content` accepts some of these bodies.
                            match self.event(&body, &[]) {
                                Ok(event) => self.push_event(event, &body, Arc::default()),
                                Err(_) => self.push_rejected(&body, Arc::default()),
                            }
                        }
                        _ => self.push_generated(&id(number), &bodies::reading(&id(number), seed))?,
                    }
                }
            }
            Content::Sized => {
                for number in 1..=messages {
                    self.push_sized(number as usize - 1, &id(number), seed, max_bytes)?;
                }
            }
        }
        Ok(())
    }

    fn push_generated(&mut self, id: &str, body: &str) -> Result<(), PlanError> {
        let attributes = self.attributes(id)?;
        let event = self.generated_event(body, &attributes)?;
        self.push_event(event, body, attributes);
        Ok(())
    }

    fn push_sized(&mut self, number: usize, id: &str, seed: u64, max_bytes: usize) -> Result<(), PlanError> {
        let attributes = self.attributes(id)?;
        let max_bytes = max_bytes - message_bytes("", &attributes);
        let smallest = self.generated_event(&bodies::smallest(id), &attributes)?;
        // The size of a claim depends on its event id. Each id has the length of the smallest event's id.
        let is_claimable = |body: &str| is_claimable(&smallest, body);
        let body = bodies::sized(number, id, seed, max_bytes, is_claimable);
        let event = self.generated_event(&body, &attributes)?;
        if is_claimable(&body) {
            self.push_event(event, &body, attributes);
        } else {
            self.rejected_ids.push(event.id);
            self.push_rejected(&body, attributes);
        }
        Ok(())
    }

    fn generated_event(&self, body: &str, attributes: &[Attribute]) -> Result<Event, PlanError> {
        self.event(body, attributes).map_err(|error| PlanError::OtherKey(Box::new(error)))
    }

    /// Returns the attributes of a generated message. If the dedup key names an attribute, that attribute has the event
    /// id.
    fn attributes(&self, id: &str) -> Result<Arc<[Attribute]>, PlanError> {
        let Some(name) = self.rules.dedup_key().attribute() else { return Ok(Arc::default()) };
        if refused_character(id).is_some() {
            return Err(PlanError::IdInAttribute(name.to_owned()));
        }
        let attribute = Attribute { name: name.to_owned(), data_type: "String".to_owned(), value: id.to_owned() };
        Ok([attribute].into())
    }
}

fn is_claimable(event: &Event, body: &str) -> bool {
    Claim::check_size(event, &SourceMessage::new(ANY_MESSAGE_ID, body)).is_ok()
}
