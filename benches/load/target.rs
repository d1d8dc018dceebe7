//! A target beside what was measured.

/// What a target asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Printed for information.
    None,
}

/// One measured figure and its target.
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) measured: f64,
    pub(crate) limit: Limit,
}

impl Target {
    /// A figure that could not be measured misses its target.
    fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.measured <= limit,
            Limit::AtLeast(limit) => self.measured >= limit,
            Limit::None => true,
        }
    }
}

/// Prints each figure with its target. Returns how many targets were missed.
pub(crate) fn print(targets: &[Target]) -> usize {
    println!("\n| what | measured | target | |");
    println!("|---|---:|---:|---|");
    for target in targets {
        let (limit, verdict) = match (target.limit, target.is_met()) {
            (Limit::None, _) => (String::new(), ""),
            (Limit::AtMost(limit), true) => (format!("≤ {limit}"), "met"),
            (Limit::AtMost(limit), false) => (format!("≤ {limit}"), "**MISSED**"),
            (Limit::AtLeast(limit), true) => (format!("≥ {limit}"), "met"),
            (Limit::AtLeast(limit), false) => (format!("≥ {limit}"), "**MISSED**"),
        };
        let measured = if target.measured.is_nan() {
            "unavailable".to_owned()
        } else {
            format!("{:.2}", target.measured)
        };
        println!("| {} | {measured} | {limit} | {verdict} |", target.what);
    }
    targets.iter().filter(|target| !target.is_met()).count()
}
