//! Random bytes for claim ids.

/// Returns the ten random bytes of a claim id.
pub type Random = Box<dyn Fn() -> [u8; 10] + Send + Sync>;

/// Returns a source of random bytes from the operating system.
#[must_use]
pub fn os_random() -> Random {
    Box::new(|| {
        let mut bytes = [0; 10];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    })
}
