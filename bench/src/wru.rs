//! The write request units of a claim, by the size of its event. The units are computed, not measured.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use claim::body::WRITE_UNIT_BYTES;
use claim::{Body, BodyTooLarge, Claim, EventRules, SourceMessage};

use bench::traffic;

pub(crate) fn units(item_bytes: usize) -> usize {
    item_bytes.div_ceil(WRITE_UNIT_BYTES)
}

pub(crate) fn claim(body: &str) -> Result<Claim, BodyTooLarge> {
    let event = EventRules::default().event(body, None).expect("the body is a valid event");
    let window = Duration::from_secs(16 * 86_400);
    let message = SourceMessage::new("059f36b4-87a3-44ab-83d2-661975830a7d", body);
    Claim::new(&event, &message, SystemTime::now(), window, &[0; 10])
}

/// Writes a table of the write request units for events of different sizes: sensor readings, and random text that
/// hardly compresses.
pub(crate) fn write(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "| event, bytes | stored plain, WRU | item as written, bytes | body | WRU |")?;
    writeln!(out, "| ---: | ---: | ---: | --- | ---: |")?;
    let id = "grid_stress_00000000";
    let sizes = [500, 1_000, 2_000, 5 * 1024, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 1024 * 1024];
    let readings = sizes.map(|bytes| traffic::sensor(id, bytes));
    let noise = [2_000, 5 * 1024, 100_000, 1024 * 1024].map(|bytes| noise(id, bytes));
    let small = [small(id), traffic::reading(id)];
    for body in small.iter().chain(&readings) {
        row(out, body, "")?;
    }
    for body in &noise {
        row(out, body, " of noise")?;
    }
    Ok(())
}

fn row(out: &mut impl Write, body: &str, what: &str) -> io::Result<()> {
    let mut as_plain = claim(r#"{"event_id":"grid_stress_00000000"}"#).expect("the body is small");
    as_plain.body = Body::Plain(body.to_owned());
    let plain = match as_plain.item_bytes() {
        bytes if bytes > claim::record::MAX_ITEM_BYTES => "does not fit".to_owned(),
        bytes => units(bytes).to_string(),
    };
    let bytes = body.len();
    match claim(body) {
        Ok(claim) => {
            let form = if matches!(claim.body, Body::Zstd(_)) { "zstd" } else { "plain" };
            let item_bytes = claim.item_bytes();
            writeln!(out, "| {bytes}{what} | {plain} | {item_bytes} | {form} | {} |", units(item_bytes))
        }
        Err(BodyTooLarge::Item { item_bytes }) => {
            writeln!(out, "| {bytes}{what} | {plain} | {item_bytes} | rejected | 0 |")
        }
        Err(too_large @ BodyTooLarge::Body { .. }) => writeln!(out, "| {bytes}{what} | {too_large} | | rejected | 0 |"),
    }
}

fn small(id: &str) -> String {
    let head = format!(
        r#"{{"event_id":"{id}","sensor":"substation-0417","voltage_kv":400.123,"timestamp":"2026-11-25T09:41:07.123Z","note":""#
    );
    format!("{head}{}\"}}", &"grid stress ".repeat(20)[..200 - head.len() - 2])
}

/// Returns an event with random letters and digits, similar to the base64 text of encrypted data.
fn noise(id: &str, bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(1);
    let head = format!(r#"{{"event_id":"{id}","payload":""#);
    let noise: String = (0..bytes - head.len() - 2).map(|_| random.alphanumeric()).collect();
    format!("{head}{noise}\"}}")
}
