//! What is sent.

mod bodies;
mod file;

use std::sync::Arc;

use claim::{Claim, Digest, Event, EventIdPointer};
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand_distr::{Distribution as _, Zipf};

use crate::cli::{MOST_BODY_BYTES, MOST_MESSAGES, RunArgs};
use crate::scenario::{Content, Name, Scenario};

/// An id of an SQS message, of the length that all have: a claim's size depends on it.
const ANY_MESSAGE_ID: &str = "00000000-0000-0000-0000-000000000000";

/// Where the mock readings have their event id.
const MOCK_POINTER: &str = "/event_id";

/// Of a scenario that mixes.
const SHARE_OF_DUPLICATES: f64 = 0.5;

/// Zipf's law as Zipf found it.
const EXPONENT: f64 = 1.0;

/// Every so many messages of a poisoned scenario, one is no event.
const POISON_EVERY: usize = 5;

/// Messages of one event in a scenario of conflicts: every second of them says something else than the others.
const MESSAGES_IN_CONFLICT: u32 = 5;

/// What a run sends: bodies in their order, and the events that they are of.
pub struct Plan {
    /// One for each message. Copies share their text.
    pub messages: Vec<Message>,
    /// Ids of the events, each once.
    pub event_ids: Vec<String>,
    /// By event: indices into `messages`.
    pub messages_of: Vec<Vec<usize>>,
    /// Ids that stand in messages that are to be rejected.
    pub rejected_ids: Vec<String>,
}

/// A message to send.
#[derive(Clone)]
pub struct Message {
    /// Index into [`Plan::event_ids`]; `None` if `ingest-fn` must reject it, so that it ends as a dead letter.
    pub event: Option<usize>,
    /// Of the body, if that is an event that can be claimed.
    pub digest: Option<Digest>,
    /// As it is sent.
    pub body: Arc<str>,
}

