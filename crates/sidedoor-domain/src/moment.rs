//! Conversion between times of the domain and moments of the calibrator, which counts integers and knows no calendar.

use clock_calibration::Moment;
use jiff::Timestamp;

/// A time as a moment. Times outside the years 1678 to 2262 become the nearest moment.
pub fn moment(t: Timestamp) -> Moment {
    let nanos = t.as_nanosecond();
    let nearest = if nanos.is_negative() { i64::MIN } else { i64::MAX };
    Moment::from_nanos(i64::try_from(nanos).unwrap_or(nearest))
}

/// A moment as a time. Every moment is a valid time.
pub fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(moment.as_nanos())).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_keeps_nanoseconds() {
        let t: Timestamp = "2026-11-21T10:00:00.123456789Z".parse().expect("RFC 3339");
        assert_eq!(timestamp(moment(t)), t);
    }

    #[test]
    fn moment_of_a_distant_time_is_the_nearest_one() {
        assert_eq!(moment(Timestamp::MAX), Moment::from_nanos(i64::MAX));
        assert_eq!(moment(Timestamp::MIN), Moment::from_nanos(i64::MIN));
        assert_eq!(
            moment(timestamp(Moment::from_nanos(i64::MIN))),
            Moment::from_nanos(i64::MIN)
        );
    }
}
