//! Messages, and what each of them means. A body is made from its meaning, so that nobody has to read it to know.

use emulator::sqs::MAX_MESSAGE_BYTES;
use fastrand::Rng;

/// Longest event id, in bytes: a partition key's 2,048 less `EVENT#`.
const MAX_EVENT_ID_BYTES: usize = 2_042;

/// How deep a body may be nested.
const MAX_NESTING: usize = 128;

/// What a producer sends.
#[derive(Clone, Debug)]
pub struct Message {
    /// As sent.
    pub body: String,
    /// What it says.
    pub meaning: Meaning,
}

/// What a body says.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// An event.
    Event {
        /// Two bodies with the same id are about the same event.
        id: String,
        /// Two bodies of one event with the same number say the same, however they are written.
        content: u64,
        /// The body without white space between its tokens.
        line: String,
    },
    /// Nothing that may be archived: it belongs into the dead-letter queue.
    NoEvent,
}

/// What kind of messages a world has.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// How many different events there are at the most.
    pub events: usize,
    /// How many different things are said of one event.
    pub contents: u64,
    /// Of a hundred messages, how many are no events.
    pub poison_percent: u64,
    /// Whether one message is about as large as can be.
    pub large: bool,
}

impl Mix {
    /// A herd, distinct events, or few events that collide.
    #[must_use]
    pub fn by(random: &mut Rng, messages: usize) -> Self {
        let events = match random.u8(..4) {
            0 => 1,
            1 => messages,
            _ => random.usize(2..6),
        };
        Self {
            events,
            contents: if random.bool() { 1 } else { random.u64(2..4) },
            poison_percent: [0, 0, 5, 20][random.usize(..4)],
            large: random.u8(..12) == 0,
        }
    }
}

/// So many messages. `pointer` is where the event id stands: `/event_id`, or `/detail/id`.
#[must_use]
pub fn messages(random: &mut Rng, count: usize, mix: Mix, pointer: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count)
        .map(|_| {
            if random.u64(..100) < mix.poison_percent {
                return Message { body: poison(random), meaning: Meaning::NoEvent };
            }
            let id = random_id(random.usize(..mix.events));
            event(random, id, mix.contents, pointer, "")
        })
        .collect();
    if mix.large && !messages.is_empty() {
        let at = random.usize(..count);
        messages[at] = large(random, pointer);
    }
    messages
}

/// A message that has nothing special about it, and an event of its own.
#[must_use]
pub fn plain(id: &str, pointer: &str) -> Message {
    event(&mut Rng::with_seed(0), id.to_owned(), 1, pointer, "")
}

/// The n-th event's id. The first ones are such as make trouble.
fn random_id(n: usize) -> String {
    match n {
        1 => "7".to_owned(),
        2 => "a \"quoted\"\\ id\n".to_owned(),
        3 => "é\u{1F600}\u{0}".to_owned(),
        4 => "x".repeat(MAX_EVENT_ID_BYTES),
        _ => format!("event-{n}"),
    }
}

/// A body about an event, written in one of several ways that say the same.
fn event(random: &mut Rng, id: String, contents: u64, pointer: &str, padding: &str) -> Message {
    let content = random.u64(..contents);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // An integer is the same id as its text, though a body with the one does not say the same as a body with the other.
    let is_integer = id == "7" && random.bool();
    let id_json = if is_integer { id.clone() } else { quoted(&id) };
    let (id_name, id_value) = match pointer {
        "/detail/id" => ("\"detail\"", format!("{{\"id\":{id_json}}}")),
        _ => ("\"event_id\"", id_json),
    };
    let number_name = if random.bool() { "\"n\"" } else { "\"\\u006e\"" };
    let mut members = vec![
        (id_name, id_value),
        (number_name, format!("1{content}.50E+2")),
        ("\"text\"", quoted(" { \"not\" : white space } ")),
        ("\"list\"", "[null,true,{},[]]".to_owned()),
    ];
    if !padding.is_empty() {
        members.push(("\"padding\"", quoted(padding)));
    }
    random.shuffle(&mut members);
    let spaced = random.bool();
    let body = |between: &str| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{between}{name}{between}:{between}{value}{between}")).collect();
        format!("{between}{{{}}}{between}", members.join(","))
    };
    let line = body("");
    let body = if spaced { body("\r\n\t ") } else { line.clone() };
    // What is padded differently says something else.
    let content = content + 500 * u64::from(is_integer) + 1_000 * u64::try_from(padding.len()).unwrap_or(u64::MAX);
    Message { body, meaning: Meaning::Event { id, content, line } }
}

/// As large as a message can be, or as a claim can be, or larger.
fn large(random: &mut Rng, pointer: &str) -> Message {
    let id = "large".to_owned();
    let letters = |random: &mut Rng, length| (0..length).map(|_| random.alphanumeric()).collect::<String>();
    match random.u8(..3) {
        // Compresses to nothing.
        0 => {
            let without = event(&mut Rng::with_seed(0), id.clone(), 1, pointer, "x").body.len();
            event(&mut Rng::with_seed(0), id, 1, pointer, &"x".repeat(MAX_MESSAGE_BYTES - without + 1))
        }
        // Six bits a letter: compresses to three quarters, which fits into an item of 400 KiB.
        1 => {
            let padding = letters(random, 450 * 1024);
            event(random, id, 1, pointer, &padding)
        }
        // And this does not.
        _ => {
            let padding = letters(random, 700 * 1024);
            let Message { body, .. } = event(random, id, 1, pointer, &padding);
            Message { body, meaning: Meaning::NoEvent }
        }
    }
}

/// A body that is no event.
fn poison(random: &mut Rng) -> String {
    let nested = |depth| format!("{{\"event_id\":\"deep\",\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let too_long = "x".repeat(MAX_EVENT_ID_BYTES + 1);
    match random.u8(..14) {
        0 => "not json".to_owned(),
        1 => r#"{"event_id":"a","event_id":"b","detail":{"id":"a","id":"b"}}"#.to_owned(),
        2 => r#"{"event_id":"\ud800","detail":{"id":"\ud800"}}"#.to_owned(),
        3 => nested(MAX_NESTING),
        4 => r#"{"other":1}"#.to_owned(),
        5 => r#"{"event_id":null,"detail":{"id":null}}"#.to_owned(),
        6 => r#"{"event_id":"","detail":{"id":""}}"#.to_owned(),
        7 => r#"{"event_id":1.0,"detail":{"id":1.0}}"#.to_owned(),
        8 => r#"{"event_id":{},"detail":{"id":[]}}"#.to_owned(),
        9 => format!(r#"{{"event_id":"{too_long}","detail":{{"id":"{too_long}"}}}}"#),
        10 => "[]".to_owned(),
        11 => r#"{"event_id":"a","detail":{"id":"a"}} {}"#.to_owned(),
        12 => r#"{"event_id":true,"detail":{"id":false}}"#.to_owned(),
        _ => r#"[{"event_id":"a","detail":{"id":"a"}}]"#.to_owned(),
    }
}
