//! Randomness for claim ids.

/// Gives the ten random bytes of each claim id.
pub type Random = Box<dyn Fn() -> [u8; 10] + Send + Sync>;

/// From the operating system.
#[must_use]
pub fn os_random() -> Random {
    Box::new(|| {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    })
}
