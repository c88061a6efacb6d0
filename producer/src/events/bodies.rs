//! Generates message bodies. The same arguments always give the same body.

use claim::Digest;

/// Returns a grid stress reading in the style of ENTSO-E's transparency platform. The same event id and seed give the same
/// reading, so that a second run sends duplicates and not conflicts.
pub(super) fn reading(event_id: &str, seed: u64) -> String {
    let quoted = quoted(event_id);
    let mut random = random(event_id, seed);
    let sensor = random.u32(1..=400);
    let millivolts = random.u32(380_000..=420_000);
    let at =
        chrono::DateTime::from_timestamp(1_767_225_600 + random.i64(0..31_536_000), 0).expect("the time is in 2026");
    format!(
        r#"{{"event_id":{quoted},"source":"ENTSO-E","sensor":"substation-{sensor:03}","voltage":{}.{:03},"unit":"kV","timestamp":"{}"}}"#,
        millivolts / 1_000,
        millivolts % 1_000,
        at.format("%Y-%m-%dT%H:%M:%SZ"),
    )
}

/// Returns a CloudEvent in structured mode. Copies of an event differ only in `time` and `traceparent`, as if a
/// transport had stamped each message.
pub(super) fn cloud_event(source: u32, event_id: &str, copy: u32, seed: u64) -> String {
    let source = ["urn:grid:north", "urn:grid:south", "urn:grid:west"][source as usize % 3];
    let id = quoted(event_id);
    let time = stamp(copy);
    let data = reading(&format!("{source}/{event_id}"), seed);
    let trace = trace_id(event_id, copy, seed);
    format!(
        r#"{{"specversion":"1.0","id":{id},"source":"{source}","type":"org.example.grid.stress","time":"{time}","traceparent":"00-{trace}-{:016x}-01","datacontenttype":"application/json","data":{data}}}"#,
        u64::from(copy) + 1,
    )
}

