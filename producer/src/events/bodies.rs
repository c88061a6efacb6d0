//! The bodies that are made up. Each follows from an event id and the seed alone.

use claim::{Claim, Digest, Event};

use super::plan::ANY_MESSAGE_ID;

/// A grid stress reading as ENTSO-E's transparency platform might publish it. A second run sends duplicates and no conflicts.
pub(super) fn reading(event_id: &str, seed: u64) -> String {
    let quoted = quoted(event_id);
    let mut random = random(event_id, seed);
    let sensor = random.u32(1..=400);
    let millivolts = random.u32(380_000..=420_000);
    let at = chrono::DateTime::from_timestamp(1_767_225_600 + random.i64(0..31_536_000), 0).expect("a time in 2026");
    format!(
        r#"{{"event_id":{quoted},"source":"ENTSO-E","sensor":"substation-{sensor:03}","voltage":{}.{:03},"unit":"kV","timestamp":"{}"}}"#,
        millivolts / 1_000,
        millivolts % 1_000,
        at.format("%Y-%m-%dT%H:%M:%SZ"),
    )
}

/// How many kinds of [`poison`] there are.
pub(super) const POISONS: usize = 10;

/// A body that is no event, of the kind that `number` says. `name` stands in it, so that each is another.
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

/// How many kinds of [`sized`] there are.
pub(super) const SIZES: usize = 5;

/// An event of the size that `number` says, where the queue takes `max_bytes`.
pub(super) fn sized(number: usize, event_id: &str, seed: u64, max_bytes: usize) -> String {
    let of_queue = Filled::new(event_id, seed, max_bytes);
    match number % SIZES {
        0 => format!(r#"{{"event_id":{}}}"#, quoted(event_id)),
        // Compressed, it is small.
        1 => Filled { filling: "400.125 ".repeat(max_bytes / 8 + 1), ..of_queue }.body(max_bytes),
        2 => of_queue.body(of_queue.largest_claimable(max_bytes)),
        3 => of_queue.body((of_queue.largest_claimable(max_bytes) + 1).min(max_bytes)),
        _ => of_queue.body(max_bytes),
    }
}

/// An event around a text that can be cut to any length.
struct Filled {
    event_id: String,
    start: String,
    filling: String,
}

impl Filled {
    const END: &str = r#""}"#;

    /// Around a text of 64 letters at random: compression takes a quarter off it.
    fn new(event_id: &str, seed: u64, max_bytes: usize) -> Self {
        let start = format!(r#"{{"event_id":{},"readings":""#, quoted(event_id));
        let mut random = random(event_id, seed);
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let filling = (0..max_bytes).map(|_| char::from(letters[random.usize(..letters.len())])).collect();
        Self { event_id: event_id.to_owned(), start, filling }
    }

    fn body(&self, bytes: usize) -> String {
        let filling = bytes.saturating_sub(self.start.len() + Self::END.len());
        [&self.start, &self.filling[..filling], Self::END].concat()
    }

    /// The largest size, up to `max_bytes`, of which one byte more would not fit into an item.
    fn largest_claimable(&self, max_bytes: usize) -> usize {
        let digest = Digest::of("null").expect("it is JSON");
        let event = Event { id: self.event_id.clone(), digest };
        let fits = |bytes| Claim::check_size(&event, ANY_MESSAGE_ID, &self.body(bytes)).is_ok();
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
    let hash = u64::from_be_bytes(*digest.as_bytes()[1..].first_chunk().expect("a digest is longer than 8 bytes"));
    fastrand::Rng::with_seed(hash ^ seed)
}

#[cfg(test)]
mod tests {
    use claim::EventIdPointer;

    use super::*;

    #[test]
    fn no_poison_is_an_event() {
        let pointer = EventIdPointer::parse("/event_id").unwrap();
        for number in 0..POISONS {
            let body = poison(number, "a");
            assert!(Event::parse(&body, &pointer).is_err(), "{body}");
        }
    }

    #[test]
    fn a_sized_body_is_as_large_as_the_queue_takes_or_an_item_holds_or_one_byte_more() {
        let pointer = EventIdPointer::parse("/event_id").unwrap();
        let is_claimable = |body: &str| {
            let event = Event::parse(body, &pointer).unwrap();
            Claim::check_size(&event, ANY_MESSAGE_ID, body).is_ok()
        };
        let embedded: Vec<String> = (0..SIZES).map(|number| sized(number, "a", 7, 1024 * 1024)).collect();
        assert_eq!(embedded[0], r#"{"event_id":"a"}"#);
        assert_eq!([embedded[1].len(), embedded[4].len()], [1024 * 1024; 2]);
        assert_eq!(embedded[3].len(), embedded[2].len() + 1);
        let claimable: Vec<bool> = embedded.iter().map(|body| is_claimable(body)).collect();
        assert_eq!(claimable, [true, true, true, false, false]);
        // Where the queue takes less than an item holds, all of them can be claimed.
        for number in 0..SIZES {
            let body = sized(number, "a", 7, 256 * 1024);
            assert!(body.len() <= 256 * 1024 && is_claimable(&body), "{number}");
        }
    }
}
