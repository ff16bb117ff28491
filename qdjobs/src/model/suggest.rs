//! The word that was probably meant: for messages that end in "did you mean".
//!
//! Leans on strsim for the distance. The macro has the same few lines: a crate of macros can share nothing else.

use strsim::osa_distance;

use crate::model::job::NAME_BYTES_MAX;

/// The candidate that differs from `word` by a slip of the keyboard, if there is one.
pub(crate) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No name is so long, and the distance costs the product of the lengths.
    if word.len() > 2 * NAME_BYTES_MAX {
        return None;
    }
    let reach = (word.len() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(word, candidate), candidate))
        // A distance as long as the candidate would make any short word "near".
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let names = ["send_email", "cleanup"];
        assert_eq!(suggest("send_mail", names), Some("send_email"));
        assert_eq!(suggest("claenup", names), Some("cleanup"));
        assert_eq!(suggest("resize_image", names), None);
    }
}
