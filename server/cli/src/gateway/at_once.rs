//! The same request for many gateways, several of them under way at a time.

use tokio::task::JoinSet;

use crate::context::Context;
use crate::error::CliError;

/// Requests that are under way at the same time.
const AT_ONCE: usize = 64;

/// Asks for each of `items`, and gives what came of each in their order; `None`: it was interrupted
/// before it was asked for. The server answers those that arrive together by one commit of its
/// audit log. What an interrupt finds under way comes to its end, for it has changed something by
/// then.
///
/// # Errors
/// [`CliError::Runtime`].
pub(super) async fn each<I, T, F>(
    context: &Context,
    items: impl IntoIterator<Item = I>,
    ask: impl Fn(I) -> F,
) -> Result<Vec<Option<T>>, CliError>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
    let mut items = items.into_iter().enumerate();
    let mut answers = Vec::new();
    let mut under_way = JoinSet::new();
    let mut interrupted = false;
    loop {
        while under_way.len() < AT_ONCE
            && let Some((place, item)) = items.next()
        {
            answers.push(None);
            if !interrupted {
                let asked = ask(item);
                under_way.spawn(async move { (place, asked.await) });
            }
        }
        let joined = tokio::select! {
            biased;
            joined = under_way.join_next() => joined,
            () = interrupts.next(), if !interrupted => {
                interrupted = true;
                continue;
            }
        };
        let Some(joined) = joined else { break };
        let (place, came) = joined.map_err(|error| CliError::Runtime(error.into()))?;
        if let Some(answer) = answers.get_mut(place) {
            *answer = Some(came);
        }
    }
    Ok(answers)
}
