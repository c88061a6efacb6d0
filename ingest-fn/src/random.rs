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
