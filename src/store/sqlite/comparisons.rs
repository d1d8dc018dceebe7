//! Departures compared with the org's own records of them (ConversationParticipant).

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::store::{Comparison, StoredSupervision};

use super::failed;
use super::rows::{
    Answer, all, count, first, get, millis, moment, optional_moment, run, select_stored, skip_unreadable, stored,
};

/// A [`select_stored`] with the number of legs that the contact has had.
macro_rules! select_with_legs {
    ($rest:literal, $from:literal) => {
        select_stored!(
            $rest,
            ", (SELECT COUNT(*) FROM supervisions o
                WHERE o.contact_id = s.contact_id COLLATE NOCASE AND +o.instance = s.instance AND +o.leg_id IS NOT NULL) AS legs_of_contact",
            $from
        )
    };
}

/// See [`DeliveryStore::due_comparisons`](sidedoor_domain::ports::store::DeliveryStore::due_comparisons). The two kinds are two
/// statements, because each is answered by an index of its own.
pub(super) fn due(
    db: &Connection,
    since: Timestamp,
    until: Timestamp,
    again: Timestamp,
    limit: u32,
) -> Answer<Vec<(StoredSupervision, u32)>> {
    let snapshot = db.unchecked_transaction().map_err(failed)?;
    let with_legs = |row: &Row<'_>| {
        let read = || Ok((stored(row)?, count(row, "legs_of_contact")?));
        Ok(skip_unreadable(row, read()))
    };
    let mut found = all(
        &snapshot,
        select_with_legs!(
            "WHERE s.ended_at > ? AND s.ended_at <= ? AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED' AND NOT EXISTS (SELECT 1 FROM comparisons c WHERE c.supervision_id = s.id)
         ORDER BY s.ended_at LIMIT ?",
            "supervisions s LEFT JOIN deliveries d ON d.supervision_id = s.id "
        ),
        params![millis(since), millis(until), limit],
        with_legs,
    )?;
    let room = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
    // `looked_at > since` excludes nothing, because a departure is compared after it ended; it bounds what the index reads.
    found.extend(all(
        &snapshot,
        select_with_legs!(
            "WHERE c.left_at IS NULL AND c.looked_at > ?1 AND c.looked_at <= ?3
           AND +s.ended_at > ?1 AND +s.ended_at <= ?2 AND +s.state = 'LEFT' AND s.voice_call_id IS NOT NULL
           AND +d.state = 'RECORDED'
         ORDER BY c.looked_at LIMIT ?4",
            "comparisons c JOIN supervisions s ON s.id = c.supervision_id JOIN deliveries d ON d.supervision_id = s.id "
        ),
        params![millis(since), millis(until), millis(again), room],
        with_legs,
    )?);
    snapshot.commit().map_err(failed)?;
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn write(db: &Connection, c: &Comparison) -> Answer<()> {
    run(
        db,
        // The sweep may have removed the supervision meanwhile; a comparison without one could never be read.
        "INSERT OR REPLACE INTO comparisons (supervision_id, looked_at, participant_id, left_at, ours_at, inside)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM supervisions WHERE id = ?1)",
        params![
            c.supervision.to_string(),
            millis(c.looked_at),
            c.participant_id,
            c.left_at.map(millis),
            millis(c.ours_at),
            c.inside
        ],
    )
    .map(|_| ())
}

pub(super) fn of(db: &Connection, id: SupervisionId) -> Answer<Option<Comparison>> {
    first(
        db,
        "SELECT looked_at, participant_id, left_at, ours_at, inside FROM comparisons WHERE supervision_id = ?",
        [id.to_string()],
        |row| {
            Ok(Comparison {
                supervision: id,
                looked_at: moment(row, "looked_at")?,
                participant_id: get(row, "participant_id")?,
                left_at: optional_moment(row, "left_at")?,
                ours_at: moment(row, "ours_at")?,
                inside: get(row, "inside")?,
            })
        },
    )
}
