//! Generates the messages of a scenario.

use claim::{Claim, Digest, Event};

use super::bodies;
use super::plan::{ANY_MESSAGE_ID, Plan};
use super::zipf::Zipf;
use crate::cli::RunArgs;
use crate::scenario::{Content, Scenario};

/// Default of `--duplicates`.
const SHARE_OF_DUPLICATES: f64 = 0.5;

/// Default of `--zipf`: the exponent in Zipf's original law.
const EXPONENT: f64 = 1.0;

/// Interval of the invalid messages in the scenario `poison`: every fifth message is not a valid event.
const POISON_EVERY: usize = 5;

/// Number of messages of one event in the scenario `conflicts`. Two of them have one content, and the other three have
/// another.
const MESSAGES_IN_CONFLICT: u32 = 5;

impl Plan {
    /// Adds `messages` messages with the scenario's content.
    pub(super) fn generate(&mut self, scenario: &Scenario, args: &RunArgs, messages: u32, max_bytes: usize) {
        let seed = args.seed;
        let base = &args.event_id;
        let id = |number: u32| format!("{base}-{}-{number}", scenario.name);
        match scenario.content {
            Content::File | Content::Same => {
                self.push_reading(base, seed);
                self.repeat(messages);
            }
            Content::Distinct => {
                for number in 1..=messages {
                    self.push_reading(&format!("{base}-{number}"), seed);
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
                    self.push_reading(&id(number), seed);
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
                    let event = number / MESSAGES_IN_CONFLICT;
                    let position = number % MESSAGES_IN_CONFLICT;
                    if position == 0 {
                        self.push_reading(&id(event + 1), seed);
                    } else {
                        let seed = if position.is_multiple_of(2) { seed } else { !seed };
                        self.push_event(self.event_ids.len() - 1, bodies::reading(&id(event + 1), seed));
                    }
                }
                fastrand::Rng::with_seed(seed).shuffle(&mut self.messages);
            }
            Content::Poisoned => {
                for number in 1..=messages {
                    match number as usize {
                        poisoned if poisoned.is_multiple_of(POISON_EVERY) => {
                            self.push_rejected(bodies::poison(poisoned / POISON_EVERY - 1, &id(number)));
                        }
                        _ => self.push_reading(&id(number), seed),
                    }
                }
            }
            Content::Sized => {
                for number in 1..=messages {
                    let body = bodies::sized(number as usize - 1, &id(number), seed, max_bytes);
                    let event = Event { id: id(number), digest: Digest::of(&body).expect("a generated event is JSON") };
                    if Claim::check_size(&event, ANY_MESSAGE_ID, &body).is_ok() {
                        self.event_ids.push(event.id);
                        self.push_event(self.event_ids.len() - 1, body);
                    } else {
                        self.rejected_ids.push(event.id);
                        self.push_rejected(body);
                    }
                }
            }
        }
    }

    fn push_reading(&mut self, event_id: &str, seed: u64) {
        self.event_ids.push(event_id.to_owned());
        self.push_event(self.event_ids.len() - 1, bodies::reading(event_id, seed));
    }
}
