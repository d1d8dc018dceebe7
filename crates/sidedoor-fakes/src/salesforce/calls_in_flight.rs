//! Which calls that write records are being handled, so that a test can assert that no two carry the same record at the same time.

use std::collections::BTreeMap;

use axum::body::Bytes;
use serde_json::Value;

use super::SalesforceFake;

/// The calls that write records and are not answered yet.
#[derive(Debug, Default)]
pub(super) struct WritesInFlight {
    calls: usize,
    most_calls: usize,
    of_record: BTreeMap<String, usize>,
    overlapping: Vec<String>,
}

/// One call that writes records, until it is answered or its client gives up.
pub(super) struct WriteInFlight {
    fake: SalesforceFake,
    records: Vec<String>,
}

impl WriteInFlight {
    /// Notes the call, unless it writes no records.
    pub(super) fn begin(fake: &SalesforceFake, operation: &str, path: &str, body: &Bytes) -> Option<Self> {
        let last = path.rsplit('/').next().unwrap_or_default();
        let records = match operation {
            "upsert" => vec![last.to_owned()],
            "collections" => external_ids(last, body),
            _ => return None,
        };
        let mut org = fake.org();
        let writes = &mut org.writes;
        writes.calls += 1;
        writes.most_calls = writes.most_calls.max(writes.calls);
        for record in &records {
            let calls = writes.of_record.entry(record.clone()).or_default();
            *calls += 1;
            if *calls > 1 {
                writes.overlapping.push(record.clone());
            }
        }
        drop(org);
        Some(Self {
            fake: fake.clone(),
            records,
        })
    }
}

fn external_ids(field: &str, body: &Bytes) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let records = body["records"].as_array().cloned().unwrap_or_default();
    let ids = records.iter().filter_map(|record| record[field].as_str());
    ids.map(ToOwned::to_owned).collect()
}

impl Drop for WriteInFlight {
    fn drop(&mut self) {
        let mut org = self.fake.org();
        let writes = &mut org.writes;
        writes.calls -= 1;
        for record in &self.records {
            if let Some(calls) = writes.of_record.get_mut(record) {
                *calls -= 1;
                if *calls == 0 {
                    writes.of_record.remove(record);
                }
            }
        }
    }
}

impl SalesforceFake {
    /// The external ids of records that two calls wrote at the same time.
    pub fn overlapping_writes(&self) -> Vec<String> {
        self.org().writes.overlapping.clone()
    }

    /// The most calls that wrote records at the same time.
    pub fn most_writes_at_once(&self) -> usize {
        self.org().writes.most_calls
    }
}
