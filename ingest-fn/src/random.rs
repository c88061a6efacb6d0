//! Random bytes for claim ids.

/// A function that returns the ten random bytes of a new claim id.
pub type Random = Box<dyn Fn() -> [u8; 10] + Send + Sync>;

/// Returns a function that takes the bytes from the operating system's random number generator.
#[must_use]
pub fn os_random() -> Random {
    Box::new(|| {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, SystemTime};

    use claim::{Claim, EventRules, SourceMessage};

    use super::*;

    /// The claim ids of a process never repeat, even if its clock stands still or goes back.
    #[test]
    fn claim_ids_never_repeat() {
        let random = os_random();
        let body = r#"{"event_id":"a"}"#;
        let event = EventRules::default().event(body, None).unwrap();
        let mut ids = HashSet::new();
        for back_ms in [0, 1, 0, 3_600_000, 0] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 - back_ms);
            for _ in 0..10_000 {
                let message = SourceMessage::new("m", body);
                ids.insert(Claim::new(&event, &message, now, Duration::ZERO, &random()).unwrap().claim_id);
            }
        }
        assert_eq!(ids.len(), 50_000);
    }
}
