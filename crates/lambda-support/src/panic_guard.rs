//! Turns a panic into an error, so that only the record that caused the panic fails.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

/// The error for a caught panic. If the panicking code shares state with the caller, it may have left that state half
/// changed. The caller must ensure that the state is still usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the function panicked: {0}")]
pub struct Panicked(String);

impl Panicked {
    fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        Self(text.unwrap_or("no message").to_owned())
    }
}

/// Runs `work` and turns a panic into an error.
///
/// # Errors
/// Fails if `work` panics.
pub fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::from_payload(&*payload))
}

/// Runs the future `work` and turns a panic into an error.
///
/// # Errors
/// Fails if `work` panics.
pub async fn catch_panic_async<F: Future>(work: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked::from_payload(&*payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panic_becomes_error_with_its_message() {
        assert_eq!(catch_panic(|| panic!("seven")), Err::<(), _>(Panicked("seven".into())));
        let number = 7;
        assert_eq!(catch_panic_async(async { panic!("{number}") }).await, Err::<(), _>(Panicked("7".into())));
        assert_eq!(catch_panic(|| 7), Ok(7));
    }
}
