//! Finds the name for "did you mean ..." in run-time errors: [`suggest`].
//!
//! The suggestions of the compiler are in `qdjobs-macros/src/diagnostics.rs`. That file has the same lines,
//! since a macro crate exports nothing but macros.
//!
//! Depends on strsim for the distance of two words.

use strsim::osa_distance;

use crate::model::job::NAME_BYTES_MAX;

/// The candidate that differs from `word` by a typing error, if there is one.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is that long. The cost of the distance is the product of the two lengths.
    if word.len() > 2 * NAME_BYTES_MAX {
        return None;
    }
    let reach = (word.len() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        // A distance of the candidate's own length would match any short word.
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name_and_another_word_finds_none() {
        let names = ["send_email", "cleanup"];
        assert_eq!(suggest("send_mail", names), Some("send_email"));
        assert_eq!(suggest("claenup", names), Some("cleanup"));
        assert_eq!(suggest("resize_image", names), None);
    }
}
