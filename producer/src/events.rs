//! What is sent.

mod bodies;
mod file;
mod made_up;
mod plan;
mod zipf;

use claim::EventIdPointer;

use crate::cli::{MOST_BODY_BYTES, MOST_MESSAGES, RunArgs};
use crate::scenario::{Content, Scenario};

pub use plan::{Message, Plan, PlanError};

/// Where the mock readings have their event id.
const MOCK_POINTER: &str = "/event_id";

impl Plan {
    /// Plans what the command line asks for. `pointer` says where the events of a file have their id, and `max_bytes` is the largest
    /// message that the queue takes.
    ///
    /// # Errors
    /// When the file cannot be used, or the command line asks for what the scenario has not.
    pub fn new(
        scenario: &Scenario,
        args: &RunArgs,
        pointer: &EventIdPointer,
        max_bytes: usize,
    ) -> Result<Self, PlanError> {
        for (flag, is_given) in [("duplicates", args.duplicates.is_some()), ("zipf", args.zipf.is_some())] {
            if is_given && scenario.content != Content::Mixed {
                return Err(PlanError::MixesNothing(flag, scenario.name));
            }
        }
        // A reading that `ingest-fn` would reject is not sent.
        if scenario.content != Content::File && pointer.to_string() != MOCK_POINTER {
            return Err(PlanError::OtherPointer(pointer.to_string()));
        }
        let messages = message_count(scenario, args)?;
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
}

/// Counts the messages that the command line asks for, else the scenario.
fn message_count(scenario: &Scenario, args: &RunArgs) -> Result<u64, PlanError> {
    match (args.duration, args.rate.or(scenario.rate)) {
        (Some(_), None) => Err(PlanError::NoRate(scenario.name)),
        (Some(duration), Some(rate)) => Ok(duration.as_secs() * u64::from(rate)),
        (None, rate) => Ok(match (args.messages, rate, scenario.rate) {
            (Some(messages), ..) => messages.into(),
            // Another rate is kept up for as long.
            (None, Some(rate), Some(of_scenario)) => {
                u64::from(scenario.messages) * u64::from(rate) / u64::from(of_scenario)
            }
            (None, ..) => scenario.messages.into(),
        }),
    }
}
