//! One read for all that ask for the same at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// What is read together: whoever asks has the answer to a read that began after that, his own or
/// that of another.
#[derive(Debug)]
pub(crate) struct Together<T> {
    begun: AtomicU64,
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Together<T> {
    fn default() -> Self {
        Self {
            begun: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }
}

impl<T: Clone> Together<T> {
    /// The answer to a read that begins from now on. One is under way at a time; those who wait for
    /// it have the answer to the next.
    ///
    /// # Errors
    /// That of `read`, which no other caller is told.
    pub(crate) async fn read<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let asked = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if let Some((began, value)) = &*last
            && *began > asked
        {
            return Ok(value.clone());
        }
        let began = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let value = read.await?;
        *last = Some((began, value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn those_that_wait_share_the_next_read_and_nobody_has_an_earlier_one() {
        let together = Together::default();
        let reads = Cell::new(0);
        let read = async || {
            reads.set(reads.get() + 1);
            let own = reads.get();
            yield_now().await;
            Ok::<_, Infallible>(own)
        };
        let ask = async || together.read(read()).await.unwrap();
        // The first reads at once, the others ask while it does, and share the next.
        let answers = join_all((0..5).map(|_| ask())).await;
        assert_eq!(answers, [1, 2, 2, 2, 2]);
        assert_eq!(ask().await, 3);
    }

    #[tokio::test]
    async fn what_fails_fails_for_one_alone() {
        let together = Together::default();
        let failing = together.read(async { Err::<u8, _>("cut") });
        assert_eq!(failing.await, Err("cut"));
        assert_eq!(together.read(async { Ok::<_, &str>(7) }).await, Ok(7));
    }
}