/// Returns a [`reading`] with additional members that a producer sets on every attempt to send it. Copies of an event
/// differ only in these members.
pub(super) fn restamped(event_id: &str, copy: u32, seed: u64) -> String {
    let reading = reading(event_id, seed);
    let reading = reading.strip_suffix('}').expect("a reading is an object");
    let sent_at = stamp(copy);
    let trace = trace_id(event_id, copy, seed);
    let attempt = copy + 1;
    format!(r#"{reading},"sent_at":"{sent_at}","attempt":{attempt},"trace":{{"id":"{trace}","sampled":true}}}}"#)
}

/// Returns a time that is different for each copy of a message.
fn stamp(copy: u32) -> String {
    let at = chrono::DateTime::from_timestamp(1_798_761_600 + i64::from(copy), 0).expect("the time is after 2026");
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the id of a W3C trace that is different for each copy of a message.
fn trace_id(event_id: &str, copy: u32, seed: u64) -> String {
    format!("{:024x}{copy:08x}", random(event_id, seed).u128(1..1 << 96))
}

/// Number of kinds of body that [`poison`] returns.
pub(super) const POISONS: usize = 10;

/// Returns a body that is not a valid event. `number` selects its kind, and `name` makes it unique.
pub(super) fn poison(number: usize, name: &str) -> String {
    let name = quoted(name);
    match number % POISONS {
        0 => format!("no JSON: {name}"),
        1 => format!(r#"{{"event_id":{name},"voltage":40"#),
        2 => format!(r#"{{"id":{name},"voltage":400.125}}"#),
        3 => format!(r#"{{"event_id":null,"name":{name}}}"#),
        4 => format!(r#"{{"event_id":{{"name":{name}}}}}"#),
        5 => format!(r#"{{"event_id":"","name":{name}}}"#),
        6 => format!(r#"{{"event_id":{name},"event_id":{name}}}"#),
        7 => format!(r#"{{"event_id":{name},"unit":"\ud800"}}"#),
        8 => format!(r#"{{"event_id":{name},"deep":{}{}}}"#, "[".repeat(200), "]".repeat(200)),
        _ => format!(r#"{{"event_id":"{}","name":{name}}}"#, "x".repeat(claim::key::MAX_EVENT_ID_BYTES + 1)),
    }
}

/// Number of kinds of body that [`sized`] returns.
pub(super) const SIZES: usize = 5;

/// Returns an event whose size is at a limit, for a queue that accepts bodies of up to `max_bytes`. `number` selects one of
/// five bodies:
///
/// 0. The smallest event.
/// 1. An event of `max_bytes` that compresses well.
/// 2. The largest event of random text that can be claimed.
/// 3. An event of random text that is one byte larger.
/// 4. An event of `max_bytes` with random text.
///
/// If every body that the queue accepts can be claimed, the last three bodies are the same. `is_claimable` returns true if a
/// body fits into an item of the table.
pub(super) fn sized(
    number: usize,
    event_id: &str,
    seed: u64,
    max_bytes: usize,
    is_claimable: impl Fn(&str) -> bool,
) -> String {
    let padded = PaddedEvent::new(event_id, seed, max_bytes);
    match number % SIZES {
        0 => smallest(event_id),
        // Repeated text compresses so well that the event can be claimed.
        1 => PaddedEvent { padding: "400.125 ".repeat(max_bytes / 8 + 1), ..padded }.body(max_bytes),
        2 => padded.body(padded.largest_claimable(max_bytes, is_claimable)),
        3 => padded.body((padded.largest_claimable(max_bytes, is_claimable) + 1).min(max_bytes)),
        _ => padded.body(max_bytes),
    }
}

/// Returns the smallest event with this id.
pub(super) fn smallest(event_id: &str) -> String {
    format!(r#"{{"event_id":{}}}"#, quoted(event_id))
}

/// An event that can be padded with text to any size.
struct PaddedEvent {
    start: String,
    padding: String,
}

impl PaddedEvent {
    const END: &str = r#""}"#;

    /// Creates an event that is padded with random characters. Only 64 different characters occur, so compression shortens
    /// the text by about a quarter.
    fn new(event_id: &str, seed: u64, max_bytes: usize) -> Self {
        let start = format!(r#"{{"event_id":{},"readings":""#, quoted(event_id));
        let mut random = random(event_id, seed);
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let padding = (0..max_bytes).map(|_| char::from(letters[random.usize(..letters.len())])).collect();
        Self { start, padding }
    }

    fn body(&self, bytes: usize) -> String {
        let padding_bytes = bytes.saturating_sub(self.start.len() + Self::END.len());
        [&self.start, &self.padding[..padding_bytes], Self::END].concat()
    }

    /// Returns the size in bytes of the largest body, up to `max_bytes`, that fits into an item of the table.
    fn largest_claimable(&self, max_bytes: usize, is_claimable: impl Fn(&str) -> bool) -> usize {
        let fits = |bytes| is_claimable(&self.body(bytes));
        if fits(max_bytes) {
            return max_bytes;
        }
        let mut fitting = self.start.len() + Self::END.len();
        let mut too_large = max_bytes;
        while too_large - fitting > 1 {
            let middle = usize::midpoint(fitting, too_large);
            if fits(middle) { fitting = middle } else { too_large = middle }
        }
        fitting
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn random(event_id: &str, seed: u64) -> fastrand::Rng {
    let digest = Digest::of(&quoted(event_id)).expect("a string is JSON");
    let hash = u64::from_be_bytes(*digest.to_bytes()[1..].first_chunk().expect("a digest is longer than 8 bytes"));
    fastrand::Rng::with_seed(hash ^ seed)
}

#[cfg(test)]
mod tests {
    use claim::{Claim, ConflictIgnore, DedupKey, EventRules, SourceMessage};

    use super::*;
    use crate::events::plan::ANY_MESSAGE_ID;
    use crate::scenario::Scenario;

    fn rules_of(scenario: &str) -> EventRules {
        let rules = Scenario::named(scenario).unwrap().rules.unwrap();
        let key = DedupKey::parse(rules.dedup_key).unwrap();
        let ignore = ConflictIgnore::parse(rules.conflict_ignore, &key).unwrap();
        EventRules::new(key, ignore)
    }

    /// Copies of an event have different bodies, but the same digest. The same id from another source is a different
    /// event.
    #[test]
    fn copies_differ_only_in_ignored_members() {
        let body = |source, copy| cloud_event(source, "a", copy, 7);
        let rules = rules_of("cloudevents");
        let event = |source, copy| rules.event(&body(source, copy), None).unwrap();
        assert!(body(0, 1) != body(0, 2) && event(0, 1) == event(0, 2));
        assert!(event(0, 1).id != event(1, 1).id && event(0, 1).digest != event(1, 1).digest);
        assert_eq!(event(0, 1).id, r#"["urn:grid:north","a"]"#);
        let body = |copy| restamped("a", copy, 7);
        let rules = rules_of("restamped");
        assert_eq!(rules.event(&body(1), None).unwrap(), rules.event(&body(2), None).unwrap());
        let differences = EventRules::default().differences(&body(1), &body(2)).unwrap();
        assert_eq!(differences, ["/attempt", "/sent_at", "/trace/id"]);
    }

    #[test]
    fn poison_is_never_a_valid_event() {
        let rules = EventRules::default();
        for number in 0..POISONS {
            let body = poison(number, "a");
            assert!(rules.event(&body, None).is_err(), "{body}");
        }
    }

    /// The bodies include the largest one that can be claimed and, if the queue accepts it, one that is a byte larger.
    #[test]
    fn sized_bodies_hit_the_limits() {
        let rules = EventRules::default();
        let is_claimable = |body: &str| {
            let event = rules.event(body, None).unwrap();
            Claim::check_size(&event, &SourceMessage::new(ANY_MESSAGE_ID, body)).is_ok()
        };
        let embedded: Vec<String> = (0..SIZES).map(|number| sized(number, "a", 7, 1024 * 1024, is_claimable)).collect();
        assert_eq!(embedded[0], r#"{"event_id":"a"}"#);
        assert_eq!([embedded[1].len(), embedded[4].len()], [1024 * 1024; 2]);
        assert_eq!(embedded[3].len(), embedded[2].len() + 1);
        let claimable: Vec<bool> = embedded.iter().map(|body| is_claimable(body)).collect();
        assert_eq!(claimable, [true, true, true, false, false]);
        // If the largest message that the queue accepts fits into an item, every body can be claimed.
        for number in 0..SIZES {
            let body = sized(number, "a", 7, 256 * 1024, is_claimable);
            let expected = if number == 0 { embedded[0].len() } else { 256 * 1024 };
            assert!(body.len() == expected && is_claimable(&body), "{number}");
        }
    }
}
