//! Finds the most that fits.

/// The first of `rungs` (from the most to the least) that `make` can make, searched for by halves after the first one:
/// nearly every message fits as it is. `None` when none was found; the last rung is tried before that.
///
/// # Errors
/// The first of `make`.
pub(super) fn first<R: Copy, T, E>(
    rungs: &[R],
    mut make: impl FnMut(R) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let mut best = None;
    let (mut low, mut high) = (0, rungs.len());
    let mut at = 0;
    while low < high {
        let Some(rung) = rungs.get(at) else { break };
        match make(*rung)? {
            Some(made) => {
                best = Some(made);
                high = at;
            }
            None => low = at + 1,
        }
        at = low + (high - low) / 2;
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_that_can_be_made() {
        for from in 0..=40_usize {
            let rungs: Vec<usize> = (0..40).collect();
            let mut tries = 0;
            let found = first(&rungs, |rung| {
                tries += 1;
                Ok::<_, ()>((rung >= from).then_some(rung))
            });
            assert_eq!(found, Ok((from < 40).then_some(from)));
            assert!(tries <= 7, "{tries} for {from}");
        }
        assert_eq!(first(&[] as &[u8], |_| Ok::<_, ()>(Some(1))), Ok(None));
        assert_eq!(first(&[1, 2], |_| Err::<Option<u8>, _>("broken")), Err("broken"));
    }
}