/// Why there is nothing to send.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// Its path.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// Lines of the file are no events. Nothing is sent.
    #[error("{file} has lines that are no events, and nothing was sent: {lines}")]
    BadLines {
        /// Its path.
        file: String,
        /// Their numbers, and what is wrong with them.
        lines: String,
    },
    /// The run would be larger than the producer's memory is good for.
    #[error("{0} messages are more than the {MOST_MESSAGES} that one run sends")]
    TooMany(u64),
    /// The same, by their bodies.
    #[error("{messages} bodies of up to {bytes} bytes are more than the {MOST_BODY_BYTES} bytes that one run makes up: no more than {} will do", MOST_BODY_BYTES / bytes)]
    BodiesTooLarge {
        /// How many there would be.
        messages: u32,
        /// Of the largest.
        bytes: u64,
    },
    /// The file would be.
    #[error("{file} has {bytes} bytes, which are more than the {MOST_BODY_BYTES} that one run sends")]
    FileTooLarge {
        /// Its path.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// The stack looks for the event id where the mock readings have none.
    #[error("the stack looks for the event id at `{0}`, and the mock readings have theirs at `/event_id`: give --file")]
    OtherPointer(String),
    /// The scenario has no such thing.
    #[error("--{0} is of scenarios that mix events, and {1} does not")]
    MixesNothing(&'static str, Name),
    /// For how long, but not how fast.
    #[error("--duration needs --rate: {0} sends as fast as it can")]
    NoRate(Name),
    /// The file has no event.
    #[error("{0} has no events")]
    Empty(String),
}

impl Plan {
    /// What the command line asks for. `pointer` says where the events of a file have their id, and `max_bytes` is the largest
    /// message that the queue takes.
    ///
    /// # Errors
    /// When the file cannot be used, or the command line asks for what the scenario has not.
    pub fn new(args: &RunArgs, pointer: &EventIdPointer, max_bytes: usize) -> Result<Self, PlanError> {
        let scenario = Scenario::chosen(args);
        for (flag, is_given) in [("duplicates", args.duplicates.is_some()), ("zipf", args.zipf.is_some())] {
            if is_given && scenario.content != Content::Mixed {
                return Err(PlanError::MixesNothing(flag, scenario.name));
            }
        }
        // A reading that `ingest-fn` would reject is not sent.
        if scenario.content != Content::File && pointer.to_string() != MOCK_POINTER {
            return Err(PlanError::OtherPointer(pointer.to_string()));
        }
        let messages = match (args.duration, args.rate.or(scenario.rate)) {
            (Some(_), None) => return Err(PlanError::NoRate(scenario.name)),
            (Some(duration), Some(rate)) => duration.as_secs() * u64::from(rate),
            (None, rate) => match (args.messages, rate, scenario.rate) {
                (Some(messages), ..) => messages.into(),
                // Another rate is kept up for as long.
                (None, Some(rate), Some(of_scenario)) => {
                    u64::from(scenario.messages) * u64::from(rate) / u64::from(of_scenario)
                }
                (None, ..) => scenario.messages.into(),
            },
        };
        let within = |messages: u64| match u32::try_from(messages) {
            Ok(number) if number <= MOST_MESSAGES => Ok(number),
            _ => Err(PlanError::TooMany(messages)),
        };
        within(messages.saturating_mul(args.copies.into()))?;
        let messages = within(messages)?;
        let body_bytes = match scenario.content {
            Content::Sized => max_bytes,
            // More than a reading's fields have beside its id.
            _ => args.event_id.len() + 256,
        } as u64;
        let has_many_bodies = ![Content::File, Content::Same].contains(&scenario.content);
        if has_many_bodies && u64::from(messages) * body_bytes > MOST_BODY_BYTES {
            return Err(PlanError::BodiesTooLarge { messages, bytes: body_bytes });
        }

        let mut plan =
            Self { messages: Vec::new(), event_ids: Vec::new(), messages_of: Vec::new(), rejected_ids: Vec::new() };
        match &args.file {
            Some(file) => plan.read(&file.display().to_string(), pointer, max_bytes)?,
            None => plan.make_up(scenario, args, messages, max_bytes),
        }
        within(plan.messages.len() as u64 * u64::from(args.copies))?;
        plan.repeat(args.copies);
        if args.copies > 1 {
            fastrand::Rng::with_seed(args.seed).shuffle(&mut plan.messages);
        }
        plan.messages_of = vec![Vec::new(); plan.event_ids.len()];
        for (index, message) in plan.messages.iter().enumerate() {
            if let Some(event) = message.event {
                plan.messages_of[event].push(index);
            }
        }
        Ok(plan)
    }

    fn make_up(&mut self, scenario: &Scenario, args: &RunArgs, messages: u32, max_bytes: usize) {
        let (seed, base) = (args.seed, &args.event_id);
        let id = |number: u32| format!("{base}-{}-{number}", scenario.name);
        let shuffle = |messages: &mut [Message]| fastrand::Rng::with_seed(seed).shuffle(messages);
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
                    reason = "it is from 0 to `messages`"
                )]
                let events = messages - (f64::from(messages) * share).floor().min(f64::from(messages - 1)) as u32;
                for number in 1..=events {
                    self.push_reading(&id(number), seed);
                }
                let law = Zipf::new(f64::from(events), args.zipf.unwrap_or(EXPONENT)).expect("one event, or more");
                let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
                for _ in events..messages {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank, from 1 on")]
                    let rank = law.sample(&mut random) as usize;
                    self.messages.push(self.messages[rank - 1].clone());
                }
                shuffle(&mut self.messages);
            }
            Content::Conflicting => {
                for number in 0..messages {
                    let (event, of_event) = (number / MESSAGES_IN_CONFLICT, number % MESSAGES_IN_CONFLICT);
                    if of_event == 0 {
                        self.push_reading(&id(event + 1), seed);
                    } else {
                        let seed = if of_event.is_multiple_of(2) { seed } else { !seed };
                        self.push_event(self.event_ids.len() - 1, bodies::reading(&id(event + 1), seed));
                    }
                }
                shuffle(&mut self.messages);
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
                    let event = Event { id: id(number), digest: Digest::of(&body).expect("a made-up event is JSON") };
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

    fn repeat(&mut self, times: u32) {
        self.messages = self.messages.iter().flat_map(|message| (0..times).map(|_| message.clone())).collect();
    }

    fn push_reading(&mut self, event_id: &str, seed: u64) {
        self.event_ids.push(event_id.to_owned());
        self.push_event(self.event_ids.len() - 1, bodies::reading(event_id, seed));
    }

    fn push_event(&mut self, event: usize, body: String) {
        let digest = Digest::of(&body).expect("a made-up event is JSON");
        self.messages.push(Message { event: Some(event), digest: Some(digest), body: body.into() });
    }

    fn push_rejected(&mut self, body: String) {
        self.messages.push(Message { event: None, digest: None, body: body.into() });
    }
}
