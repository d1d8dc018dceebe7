//! Answers that leave the supervisor out, and the successors that events name.

use super::*;
use crate::test_support::*;

/// It is not documented whether GetCurrentUserData lists users without contacts.
#[test]
fn answer_without_the_user_counts_only_for_a_leg_that_is_not_found() {
    let mut s = monitoring();
    let unlisted = answer(Source::UserData, Finding::Unlisted, at(30));
    s.note_answer(&unlisted, &[], AGE);
    assert_eq!(s.watch.absences, 0);
    for second in [40, 200, 341] {
        s.note_answer(
            &answer(Source::DescribeContact, Finding::NotFound, at(second)),
            &[],
            AGE,
        );
        s.note_answer(&answer(Source::UserData, Finding::Unlisted, at(second)), &[], AGE);
    }
    assert_eq!(s.watch.absences, 3);
    assert!(!s.is_missing(at(339)) && s.is_missing(at(340)));
}

#[test]
fn successors_are_kept_once_and_up_to_four() {
    let mut s = monitoring();
    let named = |name: String| ContactId::parse(name).expect("an id");
    let noted: Vec<bool> = [1, 1, 2, 3, 4, 5, 1]
        .map(|n| s.note_successor_claim(&named(format!("contact-{n}"))))
        .to_vec();
    assert_eq!(noted, [true, false, true, true, true, false, false]);
    assert_eq!(s.watch.successors_claimed.len(), 4);
}
