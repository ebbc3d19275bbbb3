//! What stands in its order for certain.

/// For each of these, which were in ascending order once: whether it is in every longest ascending row of them. One
/// that is not may be what was damaged, and is doubtful.
pub(crate) fn certain<T>(items: &[T], is_before: impl Fn(&T, &T) -> bool) -> Vec<bool> {
    let up = longest(items.len(), |a, b| is_before(&items[a], &items[b]));
    let last = items.len().saturating_sub(1);
    // From behind, with all turned round.
    let down = longest(items.len(), |a, b| is_before(&items[last - b], &items[last - a]));
    let length = up.iter().copied().max().unwrap_or(0);
    let is_in_one = |i: usize| up[i] + down[last - i] == length + 1;
    let mut rivals = vec![0; length + 1];
    (0..items.len()).filter(|i| is_in_one(*i)).for_each(|i| rivals[up[i]] += 1);
    (0..items.len()).map(|i| is_in_one(i) && rivals[up[i]] == 1).collect()
}

/// How long the longest ascending row is that ends at each.
fn longest(n: usize, is_before: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    // The least last one of all rows of each length.
    let mut lasts: Vec<usize> = Vec::new();
    (0..n)
        .map(|i| {
            let at = lasts.partition_point(|last| is_before(*last, i));
            match lasts.get_mut(at) {
                Some(last) => *last = i,
                None => lasts.push(i),
            }
            at + 1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::certain;

    fn left(items: &[i32]) -> Vec<i32> {
        let is_certain = certain(items, |a, b| a < b);
        items.iter().zip(is_certain).filter(|(_, is_certain)| *is_certain).map(|(item, _)| *item).collect()
    }

    #[test]
    fn what_is_out_of_order_is_left_out_and_all_that_may_be_it() {
        assert!(left(&[]).is_empty());
        assert_eq!(left(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(left(&[1, 2, 900, 4, 5]), [1, 2, 4, 5]);
        assert_eq!(left(&[7, 8, -9, 10]), [7, 8, 10]);
        // Either may be wrong.
        assert_eq!(left(&[1, 2, 5, 4, 6]), [1, 2, 6]);
        assert_eq!(left(&[1, 2, 2, 4]), [1, 4]);
        assert!(left(&[2, 1]).is_empty());
    }
}
