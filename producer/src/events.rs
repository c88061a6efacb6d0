//! Plans the messages of a run.

mod bodies;
mod file;
mod generated;
mod plan;
mod zipf;

use std::collections::HashMap;

use claim::EventRules;

use crate::cli::{MAX_BODY_BYTES, MAX_MESSAGES, RunArgs};
use crate::scenario::{Content, Scenario};

/// Assumed size of a line in a file of events, in bytes.
const LINE_BYTES: u64 = 250;

pub use plan::{Attribute, Message, NamedEvent, Plan, PlanError};

impl Plan {
    /// Plans the messages that the command line and the scenario ask for. `rules` determine the event id and the digest
    /// of each message, and `max_bytes` is the size of the largest message that the queue accepts.
    pub fn new(scenario: &Scenario, args: &RunArgs, rules: &EventRules, max_bytes: usize) -> Result<Self, PlanError> {
        for (flag, is_given) in [("duplicates", args.duplicates.is_some()), ("zipf", args.zipf.is_some())] {
            if is_given && scenario.content != Content::Mixed {
                return Err(PlanError::NotMixed(flag, scenario.name));
            }
        }
        let messages = message_count(scenario, args)?;
        let check_count = |messages: u64| match u32::try_from(messages) {
            Ok(number) if number <= MAX_MESSAGES => Ok(number),
            _ => Err(PlanError::TooMany(messages)),
        };
        check_count(messages.saturating_mul(args.copies.into()))?;
        let messages = check_count(messages)?;
        let body_bytes = match scenario.content {
            Content::Sized => max_bytes,
            Content::CloudEvents | Content::Restamped => args.event_id.len() + 768,
            // Any other generated body has fewer than 256 bytes in addition to its event id.
            _ => args.event_id.len() + 256,
        } as u64;
        let has_many_bodies = ![Content::File, Content::Same].contains(&scenario.content);
        if has_many_bodies && u64::from(messages) * body_bytes > MAX_BODY_BYTES {
            return Err(PlanError::BodiesTooLarge { messages, bytes: body_bytes });
        }

        let mut plan = Self {
            rules: rules.clone(),
            messages: Vec::new(),
            event_ids: Vec::new(),
            messages_of: Vec::new(),
            rejected_ids: Vec::new(),
            events_by_id: Vec::new(),
            index_of_id: HashMap::new(),
        };
        match &args.file {
            Some(file) => plan.read_file(file, max_bytes)?,
            None => plan.generate(scenario, args, messages, max_bytes)?,
        }
        plan.index_of_id = HashMap::new();
        plan.events_by_id = (0..plan.event_ids.len()).collect();
        plan.events_by_id.sort_unstable_by_key(|&event| &plan.event_ids[event]);
        check_count(plan.messages.len() as u64 * u64::from(args.copies))?;
        if args.copies > 1 {
            plan.repeat(args.copies);
            fastrand::Rng::with_seed(args.seed).shuffle(&mut plan.messages);
        }
        plan.messages_of = vec![Vec::new(); plan.event_ids.len()];
        for (index, message) in plan.messages.iter().enumerate() {
            if let Some(event) = message.event {
                match &mut plan.messages_of[event] {
                    // `push` would allocate space for four indices.
                    empty if empty.is_empty() => *empty = vec![index],
                    indices => indices.push(index),
                }
            }
        }
        plan.messages.shrink_to_fit();
        plan.event_ids.shrink_to_fit();
        Ok(plan)
    }
}

/// Estimates how many messages a run sends, without their copies. Returns 0 if planning will fail.
pub(crate) fn about_how_many(scenario: &Scenario, args: &RunArgs) -> u64 {
    match &args.file {
        Some(file) => std::fs::metadata(file).map_or(0, |file| file.len() / LINE_BYTES),
        None => message_count(scenario, args).unwrap_or_default(),
    }
}

/// Returns the number of messages that the command line asks for, or the scenario's default.
fn message_count(scenario: &Scenario, args: &RunArgs) -> Result<u64, PlanError> {
    match (args.duration, args.rate.or(scenario.rate)) {
        (Some(_), None) => Err(PlanError::NoRate(scenario.name)),
        (Some(duration), Some(rate)) => Ok(duration.as_secs() * u64::from(rate)),
        (None, rate) => Ok(match (args.messages, rate, scenario.rate) {
            (Some(messages), ..) => messages.into(),
            // `--rate` alone replaces the scenario's rate and keeps its duration, so the number of messages changes.
            (None, Some(rate), Some(scenario_rate)) => {
                u64::from(scenario.messages) * u64::from(rate) / u64::from(scenario_rate)
            }
            (None, ..) => scenario.messages.into(),
        }),
    }
}
